"""The demo: the three programs side by side with made-up people, for looking around (``--state-dir``) or for one label (``--out``).

Hides how the programs are started, watched and stopped, and what the made-up trade consists of. The programs talk as they
would anywhere: the daemon over its API, the carrier network over its gateway, the printer over TCP.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from labelsvc.daemon import Rooms, assemble
from labelsvc.dropship import NewOrder, OrderLine
from labelsvc.errors import LabelsvcError, Unavailable
from labelsvc.labels import Page
from labelsvc.languages import Target, encode
from labelsvc.log import configure
from labelsvc.printing import LabelState
from labelsvc.security import RIGHTS, Actor, Role, StoreKind
from labelsvc.settings import load
from labelsvc.waybills import Application, IssueRequest, Item, Party, SenderAddress, Subscription

FACTORY, MERCHANT, USER, PRINTER = "青山工厂", "云上小店", "owner", "1号打包台"
CARRIER = "ZTO"
TEMPLATE = "waybill-100x180"
NETWORK = {"client_id": "labelsvc-demo", "client_secret": "labelsvc-demo-secret"}
READY_S = 60

SENDER = Party("云小满", "19900001001", "浙江省", "杭州市", "西湖区", "文三路478号华星时代广场B座1203室")
WORKSHOP = Party("青山发货部", "19900001002", "浙江省", "杭州市", "临平区", "星桥北路66号青山工业园3幢")
BRANCH = Party("青山西湖发货点", "19900001003", "浙江省", "杭州市", "西湖区", "转塘街道象山路352号2号仓")
WAREHOUSE = Party("青山嘉兴云仓", "19900001004", "浙江省", "嘉兴市", "海宁市", "长安镇启辉路88号B区")
RECIPIENTS = (
    Party("欧阳晓晴", "19900002001", "广东省", "深圳市", "南山区", "科技园南区高新南九道10号16栋2单元801室"),
    Party("李㛃", "19900002002", "北京市", "北京市", "朝阳区", "望京街道阜通东大街6号院3号楼1507"),
    Party("龙䶮", "19900002003", "广东省", "东莞市", "", "南城街道鸿福路200号第一国际汇一城2座3306"),
    Party(
        "买买提·艾力",
        "19900002004",
        "新疆维吾尔自治区",
        "乌鲁木齐市",
        "天山区",
        "解放北路178号银都酒店对面2栋3单元",
    ),
    Party("Anna Schmidt", "19900002005", "上海市", "上海市", "浦东新区", "世纪大道100号环球金融中心45层"),
    Party("钟𬭎", "19900002006", "湖北省", "武汉市", "洪山区", "珞喻路1037号华中科技大学东三区12栋204"),
    Party("王大力", "19900002007", "四川省", "成都市", "锦江区", "春熙路东段1号百货大楼（请放丰巢，勿敲门）"),
    Party("𠮷田幸子", "19900002008", "福建省", "厦门市", "思明区", "鼓浪屿龙头路95号"),
)
GOODS = (
    ("TS-01", "纯棉短袖T恤", "白色 / L", 2),
    ("MUG-07", "手作陶瓷马克杯", "青釉 350ml", 1),
    ("TEA-250", "明前龙井", "250g 罐装", 1),
)


#: Orders that the factory ships for itself.
OWN_ORDERS = tuple(f"QS-2026-{number:04d}" for number in range(1, len(RECIPIENTS)))


def set_up(rooms: Rooms, network_token: str, printer_uri: str) -> None:
    """Fill an empty database: a merchant and a factory bound to each other, addresses, open subscriptions, a printer, orders."""
    merchant, factory = (
        Actor.operator(rooms.accounts.create_store(name, kind).id, via="demo")
        for name, kind in ((MERCHANT, StoreKind.MERCHANT), (FACTORY, StoreKind.FACTORY))
    )
    for actor, party, token in ((merchant, SENDER, "m"), (factory, WORKSHOP, "f")):
        rooms.accounts.create_user(actor, USER, Role.OWNER)
        rooms.subscriptions.connect(actor, f"{network_token}-{token}")
        _apply(rooms, actor, CARRIER, rooms.addresses.create(actor, party, default=True), party)
    rooms.printers.add(factory, PRINTER, uri=printer_uri, profile="virtual-zpl-203")
    binding = rooms.bindings.propose(merchant, factory.store_id)
    rooms.bindings.accept(factory, binding.id)
    orders = []
    for number, recipient in enumerate(RECIPIENTS, 1):
        goods = GOODS[: 1 + number % len(GOODS)]
        lines = tuple(OrderLine(sku=sku, name=name, spec=spec, quantity=n) for sku, name, spec, n in goods)
        new = NewOrder(
            number=f"DEMO-2026-{number:04d}", recipient=recipient, lines=lines, shown_sender=SENDER
        )
        orders.append(rooms.orders.create(merchant, new))
    rooms.orders.assign(merchant, [order.id for order in orders], factory.store_id)


def furnish(rooms: Rooms, network: str) -> None:
    """Add what one looks at: applications in review and rejected, waybills, a batch, looks in the audit trail; for ``stay``.

    ``network`` is the mock network's address. The daemon, once it runs, works the batch off and prints.
    """
    operator = _actor(rooms, FACTORY)
    owner = rooms.accounts.users(operator)[0]
    factory = Actor(owner.id, operator.store_id, owner.name, RIGHTS[owner.role], "page")
    _review(network, "by_hand")
    for carrier, party, account, refusal in (
        ("SF", BRANCH, "5719990001", ""),
        ("YTO", WAREHOUSE, "", "网点暂停接收新客户，请换一个网点"),
    ):
        filed = _apply(rooms, factory, carrier, rooms.addresses.create(factory, party), party, account)
        if refusal:
            _ask(
                f"{network}/review",
                {"application_id": filed.network_application_id, "decision": "reject", "reason": refusal},
            )
    orders = rooms.orders.list(factory, limit=3)
    for order in orders:
        rooms.orders.issue_waybill(factory, order.id, CARRIER, f"furnish {order.number}")
    goods = (Item("手作陶瓷马克杯 青釉 350ml", 2),)
    own = rooms.waybills.issue(
        factory, IssueRequest(CARRIER, (OWN_ORDERS[0],), RECIPIENTS[0], WORKSHOP, goods), "furnish own"
    )
    rooms.waybills.print(factory, own.id, PRINTER, "furnish print")
    rooms.waybills.clear(factory, own.id, "客户来电核对地址")
    # The first of them has a number for somebody else: a batch shows what becomes of such a one.
    rows = [
        f"{number},{party.name},{party.phone},{party.province},{party.city},{party.district},{party.detail},明前龙井,1"
        for number, party in zip(OWN_ORDERS, RECIPIENTS[1:], strict=True)
    ]
    heading = "订单号,收件人,手机,省,市,区,详细地址,商品,数量"
    rooms.batches.from_file(
        factory, "龙井订单.csv", "\n".join([heading, *rows]).encode(), carrier=CARRIER, sender=WORKSHOP
    )


def _apply(
    rooms: Rooms, actor: Actor, carrier: str, address: SenderAddress, contact: Party, account: str = ""
) -> Subscription:
    """Apply for a carrier's service at the first network point that covers the address."""
    point = rooms.subscriptions.network_points(actor, carrier, address.id)[0]
    application = Application(
        carrier=carrier,
        address_id=address.id,
        branch_code=point.code,
        contact_name=contact.name,
        contact_phone=contact.phone,
        agreement_version="2026-01",
        accepted=True,
        settlement_account=account,
    )
    return rooms.subscriptions.apply(actor, application)


