"""The operator's door: every command is one call on one room; ``--json`` gives every answer as JSON.

People are shown masked; ``--clear`` with a ``--reason`` shows one in clear and writes it to the audit trail. Whom to look for
comes from a file or standard input, because a shell remembers its commands. Commands act for one store (``--store``, or LABELSVC_STORE; needless where there is only one) with every right in it: who
may read the key file may do everything anyway. Exit status: 0 done, 2 wrong input, 3 not found or gone, 4 conflict or
refused, also of one item of many, 5 the other side doesn't answer, 1 anything else.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelsvc import __version__, log, settings
from labelsvc.errors import (
    Conflict,
    Gone,
    Invalid,
    LabelsvcError,
    NotFound,
    Refused,
    TemplateError,
    Unavailable,
)
from labelsvc.security import Actor, Role, StoreKind

if TYPE_CHECKING:
    from labelsvc.daemon import Rooms
    from labelsvc.labels import Template
    from labelsvc.waybills import Application, IssueRequest, Subscription, Waybill

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="labelsvc: e-waybills and thermal labels.",
)


def _group(name: str, help: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=help)
    app.add_typer(group, name=name)
    return group


stores = _group("stores", "Merchants and factories.")
users = _group("users", "People of a store.")
tokens = _group("tokens", "API tokens.")
addresses = _group("addresses", "Sender addresses 发货地址.")
subscriptions = _group("subscriptions", "The e-waybill service with carriers 电子面单服务.")
bindings = _group("bindings", "Merchants and their factories 绑定.")
orders = _group("orders", "Orders 订单.")
waybills = _group("waybills", "E-waybills 面单.")
batches = _group("batches", "Hundreds of parcels at once 批量取号.")
numbers = _group("numbers", "Waybill numbers from a carrier's file, or from elsewhere 单号.")
templates = _group("templates", "Label templates 模板.")
printers = _group("printers", "Printers 打印机.")
jobs = _group("jobs", "Print jobs 打印任务.")
labels = _group("labels", "Single labels 标签.")
keys = _group("keys", "The sealing keys 密钥.")
preferences = _group("preferences", "What a store chose for all its labels 店铺设置.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
StoreName = Annotated[str, typer.Option("--store", envvar="LABELSVC_STORE", help="Store, by name or id.")]
NodeName = Annotated[str, typer.Option("--node", help="The machine it hangs on, of several on PostgreSQL.")]
Key = Annotated[str, typer.Option("--key", help="Idempotency key; a fresh one by default.")]
After = Annotated[str, typer.Option(help="Go on after this id.")]
Limit = Annotated[int, typer.Option(min=1, max=100)]
Clear = Annotated[
    bool, typer.Option("--clear", help="Show people in clear; needs --reason, is written down.")
]
Dpi = Annotated[int, typer.Option(help="Resolution of the print head: 203, 300 or 600.")]
Why = Annotated[str, typer.Option("--reason", help="With --clear: why; for the audit trail.")]

EXITS: tuple[tuple[type[LabelsvcError], int], ...] = (
    (Invalid, 2),
    (NotFound, 3),
    (Gone, 3),
    (Conflict, 4),
    (Refused, 4),
    (Unavailable, 5),
)


def main() -> None:
    """Run a command; turn the house's errors into words on standard error and an exit status."""
    try:
        app()
    except LabelsvcError as error:
        _complain(error)
        sys.exit(next((status for kind, status in EXITS if isinstance(error, kind)), 1))


def _complain(error: LabelsvcError) -> None:
    if "--json" in sys.argv:
        print(json.dumps(_problem(error), ensure_ascii=False), file=sys.stderr)
        return
    print(f"labelsvc: {error.detail} [{error.code}]", file=sys.stderr)
    for fault in error.errors:
        print(f"  {fault.field}: {fault.reason}", file=sys.stderr)


def _problem(error: LabelsvcError) -> dict[str, Any]:
    return {"code": error.code, "detail": error.detail, "errors": _plain(error.errors), **error.facts}


class _Desk:
    """The rooms and the operator of one command, opened only when a command needs them."""

    def __init__(self, store: str = "") -> None:
        from labelsvc.daemon import assemble

        found = settings.load()
        log.configure("warning", json=False)
        self.rooms: Rooms = assemble(found)
        self._store = store

    @property
    def actor(self) -> Actor:
        """The operator, acting for the store that was named, or for the only one."""
        if self._store:
            return Actor.operator(self.rooms.accounts.store(self._store).id)
        every = self.rooms.accounts.stores()
        if len(every) != 1:
            names = ", ".join(store.name for store in every)
            raise Invalid(f"say which store: {names}" if every else "there is no store yet", field="store")
        return Actor.operator(every[0].id)


def _plain(value: Any) -> Any:
    """Nouns as JSON-safe values."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _show(value: Any, as_json: bool) -> None:
    """Print a noun, or a list of them; of an empty one say so, beside the output that a script reads."""
    plain = _plain(value)
    if as_json:
        print(json.dumps(plain, ensure_ascii=False, indent=2))
        return
    if plain == []:
        print("labelsvc: none", file=sys.stderr)
    for row in plain if isinstance(plain, list) else [plain]:
        print("  ".join(_cells(row)) if isinstance(row, dict) else row)


def _cells(row: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _cells(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            yield f"{prefix}{name}={json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value}"


def _show_results(results: Sequence[Waybill | LabelsvcError], as_json: bool) -> None:
    """Print a result for each item; raise Exit with status 4 if one is refused."""
    faulty = any(isinstance(result, LabelsvcError) for result in results)
    _show([_problem(one) if isinstance(one, LabelsvcError) else one for one in results], as_json)
    if faulty:
        raise typer.Exit(4)


def _require_reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("say why, for the audit trail", field="reason")
    return reason


def _read_bytes(file: str) -> bytes:
    """A file's bytes, or standard input's for ``-``."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError:
        raise Invalid("the file can't be read", field="file") from None


