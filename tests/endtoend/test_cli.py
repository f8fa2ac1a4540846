"""The operator's door, from an empty state directory to a label in a folder, with real programs behind it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from support.programs import mock_carrier

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

    def __call__(self, *words: str, stdin: object = None):
        """Run ``labelsvc WORDS --json``; the answer, or the problem if it failed (see ``status``)."""
        self._monkeypatch.setattr(sys, "argv", ["labelsvc", *words, "--json"])
        text = stdin if isinstance(stdin, str) else json.dumps(stdin)
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        self.status = end.value.code or 0
        out, err = self._capsys.readouterr()
        return json.loads(err if self.status else out)


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