def _review(network: str, who: str) -> None:
    """Let a clerk, or nobody, look at applications at the mock network."""
    _ask(f"{network}/control", {"review": who})


def _ask(url: str, body: dict[str, Any]) -> None:
    answer = urllib3.request("POST", url, json=body, timeout=10, retries=False)
    if answer.status != 200:
        raise Unavailable(f"the mock network answered {answer.status}", code="demo.network")


@dataclass
class Program:
    """One of the programs, running."""

    name: str
    process: subprocess.Popen[str]
    said: re.Match[str]


@dataclass(frozen=True)
class Stage:
    """The programs, up and ready, and the rooms on the daemon's database."""

    rooms: Rooms
    address: str
    tray: Path
    programs: tuple[Program, ...]


@contextlib.contextmanager
def stage(state_dir: Path, port: int, furnished: bool = False) -> Iterator[Stage]:
    """Start the mock carrier network, the virtual printer and the daemon (ports ``port`` to ``port + 3``; 0: free ones).

    Sets the demo data up in an empty database, with ``furnished`` also what one looks at. Raises Unavailable naming the program that didn't start, with its log.
    """
    tray, logs = state_dir / "printer-tray", state_dir / "log"
    for folder in (tray, logs):
        folder.mkdir(parents=True, exist_ok=True)
    ports = [port + offset if port else 0 for offset in range(4)]
    with contextlib.ExitStack() as stack:
        mock = _start(
            stack,
            "mockcarrier",
            [
                "--port",
                ports[1],
                "--books",
                state_dir / "carrier.db",
                "--client-id",
                NETWORK["client_id"],
                "--client-secret",
                NETWORK["client_secret"],
            ],
            r"listening on (http\S+)",
            logs,
        )
        printer = _start(
            stack,
            "virtualprinter",
            ["--port", ports[2], "--control-port", ports[3], "--tray", tray],
            r"listening on (tcp\S+)",
            logs,
        )
        settings = load(
            state_dir=state_dir / "labelsvc",
            port=ports[0],
            network_url=mock.said[1],
            network_client_id=NETWORK["client_id"],
            network_client_secret=NETWORK["client_secret"],
        )
        rooms = assemble(settings)
        stack.callback(rooms.database.close)
        if not rooms.accounts.stores():
            set_up(rooms, "demo-shop", printer.said[1])
            if furnished:
                furnish(rooms, _base(mock))
        _point_printer(rooms, printer.said[1])
        daemon = _start(stack, "", ["serve"], r"listening on (http\S+)", logs, _environment(settings))
        yield Stage(rooms, daemon.said[1], tray, (mock, printer, daemon))