def _read_text(file: str) -> str:
    """A file's text, or standard input for ``-``: personal data isn't typed where a shell remembers it."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError):
        raise Invalid("the file can't be read", field="file") from None


def _read(file: str) -> Any:
    """JSON of a file or of standard input."""
    try:
        return json.loads(_read_text(file))
    except ValueError:
        raise Invalid("the file isn't JSON", field="file") from None


def _noun(kind: Any, fields: Any, where: str) -> Any:
    """Make a noun of JSON. Raises Invalid naming a field too many or too few."""
    if not isinstance(fields, dict):
        raise Invalid("must be a JSON object", field=where)
    known = kind.__dataclass_fields__
    for name in fields:
        if name not in known:
            raise Invalid("is not known here", field=f"{where}.{name}")
    try:
        return kind(**fields)
    except TypeError:
        missing = [name for name, field in known.items() if name not in fields and _needed(field)]
        raise Invalid("is missing", field=f"{where}.{missing[0] if missing else '?'}") from None


def _needed(field: Any) -> bool:
    from dataclasses import MISSING

    return field.default is MISSING and field.default_factory is MISSING


def _issue_request(fields: Any, where: str) -> IssueRequest:
    """A parcel of JSON. Raises Invalid."""
    from labelsvc.waybills import IssueRequest, Item, Party

    if isinstance(fields, dict):
        items, numbers = fields.get("items"), fields.get("orders")
        fields["items"] = tuple(
            _noun(Item, item, f"{where}.items[{at}]")
            for at, item in enumerate(items if isinstance(items, list) else [])
        )
        fields["orders"] = tuple(numbers) if isinstance(numbers, list) else ()
        for party in ("recipient", "shown_sender", "origin"):
            if fields.get(party) is not None:
                fields[party] = _noun(Party, fields[party], f"{where}.{party}")
    request: IssueRequest = _noun(IssueRequest, fields, where)
    return request


def _person(file: str) -> dict[str, str | None]:
    """Whom to look for: JSON with phone, name or both. Raises Invalid."""
    fields = _read(file)
    if not isinstance(fields, dict) or not fields.keys() <= {"phone", "name"}:
        raise Invalid("must be a JSON object with phone, name or both", field="person")
    return {"phone": fields.get("phone"), "name": fields.get("name")}


def _fresh(key: str) -> str:
    return key or f"cli-{uuid.uuid4()}"


# -- the service -------------------------------------------------------------------------------------------------


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    _show({"version": __version__}, as_json)


@app.command()
def serve(
    node: Annotated[
        str, typer.Option(help="This machine's name among several on one PostgreSQL database.")
    ] = "",
) -> None:
    """Run the service in the foreground."""
    from labelsvc import daemon

    daemon.serve(settings.load(**({"node": node} if node else {})))


@app.command("nodes")
def show_nodes(store: StoreName = "", as_json: AsJson = False) -> None:
    """List the machines that drive printers of this PostgreSQL database, and whether each is alive."""
    desk = _Desk(store)
    _show(desk.rooms.printers.nodes(desk.actor), as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what hinders printing on this machine, each with its remedy; exit status 1 if something does."""
    from labelsvc.doctor import examine

    findings = examine(settings.load())
    if as_json:
        _show(findings, True)
    else:
        for each in findings:
            print(f"{each.verdict:<8} {each.check:<9} {each.found}")
            if each.remedy:
                print(f"{'':<18} -> {each.remedy}")
    if any(each.verdict == "problem" for each in findings):
        raise typer.Exit(1)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database's schema up to date."""
    _show({"revision": _Desk().rooms.database.revision()}, as_json)


@app.command("settings")
def show_settings(as_json: AsJson = False) -> None:
    """Print the settings in force, secrets masked."""
    _show({name: str(value) for name, value in settings.load().model_dump().items()}, as_json)


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Print one label, leave its files here, and end.")] = None,
    template: Annotated[str, typer.Option(help="With --out: the label's template.")] = "waybill-100x180",
    state_dir: Annotated[Path, typer.Option(help="Without --out: where the demo keeps its data.")] = Path(
        "labelsvc-demo"
    ),
    port: Annotated[int, typer.Option(help="Without --out: first of four ports; 0 takes free ones.")] = 8317,
) -> None:
    """Try it: the service with a mock carrier network, a virtual printer and made-up orders."""
    from labelsvc import demo as stage

    if out is None:
        stage.stay(state_dir, port)
        return
    state = stage.once(out, template)
    print(f"{out}: label.zpl label.pdf label.png demo.json; the label is {state}")
    if state != "printed":
        raise typer.Exit(1)


# -- stores, users, tokens ---------------------------------------------------------------------------------------


@stores.command("list")
def list_stores(as_json: AsJson = False) -> None:
    """List the stores."""
    _show(_Desk().rooms.accounts.stores(), as_json)


@stores.command("create")
def create_store(name: str, kind: StoreKind, as_json: AsJson = False) -> None:
    """Add a merchant or a factory, with a user "owner"."""
    accounts = _Desk().rooms.accounts
    store = accounts.create_store(name, kind)
    accounts.create_user(Actor.operator(store.id), "owner", Role.OWNER)
    _show(store, as_json)


@users.command("list")
def list_users(store: StoreName = "", as_json: AsJson = False) -> None:
    """List a store's users."""
    desk = _Desk(store)
    _show(desk.rooms.accounts.users(desk.actor), as_json)


@users.command("create")
def create_user(name: str, role: Role, store: StoreName = "", as_json: AsJson = False) -> None:
    """Add a user."""
    desk = _Desk(store)
    _show(desk.rooms.accounts.create_user(desk.actor, name, role), as_json)


