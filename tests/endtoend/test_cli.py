"""The operator's door, from an empty state directory to a label in a folder, with real programs behind it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from support import traces
from support.programs import mock_carrier
from support.web import label_data

from labelsvc import cli
from labelsvc.printing import Spooler

ADDRESS = {
    "name": "云小满",
    "phone": "19900001001",
    "province": "浙江",
    "city": "杭州",
    "district": "西湖",
    "detail": "文三路478号",
}
RECIPIENT = {**ADDRESS, "name": "欧阳晓晴", "phone": "19900002001", "detail": "古翠路76号"}


class Operator:
    """Types commands and reads JSON answers."""

    def __init__(self, capsys, monkeypatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.status = 0
        self.said: list[tuple[tuple[str, ...], str]] = []

    def __call__(self, *words: str, stdin: object = None):
        """Run ``labelsvc WORDS --json``; the answer, or the problem if it failed (see ``status``)."""
        out, err = self._run(*words, "--json", stdin=stdin)
        return json.loads(out or err)

    def plainly(self, *words: str, stdin: object = None) -> str:
        """Run ``labelsvc WORDS`` as a person does; what is printed."""
        return "".join(self._run(*words, stdin=stdin))

    def _run(self, *words: str, stdin: object) -> tuple[str, str]:
        self._monkeypatch.setattr(sys, "argv", ["labelsvc", *words])
        text = stdin if isinstance(stdin, str) else json.dumps(stdin)
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        self.status = end.value.code or 0
        out, err = self._capsys.readouterr()
        self.said.append((words, out + err))
        return out, err


@pytest.fixture
def operator(tmp_path: Path, capsys, monkeypatch) -> Operator:
    """An operator with an empty state directory."""
    monkeypatch.setenv("LABELSVC_STATE_DIR", str(tmp_path / "state"))
    return Operator(capsys, monkeypatch)


def test_from_an_empty_directory_to_a_label(operator: Operator, tmp_path: Path, monkeypatch):
    """Store, token, address, service, order, number, printer, label: every step by its command."""
    with mock_carrier(tmp_path) as mock:
        monkeypatch.setenv("LABELSVC_NETWORK_URL", mock.url)
        monkeypatch.setenv("LABELSVC_NETWORK_CLIENT_ID", "labelsvc-mock-client")
        monkeypatch.setenv("LABELSVC_NETWORK_CLIENT_SECRET", "mock-secret-for-loopback-only")
        store = operator("stores", "create", "云上小店", "merchant")
        assert operator("tokens", "create", "owner")["secret"].startswith("lsv_")
        operator("subscriptions", "connect", "-", stdin="shop-token")
        address = operator("addresses", "create", "-", stdin=ADDRESS)
        assert address["party"]["province"] == "浙江省"
        carriers = [one["code"] for one in operator("subscriptions", "carriers")]
        assert "ZTO" in carriers
        point = operator("subscriptions", "points", "ZTO", address["id"])[0]
        application = {
            "carrier": "ZTO",
            "address_id": address["id"],
            "branch_code": point["code"],
            "contact_name": "云小满",
            "contact_phone": "19900001001",
            "agreement_version": "1",
            "accepted": True,
        }
        assert operator("subscriptions", "apply", "-", stdin=application)["state"] == "open"
        order = operator(
            "orders",
            "create",
            "-",
            stdin={
                "number": "A-1",
                "recipient": RECIPIENT,
                "lines": [{"sku": "1", "name": "T恤", "quantity": 2}],
            },
        )
        waybill = operator("orders", "issue", order["id"], "ZTO", "--key", "k1")
        assert waybill["number"]
        assert operator("orders", "issue", order["id"], "ZTO", "--key", "k1")["number"] == waybill["number"]
        folder = tmp_path / "paper"
        folder.mkdir()
        operator("printers", "add", "folder", f"file://{folder}", "file-zpl-203")
        job = operator("waybills", "print", waybill["number"], "folder", "--key", "p1")
        assert operator("waybills", "print", waybill["number"], "folder", "--key", "p1")["id"] == job["id"]
        rooms = cli._Desk().rooms
        spooler = Spooler(rooms.database, rooms.printers, rooms.jobs)
        spooler.start()
        done = operator("jobs", "show", job["id"], "--wait-s", "20")
        spooler.stop()
        assert [label["state"] for label in done["labels"]] == ["sent"]
        [paper] = [path for path in folder.iterdir() if path.suffix == ".zpl"]
        assert waybill["number"].encode() in paper.read_bytes()
        assert [change["after"] for change in operator("jobs", "history", job["id"])] == [
            "queued",
            "sending",
            "sent",
        ]
        problem = operator("waybills", "print", waybill["number"], "folder", "--key", "p2")
        assert (operator.status, problem["code"]) == (4, "waybill.already_printed")
        assert operator("stores", "list")[0]["id"] == store["id"]


PARCEL = {
    "carrier": "ZTO",
    "recipient": RECIPIENT,
    "shown_sender": ADDRESS,
    "items": [{"name": "茶", "count": 1}],
}


@pytest.fixture
def opened(operator: Operator, tmp_path: Path, monkeypatch):
    """The operator of a store with an open service, by way of a draft."""
    with mock_carrier(tmp_path) as mock:
        monkeypatch.setenv("LABELSVC_NETWORK_URL", mock.url)
        monkeypatch.setenv("LABELSVC_NETWORK_CLIENT_ID", "labelsvc-mock-client")
        monkeypatch.setenv("LABELSVC_NETWORK_CLIENT_SECRET", "mock-secret-for-loopback-only")
        operator("stores", "create", "云上小店", "merchant")
        assert operator("subscriptions", "access") == {"connected": False}
        operator("subscriptions", "connect", "-", stdin="shop-token")
        address = operator("addresses", "create", "-", stdin=ADDRESS)
        point = operator("subscriptions", "points", "ZTO", address["id"])[0]
        draft = operator("subscriptions", "draft", "-", stdin={"carrier": "ZTO"})
        assert operator("subscriptions", "submit", draft["id"])["code"] == "invalid" and operator.status == 2
        whole = {
            "carrier": "ZTO",
            "address_id": address["id"],
            "branch_code": point["code"],
            "contact_name": "云小满",
            "contact_phone": "19900001001",
            "agreement_version": "1",
            "accepted": True,
        }
        operator("subscriptions", "draft", "-", "--draft", draft["id"], stdin=whole)
        sent = operator("subscriptions", "submit", draft["id"])
        assert (sent["state"], sent["contact_name"], sent["contact_phone"]) == ("open", "云**", "199******01")
        shown = operator("subscriptions", "show", draft["id"])
        assert shown["obstacle"] == "none" and shown["subscription"]["origin"]["detail"] == "***"
        assert operator("subscriptions", "balances")[0]["numbers"] > 0
        yield operator


def test_an_empty_list_is_said_beside_the_output(operator: Operator):
    """Who looks for printers and finds none is told so; a script that counts lines reads none."""
    operator("stores", "create", "云上小店", "merchant")
    assert operator._run("printers", "list", stdin=None) == ("", "labelsvc: none\n")
    assert operator("printers", "list") == []


def test_parcels_in_bulk_their_changes_and_their_hand_over(opened: Operator, tmp_path: Path):
    """W3, W5, W6: a result for each, status 4 if one is refused; the books are compared at the end."""
    bad = {**PARCEL, "recipient": {**RECIPIENT, "phone": "1"}}
    parcels = [
        {**PARCEL, "orders": ["C-1"], "key": "c1"},
        {**bad, "orders": ["C-2"], "key": "c2"},
        {**PARCEL, "orders": ["C-3"], "key": "c3"},
    ]
    one, refused, three = opened("waybills", "bulk", "-", stdin=parcels)
    assert opened.status == 4 and refused["errors"][0]["field"] == "recipient.phone"
    changed = opened("waybills", "update", one["number"], "-", stdin={"weight_g": 900})
    assert (opened.status, changed["revision"]) == (0, 1)
    pieces = opened("waybills", "issue", "-", "--pieces", "2", stdin={**PARCEL, "orders": ["C-4"]})
    assert len({piece["parent_number"] for piece in pieces}) == 1
    held = opened("waybills", "hold", three["id"], "地址待确认")
    assert held["held_reason"]
    left = opened("waybills", "hand-over", three["number"], pieces[0]["number"])
    assert (opened.status, left[0]["code"], left[1]["state"]) == (4, "waybill.held", "handed_over")
    opened("waybills", "release", three["id"])
    compared = opened("waybills", "reconcile")
    assert (opened.status, compared["differences"], compared["asked"] > 0) == (0, [], True)
    assert opened("numbers", "guess", one["number"])[0] == "ZTO"
    assert opened("numbers", "check", "ZTO", one["number"].lower())["number"] == one["number"]


def test_a_file_becomes_a_batch(opened: Operator, tmp_path: Path):
    """D19: tried dry, filed, worked off, with a result for each row."""
    template = tmp_path / "template.csv"
    assert opened("batches", "template", str(template))["written"] == str(template)
    assert opened("batches", "template", str(template))["code"] == "file.exists"
    row = "F-1,,,欧阳晓晴,19900002001,浙江省,杭州市,西湖区,,古翠路76号,茶,2,,,,,,,,,"
    template.write_text(template.read_text() + row)
    dry = opened("batches", "create", str(template), "--carrier", "ZTO", "--dry-run")
    assert dry == {"rows": 1, "parcels": 1, "refused": []}
    batch = opened("batches", "create", str(template), "--carrier", "ZTO")
    assert opened("batches", "list")[0]["id"] == batch["id"]
    assert opened("batches", "work") == {"results": 1}
    assert opened("batches", "show", batch["id"])["state"] == "done"
    [result] = opened("batches", "results", batch["id"])
    assert (result["row"], result["state"]) == (2, "issued") and result["number"]


def test_numbers_of_a_carriers_file_open_a_point(opened: Operator, tmp_path: Path):
    """A site without network: the point is open at once."""
    file = tmp_path / "numbers.txt"
    file.write_text("YT0000000000001\nYT0000000000002\n")
    address = opened("addresses", "create", "-", stdin={**ADDRESS, "detail": "二号仓"})
    options = (
        "--carrier",
        "YTO",
        "--branch-code",
        "1",
        "--branch-name",
        "西湖一部",
        "--address",
        address["id"],
    )
    found = opened("numbers", "import", str(file), *options)
    assert (found["added"], found["subscription"]["state"]) == (2, "open")
    again = opened("numbers", "import", str(file), *options)
    assert (opened.status, again["code"]) == (2, "numbers.file")


def test_people_are_masked_unless_there_is_a_reason(opened: Operator):
    """R1: every look in clear needs a reason and is in the audit trail; a person is looked for by standard input."""
    waybill = opened("waybills", "issue", "-", stdin={**PARCEL, "orders": ["P-1"]})
    assert waybill["recipient"]["name"] == "欧***"
    refused = opened("waybills", "show", waybill["id"], "--clear")
    assert (opened.status, refused["errors"][0]["field"]) == (2, "reason")
    clear = opened("waybills", "show", waybill["id"], "--clear", "--reason", "call")
    assert clear["recipient"]["phone"] == RECIPIENT["phone"]
    [found] = opened("waybills", "find", "-", stdin={"phone": "199 0000 2001"})
    assert (found["id"], found["recipient"]["name"]) == (waybill["id"], "欧***")
    trail = opened("audit")
    assert [line["action"] for line in trail] == ["waybill.find_person", "waybill.clear"]
    assert trail[1]["reason"] == "call"
    assert opened("preferences", "set", "--clear-labels")["clear_labels"] is True
    assert opened("preferences", "show")["clear_labels"] is True


#: Commands that meet no person: what the machine or the store is and has.
IMPERSONAL = {
    *("version", "serve", "migrate", "settings", "doctor", "demo", "erase", "backup"),
    *("templates list", "templates check", "templates render", "templates new"),
    "labels quality",  # geometry
    "jobs print",  # a file that stands as it is; what a job says of it is what "jobs submit" says
    *(
        "stores list",
        "stores create",
        "users list",
        "users create",
        "users sign-in",
        "tokens create",
        "tokens end",
    ),
    *("keys list", "keys rotate", "keys add", "keys use", "keys reseal", "keys retire"),
    *("preferences show", "preferences set", "numbers check", "numbers guess", "batches template"),
    *(
        "printers profiles",
        "printers probe",
        "printers edit",
        "printers remove",
        "printers pause",
        "printers resume",
    ),
    *("subscriptions connect-by-code", "subscriptions carriers", "waybills settle"),
}


def _commands() -> set[str]:
    """Every command there is."""
    named = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    for group in cli.app.registered_groups:
        named |= {f"{group.name} {command.name}" for command in group.typer_instance.registered_commands}
    return named


def test_no_command_prints_people_in_clear_unless_asked_with_a_reason(opened: Operator, tmp_path: Path):
    """D7, R1: every command that meets people, as JSON and as lines, leaves no trace of them; --clear is the positive control."""
    moved = {**RECIPIENT, "name": "司马云飞", "phone": "19900004004", "detail": "学院路 3 号 2 幢 902 室"}
    depot = {**ADDRESS, "name": "钱掌柜", "phone": "19900003003", "detail": "莫干山路 88 号"}
    account, contact = "9988776655", {"contact_name": "孙经理", "contact_phone": "19900005005"}
    people = {
        account,
        *(
            party[field]
            for party in (ADDRESS, RECIPIENT, moved, depot)
            for field in ("name", "phone", "detail")
        ),
        *contact.values(),
    }
    both = {"--json": opened, "": opened.plainly}

    def read(*words: str, stdin: object = None) -> None:
        for run in both.values():
            run(*words, stdin=stdin)
            assert opened.status in (0, 4), (words, opened.said[-1])

    # A store with everything in it, each thing by its command.
    address = opened("addresses", "create", "-", stdin=depot)
    opened("addresses", "edit", address["id"], "-", stdin=depot)
    opened("addresses", "default", address["id"])
    [point] = opened("subscriptions", "points", "SF", address["id"])[:1]
    wanted = {"carrier": "SF", "address_id": address["id"], "branch_code": point["code"], **contact}
    wanted |= {"agreement_version": "1", "accepted": True, "settlement_account": account}
    direct = opened("subscriptions", "apply", "-", stdin=wanted)
    assert direct["state"] in ("open", "rejected")
    opened("subscriptions", "correct", direct["id"], "-", stdin=wanted)
    drafted = opened("subscriptions", "draft", "-", stdin={**contact, "address_id": address["id"]})
    opened("subscriptions", "withdraw", drafted["id"])
    third = opened("addresses", "create", "-", stdin={**depot, "detail": "留和路 12 号 5 幢 601 室"})
    numbers = tmp_path / "numbers.txt"
    numbers.write_text("YT0000000000001\n")
    at = ("--carrier", "YTO", "--branch-code", "1", "--branch-name", "西湖一部", "--address", third["id"])
    pool = opened("numbers", "import", str(numbers), *at)["subscription"]
    opened("subscriptions", "close", pool["id"])
    fourth = opened("addresses", "create", "-", stdin=depot)
    opened("addresses", "delete", fourth["id"])
    line = {"sku": "1", "name": "杯", "quantity": 1}
    order = opened("orders", "create", "-", stdin={"number": "Z-1", "recipient": RECIPIENT, "lines": [line]})
    opened("orders", "hold", order["id"], "缺货")
    opened("orders", "release", order["id"])
    opened("orders", "issue", order["id"], "ZTO")
    factory = opened("stores", "create", "青山工厂", "factory")["id"]
    mine = ("--store", "云上小店")
    binding = opened("bindings", "propose", factory, *mine)
    opened("bindings", "accept", binding["id"], "--store", factory)
    other = {"number": "Z-2", "recipient": moved, "lines": [line]}
    assigned = opened("orders", "create", "-", *mine, stdin=other)
    opened("orders", "assign", factory, assigned["id"], *mine)
    waybill = opened("waybills", "issue", "-", *mine, stdin={**PARCEL, "orders": ["Z-3"]})
    wrong = {**PARCEL, "recipient": {**moved, "phone": "x" + moved["phone"]}, "orders": ["Z-4"], "key": "z4"}
    opened("waybills", "bulk", "-", *mine, stdin=[wrong, {**PARCEL, "orders": ["Z-5"], "key": "z5"}])
    folder = tmp_path / "paper"
    folder.mkdir()
    opened("printers", "add", "folder", f"file://{folder}", "file-zpl-203", *mine)
    opened("waybills", "print", waybill["id"], "folder", *mine)
    opened("waybills", "reprint", waybill["id"], "folder", "卡纸", *mine)
    opened("waybills", "update", waybill["id"], "-", *mine, stdin={"recipient": moved})
    opened("waybills", "destroyed", waybill["id"], "0", *mine)
    opened("waybills", "hold", waybill["id"], "待确认", *mine)
    opened("waybills", "release", waybill["id"], *mine)
    document = {"template": "waybill-76x130", "data": label_data_of(moved), "title": "Z"}
    job = opened("jobs", "submit", "-", "folder", *mine, stdin=[document])
    again = opened("jobs", "submit", "-", "folder", *mine, stdin=[document])
    assert opened("labels", "questions", *mine) == again["labels"]  # P15
    opened("labels", "confirm", again["labels"][0]["id"], "--dont", *mine)
    opened("printers", "add", "other", f"file://{folder}", "file-zpl-203", *mine)
    opened("jobs", "move", job["id"], "other", *mine)
    opened("printers", "group", "both", "folder", "other", *mine)
    assert opened("printers", "group", "both", "other", "--mode", "spread", *mine)["mode"] == "spread"
    assert opened("printers", "aliases", "other", "ZDesigner", *mine)["aliases"] == ["ZDesigner"]
    opened("printers", "swap", "ZDesigner", f"file://{folder}", "file-zpl-203", *mine)
    assert opened("jobs", "release-moved", *mine) == {"labels": 0}
    for verb in ("hold", "release", "cancel"):
        opened("jobs", verb, job["id"], *mine)
    label = job["labels"][0]["id"]
    opened("labels", "resolve", label, "--came-out", *mine)
    opened("labels", "reprint", label, "卡纸", *mine)
    rows = tmp_path / "parcels.csv"
    opened("batches", "template", str(rows))
    cells = [moved[name] for name in ("name", "phone", "province", "city", "district")]
    rows.write_text(rows.read_text() + f"Z-6,,,{','.join(cells)},,{moved['detail']},茶,2,,,,,,,,,")
    batch = opened("batches", "create", str(rows), "--carrier", "ZTO", *mine)
    opened("batches", "work")
    opened("waybills", "cancel", waybill["id"], *mine)
    opened("waybills", "hand-over", waybill["id"], *mine)

    # What only reads, as a program and as a person.
    read("addresses", "list", *mine)
    read("addresses", "show", address["id"], *mine)
    for words in (("list",), ("show", direct["id"]), ("history", direct["id"]), ("balance", direct["id"]), ("balances",),
                  ("access",), ("points", "SF", address["id"])):  # fmt: skip
        read("subscriptions", *words, *mine)
    for store in (mine, ("--store", factory)):
        read("bindings", "list", *store)
        read("orders", "list", *store)
        read("orders", "show", assigned["id"], *store)
    for room in ("orders", "waybills"):
        read(room, "find", "-", *mine, stdin={"phone": moved["phone"], "name": moved["name"]})
    for words in (("list",), ("show", waybill["id"]), ("void-labels",), ("reconcile",)):
        read("waybills", *words, *mine)
    for words in (("list",), ("show", batch["id"]), ("results", batch["id"])):
        read("batches", *words, *mine)
    for words in (("list",), ("show", job["id"]), ("history", job["id"])):
        read("jobs", *words, *mine)
    read("printers", "list", *mine)
    read("printers", "found", *mine)
    read("nodes", *mine)
    read("audit", *mine)

    ran = {" ".join(words[:2]) for words, _ in opened.said} | {words[0] for words, _ in opened.said}
    assert _commands() - IMPERSONAL - ran == set(), "a command that nobody has looked at"
    for words, text in opened.said:
        assert traces.find(people, text.encode()) == set(), words
    # The search would find them: with a reason every one of these prints what the others hide.
    clear = [
        run(kind, "show", id, "--clear", "--reason", "核对", *mine)
        for kind, id in (
            ("orders", assigned["id"]),
            ("waybills", waybill["id"]),
            ("addresses", address["id"]),
        )
        for run in both.values()
    ]
    assert len(clear) == 6
    for _, text in opened.said[-6:]:
        found = traces.find(people, text.encode())
        assert {moved["name"], moved["phone"]} <= found or {depot["name"], depot["phone"]} <= found


def label_data_of(person: dict[str, str]) -> dict[str, object]:
    """Label data with a person in it."""
    data = label_data()
    data["recipient"] = {
        "name": person["name"],
        "mobile": person["phone"],
        "address": {name: person[name] for name in ("province", "city", "district", "detail")},
    }
    return data


def test_keys_are_rotated_and_a_backup_is_made(opened: Operator, tmp_path: Path):
    """A new key seals, every value is sealed anew, and nothing needs the old one then."""
    waybill = opened("waybills", "issue", "-", stdin={**PARCEL, "orders": ["K-1"]})
    [old] = opened("keys", "list")
    fresh = opened("keys", "rotate")["current"]
    assert opened("keys", "reseal")["left"] == 0
    current, former = opened("keys", "list")
    assert (current["id"], former["id"], former["values"]) == (fresh, old["id"], 0)
    assert opened("keys", "retire", old["id"])["code"] == "key.too_fresh"
    clear = opened("waybills", "show", waybill["id"], "--clear", "--reason", "check")
    assert clear["recipient"]["name"] == RECIPIENT["name"]
    copy = tmp_path / "copy.db"
    assert opened("backup", str(copy))["written"] == str(copy) and copy.stat().st_size
    assert opened("backup", str(copy))["code"] == "backup.exists"
    due = {"waybills": 0, "orders": 0, "print_jobs": 0, "batches": 0}
    assert opened("erase", "--days", "1", "--dry-run") == {"due": due, "older_than_days": 1}
    assert opened("erase", "--days", "1") == {"erased": 0, "older_than_days": 1}


@pytest.mark.parametrize(
    ("words", "stdin", "status", "field"),
    [
        (("addresses", "create", "-"), "no JSON", 2, "file"),
        (("addresses", "create", "-"), {**ADDRESS, "street": "x"}, 2, "address.street"),
        (("addresses", "create", "-"), {"name": "x"}, 2, "address.phone"),
        (("addresses", "create", "/nowhere"), None, 2, "file"),
        (("orders", "create", "-"), {"lines": "x"}, 2, "lines"),
        (("printers", "add", "x", "ftp://h", "zpl-generic-203"), None, 2, "uri"),
        (("users", "list", "--store", "nobody"), None, 3, "store"),
        (("waybills", "find", "-"), {"address": "x"}, 2, "person"),
        (("waybills", "find", "-"), {}, 2, "phone"),
        (("waybills", "bulk", "-"), {}, 2, "parcels"),
        (("waybills", "bulk", "-"), [{"carrier": "ZTO"}], 2, "parcels[0].key"),
        (("waybills", "bulk", "-"), [{"key": "k", "colour": 1}], 2, "parcels[0].colour"),
        (("waybills", "update", "ZT00000001", "-"), {"colour": 1}, 2, "update.colour"),
        (("waybills", "update", "ZT00000001", "-"), {"items": 1}, 2, "update.items"),
        (("numbers", "check", "ZTO", "YT0000000000001"), None, 2, "number"),
        (("batches", "create", "/nowhere.csv"), None, 2, "file"),
        (("batches", "template", "/nowhere.txt"), None, 2, "file"),
    ],
)
def test_wrong_input_names_the_field(operator: Operator, words, stdin, status: int, field: str):
    """A wrong file, field or name is told by its field, with the exit status of its kind."""
    operator("stores", "create", "云上小店", "merchant")
    problem = operator(*words, stdin=stdin)
    assert operator.status == status
    assert field in [fault["field"] for fault in problem["errors"]]


def test_every_command_can_answer_as_json():
    """Each command but those that stay or write files has --json."""
    import typer

    def commands(group, path=()):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, (*path, name))
            else:
                yield (*path, name), command

    found = dict(commands(typer.main.get_command(cli.app)))
    without = {
        name
        for name, command in found.items()
        if "--json" not in [option for parameter in command.params for option in parameter.opts]
    }
    assert without == {("serve",), ("demo",)}
    assert len(found) > 40


def test_no_store_and_two_stores_are_told(operator: Operator):
    """Without a store, or with two, the operator is told to name one."""
    assert "no store" in operator("printers", "list")["detail"]
    operator("stores", "create", "一", "merchant")
    operator("stores", "create", "二", "factory")
    assert "一, 二" in operator("printers", "list")["detail"]
    assert operator("printers", "list", "--store", "二") == []