def _environment(settings: Any) -> dict[str, str]:
    return {
        "LABELSVC_STATE_DIR": str(settings.state_dir),
        "LABELSVC_PORT": str(settings.port),
        "LABELSVC_NETWORK_URL": settings.network_url,
        "LABELSVC_NETWORK_CLIENT_ID": settings.network_client_id,
        "LABELSVC_NETWORK_CLIENT_SECRET": settings.network_client_secret.get_secret_value(),
    }


def _point_printer(rooms: Rooms, uri: str) -> None:
    """Let the demo's bench print on the printer of this start, should its port be another than last time."""
    actor = _actor(rooms, FACTORY)
    printer = rooms.printers.get(actor, PRINTER)
    if printer.uri != uri:
        rooms.printers.edit(actor, printer.id, uri=uri)


def _actor(rooms: Rooms, store: str) -> Actor:
    return Actor.operator(rooms.accounts.store(store).id, via="demo")


def _start(
    stack: contextlib.ExitStack,
    module: str,
    arguments: Sequence[object],
    ready: str,
    logs: Path,
    environment: dict[str, str] | None = None,
) -> Program:
    """Start ``labelsvc[.module]`` in a session of its own (Ctrl-C is ours to hand on) and wait until it says it is ready."""
    name = module or "labelsvc"
    log = logs / f"{name}.log"
    command = [sys.executable, "-m", "labelsvc" + (f".{module}" if module else ""), *map(str, arguments)]
    with log.open("a") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,
            env={**os.environ, **(environment or {})},
        )
    stack.callback(_stop, process)
    assert process.stdout
    deadline = threading.Timer(READY_S, process.kill)
    deadline.start()
    try:
        for line in process.stdout:
            if said := re.search(ready, line):
                threading.Thread(target=process.stdout.read, daemon=True).start()
                return Program(name, process, said)
    finally:
        deadline.cancel()
    raise Unavailable(
        f"{name} didn't start; its last words are in {log.name}:\n{_tail(log)}", code="demo.no_start"
    )


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _die_with_parent() -> None:
    """Have the kernel end the child when this process is killed outright (Linux: PR_SET_PDEATHSIG)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stay(state_dir: Path, port: int) -> None:
    """Run the three programs until Ctrl-C or SIGTERM. Raises Unavailable if one of them ends by itself."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    configure("warning", json=False)
    with stage(state_dir, port, furnished=True) as scene:
        clerk = _base(scene.programs[0])
        _review(clerk, "by_hand")
        print(_welcome(scene, clerk), flush=True)
        while not stopped.wait(0.5):
            for program in scene.programs:
                if program.process.poll() is not None:
                    raise Unavailable(f"{program.name} ended by itself", code="demo.ended")
        print("\nstopping ...", flush=True)
    print("stopped; the data stay and are there at the next start", flush=True)


def _base(mock: Program) -> str:
    """The address of the mock network's side doors."""
    return mock.said[1].removesuffix("/api/router")