@users.command("sign-in")
def sign_in_code(name: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Make a one-time sign-in code for the pages."""
    desk = _Desk(store)
    _show(desk.rooms.accounts.create_sign_in(desk.actor, name), as_json)


@tokens.command("create")
def create_token(user: str, label: str = "", store: StoreName = "", as_json: AsJson = False) -> None:
    """Make an API token; it is shown once."""
    desk = _Desk(store)
    _show(desk.rooms.accounts.create_token(desk.actor, user, label), as_json)


@tokens.command("end")
def end_token(token_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Revoke a token by its id."""
    desk = _Desk(store)
    desk.rooms.accounts.end_token(desk.actor, token_id)
    _show({"ended": token_id}, as_json)


# -- sender addresses and subscriptions --------------------------------------------------------------------------


@addresses.command("list")
def list_addresses(store: StoreName = "", as_json: AsJson = False) -> None:
    """List the sender addresses."""
    desk = _Desk(store)
    _show(desk.rooms.addresses.list(desk.actor), as_json)


@addresses.command("create")
def create_address(file: str, default: bool = False, store: StoreName = "", as_json: AsJson = False) -> None:
    """Add one from a JSON file (or -): name, phone, province, city, district, detail."""
    from labelsvc.waybills import Party

    desk = _Desk(store)
    party = _noun(Party, _read(file), "address")
    _show(desk.rooms.addresses.create(desk.actor, party, default=default), as_json)


@addresses.command("edit")
def edit_address(address_id: str, file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Change one to what a JSON file (or -) says."""
    from labelsvc.waybills import Party

    desk = _Desk(store)
    _show(desk.rooms.addresses.edit(desk.actor, address_id, _noun(Party, _read(file), "address")), as_json)


@addresses.command("show")
def show_address(
    address_id: str, clear: Clear = False, reason: Why = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Show one."""
    desk = _Desk(store)
    if clear:
        _show(desk.rooms.addresses.clear(desk.actor, address_id, _require_reason(reason)), as_json)
        return
    _show(desk.rooms.addresses.get(desk.actor, address_id), as_json)


@addresses.command("default")
def default_address(address_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Make one the default."""
    desk = _Desk(store)
    _show(desk.rooms.addresses.make_default(desk.actor, address_id), as_json)


@addresses.command("delete")
def delete_address(address_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Delete one that isn't in use."""
    desk = _Desk(store)
    desk.rooms.addresses.delete(desk.actor, address_id)
    _show({"deleted": address_id}, as_json)


@subscriptions.command("connect")
def connect_network(file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Keep the store's access token to the carrier network, read from a file (or -)."""
    desk = _Desk(store)
    desk.rooms.subscriptions.connect(desk.actor, _read_text(file).strip())
    _show({"connected": True}, as_json)


@subscriptions.command("connect-by-code")
def connect_by_code(file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Connect by the code of the network's authorisation page, read from a file (or -); the access renews itself."""
    desk = _Desk(store)
    _show(desk.rooms.subscriptions.connect_by_code(desk.actor, _read_text(file).strip()), as_json)


@subscriptions.command("access")
def network_access(store: StoreName = "", as_json: AsJson = False) -> None:
    """Since when, and until when, the store has access to the carrier network."""
    desk = _Desk(store)
    found = desk.rooms.subscriptions.access(desk.actor)
    _show({"connected": False} if found is None else {"connected": True, **asdict(found)}, as_json)


@subscriptions.command("carriers")
def list_carriers(store: StoreName = "", as_json: AsJson = False) -> None:
    """List the carriers of the network."""
    desk = _Desk(store)
    _show(desk.rooms.subscriptions.carriers(desk.actor), as_json)


@subscriptions.command("points")
def list_points(carrier: str, address_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """List the network points that cover a sender address."""
    desk = _Desk(store)
    _show(desk.rooms.subscriptions.network_points(desk.actor, carrier, address_id), as_json)


@subscriptions.command("apply")
def apply_for_service(file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Apply, with a JSON file (or -): carrier, address_id, branch_code, contact_name, contact_phone, agreement_version, accepted."""
    desk = _Desk(store)
    _show(_masked(desk.rooms.subscriptions.apply(desk.actor, _application(_read(file)))), as_json)


def _application(fields: Any, **defaults: Any) -> Application:
    from labelsvc.waybills import Application

    found: Application = _noun(
        Application, {**defaults, **fields} if isinstance(fields, dict) else fields, "application"
    )
    return found


def _masked(found: Subscription) -> Subscription:
    """A subscription without its contact and account, its origin down to the district."""
    contact = replace(found.origin, name=found.contact_name, phone=found.contact_phone).masked()
    return replace(
        found,
        origin=found.origin.masked(),
        contact_name=contact.name,
        contact_phone=contact.phone,
        settlement_account="***" if found.settlement_account else "",
    )


@subscriptions.command("draft")
def save_draft(
    file: str,
    draft: Annotated[str, typer.Option(help="The draft to change; without it a new one.")] = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Keep an application that isn't whole yet, of a JSON file (or -) with any of the fields of apply."""
    desk = _Desk(store)
    unsaid = ("carrier", "address_id", "branch_code", "contact_name", "contact_phone", "agreement_version")
    application = _application(_read(file), **dict.fromkeys(unsaid, ""), accepted=False)
    _show(_masked(desk.rooms.subscriptions.save_draft(desk.actor, application, draft or None)), as_json)


@subscriptions.command("submit")
def submit_draft(subscription_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Submit a draft."""
    desk = _Desk(store)
    _show(_masked(desk.rooms.subscriptions.submit(desk.actor, subscription_id)), as_json)


@subscriptions.command("correct")
def correct_application(
    subscription_id: str, file: str, store: StoreName = "", as_json: AsJson = False
) -> None:
    """Submit a rejected application anew, as a JSON file (or -) says."""
    desk = _Desk(store)
    corrected = desk.rooms.subscriptions.correct(desk.actor, subscription_id, _application(_read(file)))
    _show(_masked(corrected), as_json)


@subscriptions.command("withdraw")
def withdraw_application(subscription_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Take back an application that isn't open."""
    desk = _Desk(store)
    _show(_masked(desk.rooms.subscriptions.withdraw(desk.actor, subscription_id)), as_json)


@subscriptions.command("show")
def show_subscription(subscription_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Show one, and what comes next."""
    desk = _Desk(store)
    found = desk.rooms.subscriptions.next_steps(desk.actor, subscription_id)
    _show(replace(found, subscription=_masked(found.subscription)), as_json)


@subscriptions.command("balances")
def subscription_balances(store: StoreName = "", as_json: AsJson = False) -> None:
    """Numbers left at every open point, and which are few."""
    desk = _Desk(store)
    _show(desk.rooms.subscriptions.balances(desk.actor), as_json)


@subscriptions.command("list")
def list_subscriptions(store: StoreName = "", as_json: AsJson = False) -> None:
    """List the applications with their states."""
    desk = _Desk(store)
    _show([_masked(found) for found in desk.rooms.subscriptions.list(desk.actor)], as_json)


@subscriptions.command("history")
def subscription_history(subscription_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Who did what when."""
    desk = _Desk(store)
    _show(desk.rooms.subscriptions.history(desk.actor, subscription_id), as_json)


@subscriptions.command("balance")
def subscription_balance(subscription_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Numbers left at the network point."""
    desk = _Desk(store)
    _show({"balance": desk.rooms.subscriptions.balance(desk.actor, subscription_id)}, as_json)


@subscriptions.command("close")
def close_subscription(subscription_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Close the service, which frees its address."""
    desk = _Desk(store)
    _show(_masked(desk.rooms.subscriptions.close(desk.actor, subscription_id)), as_json)


# -- numbers -----------------------------------------------------------------------------------------------------


@numbers.command("import")
def import_numbers(
    file: str,
    carrier: Annotated[str, typer.Option(help="Such as YTO.")],
    branch_code: Annotated[str, typer.Option(help="The point that handed the numbers over.")],
    branch_name: Annotated[str, typer.Option()],
    address: Annotated[str, typer.Option(help="Id of the sender address that they are for.")],
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Open a point with a carrier's file of numbers (TXT, CSV, XLSX), or add a further file's to it."""
    from labelsvc.waybills import read_numbers

    desk = _Desk(store)
    found = read_numbers(file, _read_bytes(file), carrier)
    opened = desk.rooms.subscriptions.open_offline(
        desk.actor, carrier, address, branch_code, branch_name, found
    )
    _show({"added": len(found), "subscription": _masked(opened)}, as_json)


@numbers.command("check")
def check_a_number(carrier: str, number: str, as_json: AsJson = False) -> None:
    """Whether a number from elsewhere is one of the carrier's."""
    from labelsvc.waybills import check_number, looks_like

    plain = check_number(carrier, number)
    _show({"number": plain, "in_force": looks_like(carrier, plain)}, as_json)


@numbers.command("guess")
def guess_carrier(number: str, as_json: AsJson = False) -> None:
    """Whose number it could be, the likelier first."""
    from labelsvc.waybills import guess

    _show(guess(number), as_json)


# -- bindings and orders -----------------------------------------------------------------------------------------


@bindings.command("list")
def list_bindings(store: StoreName = "", as_json: AsJson = False) -> None:
    """List the bindings."""
    desk = _Desk(store)
    _show(desk.rooms.bindings.list(desk.actor), as_json)


@bindings.command("propose")
def propose_binding(factory_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """As a merchant: ask a factory, by its store id."""
    desk = _Desk(store)
    _show(desk.rooms.bindings.propose(desk.actor, factory_id), as_json)


@bindings.command("accept")
def accept_binding(binding_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """As a factory: say yes."""
    desk = _Desk(store)
    _show(desk.rooms.bindings.accept(desk.actor, binding_id), as_json)


@orders.command("list")
def list_orders(after: After = "", limit: Limit = 50, store: StoreName = "", as_json: AsJson = False) -> None:
    """List orders."""
    desk = _Desk(store)
    _show(desk.rooms.orders.list(desk.actor, after=after or None, limit=limit), as_json)


@orders.command("find")
def find_orders(file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """The orders for a person: a JSON file (or -) with phone, name or both."""
    desk = _Desk(store)
    _show(desk.rooms.orders.find_person(desk.actor, **_person(file)), as_json)


@orders.command("show")
def show_order(
    order_id: str, clear: Clear = False, reason: Why = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Show one order."""
    desk = _Desk(store)
    if clear:
        _show(desk.rooms.orders.clear(desk.actor, order_id, _require_reason(reason)), as_json)
        return
    _show(desk.rooms.orders.get(desk.actor, order_id), as_json)


@orders.command("create")
def create_order(file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Add an order from a JSON file (or -): number, recipient, lines [{sku, name, spec, quantity}], note."""
    from labelsvc.dropship import NewOrder, OrderLine
    from labelsvc.waybills import Party

    desk, fields = _Desk(store), _read(file)
    if isinstance(fields, dict):
        lines = fields.get("lines")
        if not isinstance(lines, list):
            raise Invalid("must be a list", field="lines")
        fields["lines"] = tuple(_noun(OrderLine, line, f"lines[{at}]") for at, line in enumerate(lines))
        for party in ("recipient", "shown_sender"):
            if fields.get(party) is not None:
                fields[party] = _noun(Party, fields[party], party)
    _show(desk.rooms.orders.create(desk.actor, _noun(NewOrder, fields, "order")), as_json)


@orders.command("assign")
def assign_orders(
    factory_id: str, order_ids: list[str], store: StoreName = "", as_json: AsJson = False
) -> None:
    """Assign orders to a bound factory."""
    desk = _Desk(store)
    _show(desk.rooms.orders.assign(desk.actor, order_ids, factory_id), as_json)


@orders.command("hold")
def hold_order(order_id: str, reason: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Hold an order: its label won't come out."""
    desk = _Desk(store)
    _show(desk.rooms.orders.hold(desk.actor, order_id, reason), as_json)


@orders.command("release")
def release_order(order_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Release a held order."""
    desk = _Desk(store)
    _show(desk.rooms.orders.release(desk.actor, order_id), as_json)


@orders.command("issue")
def issue_for_order(
    order_id: str, carrier: str, key: Key = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Get a waybill number for an order."""
    desk = _Desk(store)
    _show(desk.rooms.orders.issue_waybill(desk.actor, order_id, carrier, key=_fresh(key)), as_json)


# -- waybills ----------------------------------------------------------------------------------------------------


@waybills.command("list")
def list_waybills(
    after: After = "", limit: Limit = 50, store: StoreName = "", as_json: AsJson = False
) -> None:
    """List waybills."""
    desk = _Desk(store)
    _show(desk.rooms.waybills.list(desk.actor, after=after or None, limit=limit), as_json)


@waybills.command("show")
def show_waybill(
    waybill: str, clear: Clear = False, reason: Why = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Show one, by id or number."""
    desk = _Desk(store)
    if clear:
        _show(desk.rooms.waybills.clear(desk.actor, waybill, _require_reason(reason)), as_json)
        return
    _show(desk.rooms.waybills.get(desk.actor, waybill), as_json)


@waybills.command("issue")
def issue_waybill(
    file: str,
    pieces: Annotated[int, typer.Option(min=1, max=50, help="Parcels under one parent number.")] = 1,
    key: Key = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Get a number for a parcel from a JSON file (or -): carrier, orders, recipient, shown_sender, items [{name, count}]."""
    desk = _Desk(store)
    request = _issue_request(_read(file), "waybill")
    if pieces > 1:
        found = desk.rooms.waybills.issue_set(desk.actor, request, pieces, _fresh(key))
        _show_results(found, as_json)
        return
    _show(desk.rooms.waybills.issue(desk.actor, request, key=_fresh(key)), as_json)


@waybills.command("bulk")
def issue_many(file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Get numbers for up to 500 parcels of a JSON file (or -), each as for issue and with a key, and wait for them."""
    desk, found = _Desk(store), _read(file)
    if not isinstance(found, list):
        raise Invalid("must be a JSON list", field="parcels")
    parcels = []
    for at, fields in enumerate(found):
        key = fields.pop("key", "") if isinstance(fields, dict) else ""
        if not key or not isinstance(key, str):
            raise Invalid("is missing", field=f"parcels[{at}].key")
        parcels.append((_issue_request(fields, f"parcels[{at}]"), key))
    _show_results(desk.rooms.waybills.issue_many(desk.actor, parcels), as_json)


@waybills.command("update")
def update_waybill(
    waybill: str, file: str, key: Key = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Change a parcel until hand-over, as a JSON file (or -) says: recipient, items, weight_g; the old label is void."""
    from labelsvc.waybills import Item, Party

    desk, fields = _Desk(store), _read(file)
    if not isinstance(fields, dict):
        raise Invalid("must be a JSON object", field="update")
    for name in fields.keys() - {"recipient", "items", "weight_g"}:
        raise Invalid("is not known here", field=f"update.{name}")
    recipient, items = fields.get("recipient"), fields.get("items")
    if items is not None and not isinstance(items, list):
        raise Invalid("must be a list", field="update.items")
    changed = desk.rooms.waybills.update(
        desk.actor,
        waybill,
        _fresh(key),
        recipient=None if recipient is None else _noun(Party, recipient, "update.recipient"),
        items=None
        if items is None
        else [_noun(Item, item, f"update.items[{at}]") for at, item in enumerate(items)],
        weight_g=fields.get("weight_g"),
    )
    _show(changed, as_json)


@waybills.command("hand-over")
def hand_over(waybills: list[str], store: StoreName = "", as_json: AsJson = False) -> None:
    """Note that parcels left with the carrier, by id or number; a result for each."""
    desk = _Desk(store)
    _show_results(desk.rooms.waybills.hand_over(desk.actor, waybills), as_json)


@waybills.command("find")
def find_waybills(file: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """The waybills for a person: a JSON file (or -) with phone, name or both."""
    desk = _Desk(store)
    _show(desk.rooms.waybills.find_person(desk.actor, **_person(file)), as_json)


@waybills.command("void-labels")
def void_labels(store: StoreName = "", as_json: AsJson = False) -> None:
    """Labels on paper that updates made void and nobody has destroyed yet."""
    desk = _Desk(store)
    _show(desk.rooms.waybills.void_labels(desk.actor), as_json)


@waybills.command("destroyed")
def confirm_destroyed(waybill: str, revision: int, store: StoreName = "", as_json: AsJson = False) -> None:
    """Say that the void labels of a revision are destroyed."""
    desk = _Desk(store)
    desk.rooms.waybills.confirm_destroyed(desk.actor, waybill, revision)
    _show({"destroyed": waybill, "revision": revision}, as_json)


@waybills.command("hold")
def hold_waybill(waybill: str, reason: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Keep its label from coming out."""
    desk = _Desk(store)
    _show(desk.rooms.waybills.hold(desk.actor, waybill, reason), as_json)


@waybills.command("release")
def release_waybill(waybill: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Let a held one's label come out."""
    desk = _Desk(store)
    _show(desk.rooms.waybills.release(desk.actor, waybill), as_json)


@waybills.command("reconcile")
def reconcile(
    fix: Annotated[
        bool, typer.Option("--fix", help="Adopt what isn't recorded, cancel what no label shows.")
    ] = False,
    since: Annotated[
        datetime | None, typer.Option(help="Only waybills made since then, UTC; by default every one.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Only waybills made before then, UTC.")] = None,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Ask the network about each of our numbers and the totals of each point, and print the differences.

    Exit status 4 if there is a difference that isn't settled.
    """
    desk = _Desk(store)
    progress = None if as_json or not sys.stderr.isatty() else _say_asked
    found = desk.rooms.waybills.reconcile(
        desk.actor,
        since=since.replace(tzinfo=UTC) if since else None,
        until=until.replace(tzinfo=UTC) if until else None,
        fix=fix,
        progress=progress,
    )
    if as_json:
        _show(found, as_json)
    else:
        _show(list(found.points), as_json)
        _show(list(found.differences), as_json)
        left = sum(not one.fixed for one in found.differences)
        print(
            f"asked {found.asked}, unanswered {found.unanswered}, differences {len(found.differences)}, left {left}"
        )
    if any(not one.fixed for one in found.differences):
        raise typer.Exit(4)


def _say_asked(count: int) -> None:
    print(f"\rasked {count}", end="", file=sys.stderr, flush=True)


@waybills.command("print")
def print_waybill(
    waybill: str,
    printer: str,
    template: str = "",
    key: Key = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Print its label."""
    desk = _Desk(store)
    found = desk.rooms.waybills.get(desk.actor, waybill)
    job = desk.rooms.waybills.print(desk.actor, found.id, printer, key=_fresh(key), template=template or None)
    _show(job, as_json)


@waybills.command("reprint")
def reprint_waybill(
    waybill: str, printer: str, reason: str, key: Key = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Print its label again: marked, counted, with a reason."""
    desk = _Desk(store)
    found = desk.rooms.waybills.get(desk.actor, waybill)
    _show(desk.rooms.waybills.reprint(desk.actor, found.id, printer, reason, key=_fresh(key)), as_json)


@waybills.command("cancel")
def cancel_waybill(
    waybill: str, label_destroyed: bool = False, store: StoreName = "", as_json: AsJson = False
) -> None:
    """Give the number back; --label-destroyed where a label may be on paper."""
    desk = _Desk(store)
    found = desk.rooms.waybills.get(desk.actor, waybill)
    _show(desk.rooms.waybills.cancel(desk.actor, found.id, label_destroyed=label_destroyed), as_json)


@waybills.command("settle")
def settle_waybills(as_json: AsJson = False) -> None:
    """Ask the network about every number whose fate is open."""
    _show({"settled": _Desk().rooms.waybills.settle()}, as_json)


# -- batches -----------------------------------------------------------------------------------------------------


@batches.command("create")
def create_batch(
    file: str,
    carrier: Annotated[str, typer.Option(help="For files without such a column.")] = "",
    subscription: Annotated[
        str, typer.Option(help="Id of the network point for its carrier's parcels, where several are open.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would become of each row.")
    ] = False,
    key: Annotated[
        str, typer.Option("--key", help="Idempotency key; by default the same file is the same batch.")
    ] = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """File the parcels of a CSV or XLSX file; the daemon gets their numbers. A file without a sender shows the default one."""
    from labelsvc.waybills import DryRun

    desk = _Desk(store)
    found = desk.rooms.batches.from_file(
        desk.actor,
        Path(file).name,
        _read_bytes(file),
        carrier=carrier,
        sender=desk.rooms.addresses.default_party(desk.actor.store_id),
        subscription_id=subscription or None,
        key=key,
        dry_run=dry_run,
    )
    if not isinstance(found, DryRun):
        _show(found, as_json)
        return
    refused = [{"row": row.row, "errors": row.errors} for row in found.refused]
    _show({"rows": found.rows, "parcels": found.parcels, "refused": refused}, as_json)
    if refused:
        raise typer.Exit(4)


@batches.command("list")
def list_batches(
    after: After = "", limit: Limit = 50, store: StoreName = "", as_json: AsJson = False
) -> None:
    """List the batches, newest first."""
    desk = _Desk(store)
    _show(desk.rooms.batches.list(desk.actor, after or None, limit), as_json)


@batches.command("show")
def show_batch(batch_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Show how far one is."""
    desk = _Desk(store)
    _show(desk.rooms.batches.get(desk.actor, batch_id), as_json)


@batches.command("results")
def batch_results(
    batch_id: str,
    after: Annotated[int, typer.Option(min=0, help="Go on after this place.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 500,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """What became of each parcel so far."""
    desk = _Desk(store)
    _show(desk.rooms.batches.results(desk.actor, batch_id, after, limit), as_json)


@batches.command("work")
def work_batches(as_json: AsJson = False) -> None:
    """Work off what is due now, where no daemon runs; every store's."""
    room, results = _Desk().rooms.batches, 0
    while found := room.work():
        results += found
    _show({"results": results}, as_json)


@batches.command("template")
def batch_template(file: Path, as_json: AsJson = False) -> None:
    """Write a file to fill in: its name ends with .csv or .xlsx."""
    from labelsvc.waybills import template_csv, template_xlsx

    makers = {".csv": template_csv, ".xlsx": template_xlsx}
    if file.suffix not in makers:
        raise Invalid("must end with .csv or .xlsx", field="file")
    if file.exists():
        raise Conflict("a file of this name exists", code="file.exists", field="file")
    file.write_bytes(makers[file.suffix]())
    _show({"written": str(file)}, as_json)


# -- personal data and keys --------------------------------------------------------------------------------------


@app.command("audit")
def show_audit(
    after: Annotated[int, typer.Option(min=0, help="Go on after this number; 0: from the newest.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """The audit trail, newest first: who looked at personal data, or changed what protects them."""
    desk = _Desk(store)
    _show(desk.rooms.audit.list(desk.actor, after or None, limit), as_json)


@app.command()
def erase(
    days: Annotated[
        int, typer.Option(min=1, max=36500, help="Erase what is older; by default the setting.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much would be erased.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase the personal data of old waybills, orders, labels and batches of every store now; their records stay."""
    from labelsvc.daemon import Erasure

    rooms = _Desk().rooms
    days = days or rooms.settings.erase_after_days
    if not days:
        raise Invalid("say after how many days: the setting erase_after_days is 0", field="days")
    erasure, erased = Erasure.of(rooms, days), 0
    if dry_run:
        _show({"due": erasure.due(), "older_than_days": days}, as_json)
        return
    while found := erasure.round():
        erased += found
    _show({"erased": erased, "older_than_days": days}, as_json)


@app.command()
def backup(file: Path, as_json: AsJson = False) -> None:
    """Copy the database into a new file while it is in use; the sealing keys are not in it."""
    _Desk().rooms.database.backup(file)
    _show({"written": str(file)}, as_json)


@preferences.command("show")
def show_preferences(store: StoreName = "", as_json: AsJson = False) -> None:
    """What holds for the store."""
    desk = _Desk(store)
    _show(desk.rooms.preferences.get(desk.actor), as_json)


@preferences.command("set")
def set_preferences(
    clear_labels: Annotated[
        bool, typer.Option("--clear-labels/--masked-labels", help="Recipients on labels.")
    ],
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Choose what labels show of the recipient."""
    desk = _Desk(store)
    _show(desk.rooms.preferences.set(desk.actor, clear_labels=clear_labels), as_json)


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """The keys, and how many values need each."""
    _show(_Desk().rooms.keys.list(), as_json)


@keys.command("rotate")
def rotate_keys(as_json: AsJson = False) -> None:
    """Seal by a fresh key from now on, on one machine; running daemons follow. Then: reseal, and retire the old one."""
    _show({"current": _Desk().rooms.keys.rotate()}, as_json)


@keys.command("add")
def add_key(as_json: AsJson = False) -> None:
    """Of several machines: make a fresh key known, copy the key file to each, then use it."""
    _show({"added": _Desk().rooms.keys.add()}, as_json)


@keys.command("use")
def use_key(key_id: str, as_json: AsJson = False) -> None:
    """Seal by a key from now on that every machine knows."""
    _Desk().rooms.keys.use(key_id)
    _show({"current": key_id}, as_json)


@keys.command("reseal")
def reseal(as_json: AsJson = False) -> None:
    """Seal every value of older keys anew, in short steps while everything goes on. Left: what somebody was writing."""
    room, rows = _Desk().rooms.keys, 0
    while found := room.reseal():
        rows += found
    _show({"rows": rows, "left": room.left()}, as_json)


@keys.command("retire")
def retire_key(key_id: str, as_json: AsJson = False) -> None:
    """Take a key out for good once nothing needs it; what it sealed in old backups can't be read after that."""
    _Desk().rooms.keys.retire(key_id)
    _show({"retired": key_id}, as_json)


# -- printers, jobs, labels --------------------------------------------------------------------------------------


@templates.command("list")
def list_templates(as_json: AsJson = False) -> None:
    """List the standard templates."""
    from labelsvc.labels import StandardTemplates

    shelf = StandardTemplates()
    found = [shelf.get(name) for name in shelf.names()]
    _show(
        [{"name": one.name, "width_mm": one.width_mm, "height_mm": one.height_mm} for one in found], as_json
    )


@templates.command("check")
def check_templates(
    files: list[str],
    data: Annotated[str, typer.Option(help="A label's data, a JSON file (or -); a sample by default.")] = "",
    dpi: Dpi = 203,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with templates, FILE:LINE: ELEMENT: REASON; exit status 2 if one can't be used.

    Each is read, then composed with data. What goes wrong with the sample data alone is a warning: the sample can't know
    what a script expects.
    """
    given = _object(data) if data else None
    findings = [finding for file in files for finding in _findings(file, given, dpi)]
    if as_json:
        _show(findings, as_json)
    for one in () if as_json else findings:
        warning = "warning: " if one["severity"] == "warning" else ""
        print(f"{one['file']}:{one['line'] or 1}: {one['element']}: {warning}{one['reason']}")
    if any(one["severity"] == "error" for one in findings):
        raise typer.Exit(2)


def _findings(file: str, data: Mapping[str, Any] | None, dpi: int) -> Iterable[dict[str, Any]]:
    """What is wrong with a template, worst first: file, line, element, code, reason, severity."""
    from labelsvc.labels import compose_all, parse

    try:
        template = parse(_read_text(file), Path(file).stem)
    except TemplateError as error:
        yield _finding(file, error, "error")
        return
    try:
        pages = compose_all(template, _sample(template) if data is None else data, dpi)
    except Invalid as error:
        yield _finding(file, error, "warning" if data is None else "error")
        return
    told = dict.fromkeys(warning for page in pages for warning in page.warnings)
    for warning in told:
        where = re.search(r"(.*?) ?\(?line ([0-9]+)\)?$", warning.source)
        yield {
            "file": file,
            "line": int(where[2]) if where else None,
            "element": where[1] if where else warning.source or "page",
            "code": warning.code,
            "reason": warning.detail,
            "severity": "warning",
        }


def _finding(file: str, error: Invalid, severity: str) -> dict[str, Any]:
    line, element = error.facts.get("line"), error.facts.get("element")
    # The detail begins with what stands in fields of its own here.
    reason = re.sub(r"^(?:Line \d+(?:, [^:]*)?|[^:]* \(?line \d+\)?): ", "", error.detail)
    sample = "with sample data, " if severity == "warning" else ""
    return {
        "file": file,
        "line": line,
        "element": element or "template",
        "code": error.code,
        "reason": sample + reason,
        "severity": severity,
    }


@templates.command("render")
def render_template(
    template: Annotated[str, typer.Argument(help="A file, or the name of a standard template.")],
    data: Annotated[str, typer.Option(help="A label's data, a JSON file (or -); a sample by default.")] = "",
    area: Annotated[str, typer.Option(help="A custom area 自定义区 to put into its place, a file.")] = "",
    dpi: Dpi = 203,
    language: Annotated[str, typer.Option(help="png, pdf, or a printer's language such as zpl.")] = "png",
    out: Annotated[Path | None, typer.Option(help="Where to; by default NAME.LANGUAGE here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw one label of a template into a file, as a picture, a document, or a printer's bytes.

    Several pages of a label that splits are several pages of a PDF, labels of a printer, or pictures NAME-1, NAME-2 …
    """
    from labelsvc.labels import compose_all, parse
    from labelsvc.languages import Target, encode, write

    found = _template(template)
    custom = parse(_read_text(area), Path(area).stem) if area else None
    if custom and not custom.is_area:
        raise Invalid("A custom area's outermost element is a layout", field="area")
    label = _object(data) if data else _sample(found)
    if custom and not data:
        label = {**_sample(custom), **label}
    pages = compose_all(found, label, dpi, area=custom)
    target = Target(language, dpi=dpi)
    out = out or Path(f"{found.name}.{language}")
    files = {out: pages}
    if language == "png" and len(pages) > 1:
        files = {out.with_stem(f"{out.stem}-{at}"): (page,) for at, page in enumerate(pages, 1)}
    for file, its_pages in files.items():
        made = io.BytesIO()
        if len(its_pages) == 1:
            made.write(encode(its_pages[0], target, found.name))
        else:
            write(its_pages, target, made, found.name)
        _write_bytes(file, made.getvalue())
    told = dict.fromkeys(warning for page in pages for warning in page.warnings)
    _show(
        {
            "files": [str(file) for file in files],
            "pages": len(pages),
            "width_mm": found.width_mm,
            "height_mm": found.height_mm,
            "warnings": [f"{one.source}: {one.detail} [{one.code}]" for one in told],
        },
        as_json,
    )


@templates.command("new")
def new_template(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    size: Annotated[str, typer.Option(help="Width × height of the paper in mm, such as 100x180.")],
    out: Annotated[Path | None, typer.Option(help="Where to; by default NAME.xml here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented template to begin with; a file that is there already stays."""
    from labelsvc.labels import starter

    sides = re.fullmatch(r"\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*[x×]\s*([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*", size)
    if not sides:
        raise Invalid("The size is written like 100x180", field="size")
    text = starter(name, float(sides[1]), float(sides[2]))
    out = out or Path(f"{name}.xml")
    if out.exists():
        raise Invalid("There is such a file already", field="out")
    _write_bytes(out, text.encode())
    _show({"file": str(out)}, as_json)


def _template(named: str) -> Template:
    """The template in a file, or the standard one of this name."""
    from labelsvc.labels import StandardTemplates, parse

    if Path(named).suffix or Path(named).is_file():
        return parse(_read_text(named), Path(named).stem)
    return StandardTemplates().get(named)


def _sample(template: Template) -> dict[str, Any]:
    """Made-up data to show a template with."""
    from labelsvc.labels import sample_data
    from labelsvc.waybills import sample_of

    return sample_data(template, sample_of(template.paths))


def _object(file: str) -> dict[str, Any]:
    found = _read(file)
    if not isinstance(found, dict):
        raise Invalid("A label's data is one JSON object", field="data")
    return found


def _write_bytes(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Invalid(f"{file} can't be written ({error.strerror})", field="out") from None


@printers.command("profiles")
def list_profiles(as_json: AsJson = False) -> None:
    """List the known models."""
    _show(_Desk().rooms.profiles.all(), as_json)


@printers.command("list")
def list_printers(store: StoreName = "", as_json: AsJson = False) -> None:
    """List printers with their states."""
    desk = _Desk(store)
    _show(desk.rooms.printers.list(desk.actor), as_json)


@printers.command("add")
def add_printer(
    name: str, uri: str, profile: str, node: NodeName = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Add a printer: tcp://HOST:PORT, usb://VID:PID/SERIAL, serial:///dev/ttyUSB0, cups://QUEUE or file:///DIR, and its profile."""
    desk = _Desk(store)
    _show(desk.rooms.printers.add(desk.actor, name, uri=uri, profile=profile, node=node or None), as_json)


@printers.command("found")
def found_printers(
    network: Annotated[bool, typer.Option("--network", help="Listen to the network too.")] = False,
    seconds: Annotated[float, typer.Option(min=0, max=60, help="So long.")] = 3,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """List printers on this machine's USB bus and, with --network, those that announce themselves on the network.

    No address is tried that nobody announced, and no printer is sent anything.
    """
    from labelsvc.printing import Discovery

    desk = _Desk(store)
    discovery = Discovery(desk.rooms.printers, network=network)
    discovery.look(seconds if network else 0)
    _show(discovery.found(desk.actor), as_json)


@printers.command("probe")
def probe_printer(
    uri: str,
    add: Annotated[str, typer.Option(metavar="NAME", help="Add it under this name, once you agree.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Agree beforehand.")] = False,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Ask an idle printer what it is, and propose its profile.

    USB is asked by its device id alone, if that says enough. Else come control bytes, which print nothing, and last ~HI: a receipt
    printer that never answers prints these three letters with its next line. Nothing is asked while labels wait for the printer.
    """
    desk = _Desk(store)
    found = desk.rooms.printers.probe(desk.actor, uri)
    _show(found, as_json)
    if found.profile is None:
        print("labelsvc: it doesn't say what it is; choose from labelsvc printers profiles", file=sys.stderr)
    elif not add:
        words = ["labelsvc", "printers", "add", "NAME", uri, found.profile]
        print(f"labelsvc: to add it: {shlex.join(words)}", file=sys.stderr)
    elif yes or typer.confirm(f"Add {add} with the profile {found.profile}?", err=True):
        _show(desk.rooms.printers.add(desk.actor, add, uri=uri, profile=found.profile), as_json)


@printers.command("edit")
def edit_printer(
    printer: str,
    name: str = "",
    uri: str = "",
    profile: str = "",
    node: NodeName = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Change a printer's name, address, profile or machine (--node any: whichever can reach it)."""
    desk = _Desk(store)
    changed = desk.rooms.printers.edit(
        desk.actor,
        printer,
        name=name or None,
        uri=uri or None,
        profile=profile or None,
        node={"": None, "any": ""}.get(node, node),
    )
    _show(changed, as_json)


@printers.command("swap")
def swap_device(printer: str, uri: str, profile: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Another device stands in a printer's place: name, aliases, offsets and queue stay."""
    desk = _Desk(store)
    _show(desk.rooms.printers.swap(desk.actor, printer, uri, profile), as_json)


@printers.command("aliases")
def set_aliases(
    printer: str,
    aliases: Annotated[list[str] | None, typer.Argument(help="All of them; none: it has none.")] = None,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """What else a printer or a group is called, from now on."""
    desk = _Desk(store)
    _show(desk.rooms.printers.set_aliases(desk.actor, printer, aliases or []), as_json)


@printers.command("group")
def group_printers(
    name: str,
    members: Annotated[list[str], typer.Argument(help="Printers in the order of their turn.")],
    mode: Annotated[
        str, typer.Option(help="first: the first that can; spread: whichever is free.")
    ] = "first",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Make a group of printers, or give one of that name these printers."""
    desk = _Desk(store)
    made = desk.rooms.printers
    found = next((one for one in made.list(desk.actor) if one.is_group and one.name == name), None)
    chosen: Any = mode
    _show(
        made.edit_group(desk.actor, found.id, members=members, mode=chosen)
        if found
        else made.add_group(desk.actor, name, members, chosen),
        as_json,
    )


@printers.command("remove")
def remove_printer(printer: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Remove a printer that has nothing left to print."""
    desk = _Desk(store)
    desk.rooms.printers.remove(desk.actor, printer)
    _show({"removed": printer}, as_json)


@printers.command("pause")
def pause_printer(printer: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Stop after the label in hand."""
    desk = _Desk(store)
    _show(desk.rooms.printers.pause(desk.actor, printer), as_json)


@printers.command("resume")
def resume_printer(printer: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Go on."""
    desk = _Desk(store)
    _show(desk.rooms.printers.resume(desk.actor, printer), as_json)


@jobs.command("submit")
def submit_job(
    file: str,
    printer: str,
    key: Key = "",
    hold: bool = False,
    expire_s: Annotated[int, typer.Option(help="Cancel what hasn't left after so long; 0: never.")] = 0,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Print documents from a JSON file (or -): [{template, data, copies, title}]."""
    from labelsvc.printing import DocumentRequest, PrintRequest

    desk, found = _Desk(store), _read(file)
    documents = tuple(
        _noun(DocumentRequest, document, f"documents[{at}]")
        for at, document in enumerate(found if isinstance(found, list) else [found])
    )
    request = PrintRequest(
        printer, documents, _fresh(key), hold=hold, origin="cli", expire_s=expire_s or None
    )
    _show(desk.rooms.jobs.submit(desk.actor, request), as_json)


@jobs.command("print")
def print_file(
    file: Annotated[Path, typer.Argument(help="A PDF or a picture.", exists=True, dir_okay=False)],
    printer: str,
    size: Annotated[str, typer.Option(help="The paper, WIDTHxHEIGHT in mm.")] = "100x150",
    fit: Annotated[str, typer.Option(help="shrink, actual or fill.")] = "shrink",
    rotate: Annotated[str, typer.Option(help="auto, 0, 90, 180 or 270.")] = "auto",
    dither: Annotated[str, typer.Option(help="auto, threshold or diffusion.")] = "auto",
    copies: int = 1,
    number: Annotated[str, typer.Option(help="The waybill number on it.")] = "",
    key: Key = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Print a finished PDF or picture."""
    from labelsvc.printing import DocumentRequest, Picture, PrintRequest

    found = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)x(\d{1,4}(?:\.\d+)?)", size)
    if not found:
        raise Invalid("must be WIDTHxHEIGHT in mm, such as 100x150", field="size")
    desk = _Desk(store)
    picture = Picture(
        file.read_bytes(),
        float(found[1]),
        float(found[2]),
        fit=fit,  # type: ignore[arg-type]
        rotate=rotate,  # type: ignore[arg-type]
        dither=dither,  # type: ignore[arg-type]
    )
    document = DocumentRequest("picture", {}, copies=copies, picture=picture, number=number or None)
    request = PrintRequest(printer, (document,), _fresh(key), origin="cli")
    _show(desk.rooms.jobs.submit(desk.actor, request), as_json)


@jobs.command("list")
def list_jobs(after: After = "", limit: Limit = 50, store: StoreName = "", as_json: AsJson = False) -> None:
    """List print jobs."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.list(desk.actor, after=after or None, limit=limit), as_json)


@jobs.command("show")
def show_job(
    job_id: str,
    wait_s: Annotated[float, typer.Option(help="Wait so long for it to settle.")] = 0,
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Show a job and its labels."""
    desk = _Desk(store)
    _show(
        desk.rooms.jobs.wait(desk.actor, job_id, wait_s)
        if wait_s
        else desk.rooms.jobs.get(desk.actor, job_id),
        as_json,
    )


@jobs.command("hold")
def hold_job(job_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Hold a job's labels that wait."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.hold(desk.actor, job_id), as_json)


@jobs.command("release")
def release_job(job_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Let held labels go."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.release(desk.actor, job_id), as_json)


@jobs.command("release-moved")
def release_moved(store: StoreName = "", as_json: AsJson = False) -> None:
    """Let all labels go that are held because the database was restored or copied."""
    desk = _Desk(store)
    _show({"labels": desk.rooms.jobs.release_moved(desk.actor)}, as_json)


@jobs.command("cancel")
def cancel_job(job_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Cancel the labels that haven't begun."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.cancel(desk.actor, job_id), as_json)


@jobs.command("move")
def move_job(job_id: str, printer: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Print the labels that wait on another printer."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.move(desk.actor, job_id, printer), as_json)


@jobs.command("history")
def job_history(job_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Every step of every label of a job."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.history(desk.actor, job_id), as_json)


@labels.command("questions")
def list_questions(store: StoreName = "", as_json: AsJson = False) -> None:
    """List the labels that wait for a person's answer."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.questions(desk.actor), as_json)


@labels.command("confirm")
def confirm_label(
    label_id: str,
    wanted: Annotated[bool, typer.Option("--print/--dont")],
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Answer for the second copy of a waybill number: print it all the same, or don't."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.confirm(desk.actor, label_id, wanted), as_json)


@labels.command("resolve")
def resolve_label(
    label_id: str,
    came_out: Annotated[bool, typer.Option("--came-out/--did-not")],
    printer: Annotated[str, typer.Option(help="Where one that did not goes next.")] = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Answer for an uncertain label: it came out, or it did not and goes next."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.resolve(desk.actor, label_id, came_out, printer or None), as_json)


@labels.command("reprint")
def reprint_label(
    label_id: str, reason: str, key: Key = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Print a label again: marked, counted, with a reason."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.reprint(desk.actor, label_id, reason, _fresh(key)), as_json)


@labels.command("quality")
def label_quality(label_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """How well a label's barcodes can be scanned, by their geometry."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.quality(desk.actor, label_id), as_json)
