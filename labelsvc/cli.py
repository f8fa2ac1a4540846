"""The operator's door: every command is one call on one room; ``--json`` gives every answer as JSON.

Commands act for one store (``--store``, or LABELSVC_STORE; needless where there is only one) with every right in it: who
may read the key file may do everything anyway. Exit status: 0 done, 2 wrong input, 3 not found, 4 conflict or refused,
5 the other side doesn't answer, 1 anything else.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelsvc import __version__, log, settings
from labelsvc.errors import Conflict, Invalid, LabelsvcError, NotFound, Refused, Unavailable
from labelsvc.security import Actor, Role, StoreKind

if TYPE_CHECKING:
    from labelsvc.daemon import Rooms

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
printers = _group("printers", "Printers 打印机.")
jobs = _group("jobs", "Print jobs 打印任务.")
labels = _group("labels", "Single labels 标签.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
StoreName = Annotated[str, typer.Option("--store", envvar="LABELSVC_STORE", help="Store, by name or id.")]
Key = Annotated[str, typer.Option("--key", help="Idempotency key; a fresh one by default.")]
After = Annotated[str, typer.Option(help="Go on after this id.")]
Limit = Annotated[int, typer.Option(min=1, max=100)]

EXITS: tuple[tuple[type[LabelsvcError], int], ...] = (
    (Invalid, 2),
    (NotFound, 3),
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
        problem = {"code": error.code, "detail": error.detail, "errors": _plain(error.errors), **error.facts}
        print(json.dumps(problem, ensure_ascii=False), file=sys.stderr)
        return
    print(f"labelsvc: {error.detail} [{error.code}]", file=sys.stderr)
    for fault in error.errors:
        print(f"  {fault.field}: {fault.reason}", file=sys.stderr)


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
    """Print a noun, or a list of them."""
    plain = _plain(value)
    if as_json:
        print(json.dumps(plain, ensure_ascii=False, indent=2))
        return
    for row in plain if isinstance(plain, list) else [plain]:
        print("  ".join(_cells(row)) if isinstance(row, dict) else row)


def _cells(row: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _cells(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            yield f"{prefix}{name}={json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value}"


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


def _fresh(key: str) -> str:
    return key or f"cli-{uuid.uuid4()}"


# -- the service -------------------------------------------------------------------------------------------------


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    _show({"version": __version__}, as_json)


@app.command()
def serve() -> None:
    """Run the service in the foreground."""
    from labelsvc import daemon

    daemon.serve(settings.load())


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
    from labelsvc.waybills import Application

    desk = _Desk(store)
    _show(desk.rooms.subscriptions.apply(desk.actor, _noun(Application, _read(file), "application")), as_json)


@subscriptions.command("list")
def list_subscriptions(store: StoreName = "", as_json: AsJson = False) -> None:
    """List the applications with their states."""
    desk = _Desk(store)
    _show(desk.rooms.subscriptions.list(desk.actor), as_json)


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
    _show(desk.rooms.subscriptions.close(desk.actor, subscription_id), as_json)


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


@orders.command("show")
def show_order(order_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Show one order."""
    desk = _Desk(store)
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
def show_waybill(waybill: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Show one, by id or number."""
    desk = _Desk(store)
    _show(desk.rooms.waybills.get(desk.actor, waybill), as_json)


@waybills.command("issue")
def issue_waybill(file: str, key: Key = "", store: StoreName = "", as_json: AsJson = False) -> None:
    """Get a number for a parcel from a JSON file (or -): carrier, orders, recipient, shown_sender, items [{name, count}]."""
    from labelsvc.waybills import IssueRequest, Item, Party

    desk, fields = _Desk(store), _read(file)
    if isinstance(fields, dict):
        items = fields.get("items")
        fields["items"] = tuple(
            _noun(Item, item, f"items[{at}]")
            for at, item in enumerate(items if isinstance(items, list) else [])
        )
        fields["orders"] = tuple(fields.get("orders") or ())
        for party in ("recipient", "shown_sender", "origin"):
            if fields.get(party) is not None:
                fields[party] = _noun(Party, fields[party], party)
    request = _noun(IssueRequest, fields, "waybill")
    _show(desk.rooms.waybills.issue(desk.actor, request, key=_fresh(key)), as_json)


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


# -- printers, jobs, labels --------------------------------------------------------------------------------------


@app.command("templates")
def list_templates(as_json: AsJson = False) -> None:
    """List the standard templates."""
    templates = _Desk().rooms.templates
    found = [templates.get(name) for name in templates.names()]
    _show(
        [{"name": one.name, "width_mm": one.width_mm, "height_mm": one.height_mm} for one in found], as_json
    )


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
def add_printer(name: str, uri: str, profile: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Add a printer: tcp://HOST:PORT or file:///DIR, and its profile."""
    desk = _Desk(store)
    _show(desk.rooms.printers.add(desk.actor, name, uri=uri, profile=profile), as_json)


@printers.command("edit")
def edit_printer(
    printer: str,
    name: str = "",
    uri: str = "",
    profile: str = "",
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Change a printer's name, address or profile."""
    desk = _Desk(store)
    changed = desk.rooms.printers.edit(
        desk.actor, printer, name=name or None, uri=uri or None, profile=profile or None
    )
    _show(changed, as_json)


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
    file: str, printer: str, key: Key = "", hold: bool = False, store: StoreName = "", as_json: AsJson = False
) -> None:
    """Print documents from a JSON file (or -): [{template, data, copies, title}]."""
    from labelsvc.printing import DocumentRequest, PrintRequest

    desk, found = _Desk(store), _read(file)
    documents = tuple(
        _noun(DocumentRequest, document, f"documents[{at}]")
        for at, document in enumerate(found if isinstance(found, list) else [found])
    )
    request = PrintRequest(printer, documents, _fresh(key), hold=hold, origin="cli")
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


@jobs.command("cancel")
def cancel_job(job_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Cancel the labels that haven't begun."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.cancel(desk.actor, job_id), as_json)


@jobs.command("history")
def job_history(job_id: str, store: StoreName = "", as_json: AsJson = False) -> None:
    """Every step of every label of a job."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.history(desk.actor, job_id), as_json)


@labels.command("resolve")
def resolve_label(
    label_id: str,
    came_out: Annotated[bool, typer.Option("--came-out/--did-not")],
    store: StoreName = "",
    as_json: AsJson = False,
) -> None:
    """Answer for an uncertain label: it came out, or it did not and goes next."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.resolve(desk.actor, label_id, came_out), as_json)


@labels.command("reprint")
def reprint_label(
    label_id: str, reason: str, key: Key = "", store: StoreName = "", as_json: AsJson = False
) -> None:
    """Print a label again: marked, counted, with a reason."""
    desk = _Desk(store)
    _show(desk.rooms.jobs.reprint(desk.actor, label_id, reason, _fresh(key)), as_json)