def _welcome(scene: Stage, clerk: str) -> str:
    links = {}
    for store in (FACTORY, MERCHANT):
        code = scene.rooms.accounts.create_sign_in(_actor(scene.rooms, store), USER).secret
        links[store] = f"{scene.address}/sign-in#{code}"
    return "\n".join(
        [
            "",
            "  labelsvc is running. Open this link in a browser (it works once, for 30 minutes):",
            "",
            f"    {FACTORY} (factory, prints labels)    {links[FACTORY]}",
            "",
            f"  The merchant's side:  {MERCHANT}    {links[MERCHANT]}",
            f"  The carriers' clerk, who opens or rejects services:  {clerk}/review",
            f"  Printed labels come out in  {scene.tray}",
            f"  Logs are in                 {scene.tray.parent / 'log'}",
            "  Ctrl-C stops everything.",
            "",
        ]
    )


def once(out: Path, template: str = TEMPLATE) -> LabelState:
    """The main job, once: issue a waybill for a demo order over the API, print it, leave the label's files in ``out``.

    Writes ``label.zpl`` (the bytes the printer received), ``label.pdf``, ``label.png``, ``demo.json``. Returns the label's
    state: PRINTED when the printer proved it.
    """
    configure("warning", json=False)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="labelsvc-demo-") as folder, stage(Path(folder), 0) as scene:
        actor = _actor(scene.rooms, FACTORY)
        api = _Api(scene.address, scene.rooms.accounts.create_token(actor, USER, "demo").secret)
        order = min(api.get("/orders?limit=100")["items"], key=lambda one: one["number"])
        waybill = api.post(f"/orders/{order['id']}/waybill", {"carrier": CARRIER}, key="demo-issue")
        job = api.post(
            f"/waybills/{waybill['id']}/print", {"printer": PRINTER, "template": template}, key="demo-print"
        )
        job = api.wait(job["id"])
        label = job["labels"][0]
        page = scene.rooms.jobs.pages(actor, label["id"])[0]
        _collect(scene.tray, page, out)
        recipient = RECIPIENTS[0].masked_for_label()  # as it is printed unless the merchant says otherwise
        report = {
            "waybill_number": waybill["number"],
            "carrier": waybill["carrier"],
            "route_code": waybill["route_code"],
            "recipient": {"name": recipient.name, "phone": recipient.phone, "address": _address(recipient)},
            "template": template,
            "width_mm": page.width_mm,
            "height_mm": page.height_mm,
            "dpi": page.dpi,
            "job_id": job["id"],
            "label_state": label["state"],
        }
        (out / "demo.json").write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
        return LabelState(label["state"])


def _address(party: Party) -> str:
    """As the shipped templates print it."""
    return "".join((party.province, party.city, party.district, party.town, party.detail))


def _collect(tray: Path, page: Page, out: Path) -> None:
    """Take the label out of the tray, and draw the same page as PDF and PNG."""
    came_out = sorted(tray.glob("[0-9]*.zpl"))
    if came_out:
        (out / "label.zpl").write_bytes(came_out[-1].read_bytes())
    for language in ("pdf", "png"):
        (out / f"label.{language}").write_bytes(encode(page, Target(language, page.dpi), "labelsvc demo"))


class _Api:
    """The daemon's API, as any warehouse PC would call it."""

    def __init__(self, address: str, token: str) -> None:
        self._http = urllib3.PoolManager(
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            retries=False,
            timeout=60,
        )
        self._base = f"{address}/api/v1"

    def get(self, path: str) -> Any:
        return self._answer(self._http.request("GET", self._base + path))

    def post(self, path: str, body: dict[str, Any], key: str) -> Any:
        headers = {**self._http.headers, "Idempotency-Key": key}
        return self._answer(
            self._http.request("POST", self._base + path, body=json.dumps(body).encode(), headers=headers)
        )

    def wait(self, job_id: str, seconds: float = 60) -> Any:
        """Ask for the job until it is settled, or ``seconds`` are over."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.get(f"/jobs/{job_id}?wait_s=10")
            if job["state"] not in ("queued", "printing") or time.monotonic() > deadline:
                return job

    @staticmethod
    def _answer(response: urllib3.BaseHTTPResponse) -> Any:
        answer = response.json()
        if response.status >= 400:
            raise LabelsvcError(
                f"the API says {response.status} {answer.get('code')}: {answer.get('detail')}"
            )
        return answer
