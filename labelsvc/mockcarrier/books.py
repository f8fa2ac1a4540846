"""The network's books: shops, services, balances, numbers and the log of every request, durable in one SQLite
file.

Hides the tables and the one discipline they are kept by: a request is written down and committed before
anything is done about it; what is done and how it ended are committed together, in one transaction, before
the answer leaves. So a kill at any moment loses nothing that was answered, and a number once counted is never
counted again.

Personal data stand in the waybill and service rows, which are the carrier's own; the log holds identifiers
only.
"""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labelsvc.mockcarrier.network import (
    CANCEL_QUOTA_FROM,
    EXISTS,
    FRANCHISE,
    NO_SUCH_SENDER,
    NO_SUCH_WAYBILL,
    NOT_ENOUGH,
    NOT_OPEN,
    OVER_QUOTA,
    PICKED_UP,
    SEVERAL_POINTS,
    WAS_CANCELLED,
    Address,
    Carrier,
    NetworkPoint,
    Parcel,
    Party,
    WaybillRequest,
    print_data,
)
from labelsvc.mockcarrier.wire import Mentions, Refused

_LAYOUT = """
CREATE TABLE IF NOT EXISTS secret (key BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS shop (shop TEXT PRIMARY KEY, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS account (
    shop TEXT NOT NULL, wp_code TEXT NOT NULL, branch_code TEXT NOT NULL, branch_name TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    allocated INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (shop, wp_code, branch_code)
);
CREATE TABLE IF NOT EXISTS service (
    application_id TEXT PRIMARY KEY, shop TEXT NOT NULL, wp_code TEXT NOT NULL, branch_code TEXT NOT NULL,
    province TEXT NOT NULL, city TEXT NOT NULL, district TEXT NOT NULL,
    town TEXT NOT NULL, detail TEXT NOT NULL, country TEXT NOT NULL,
    contact_name TEXT NOT NULL, contact_phone TEXT NOT NULL, settlement_account TEXT NOT NULL,
    agreement_version TEXT NOT NULL, applied_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed'))
);
CREATE UNIQUE INDEX IF NOT EXISTS one_point_per_address ON service
    (shop, wp_code, province, city, district, town, detail, country) WHERE state = 'open';
CREATE TABLE IF NOT EXISTS segment (wp_code TEXT PRIMARY KEY, given INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS waybill (
    id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, wp_code TEXT NOT NULL, shop TEXT NOT NULL,
    branch_code TEXT NOT NULL, orders TEXT NOT NULL, sorted_orders TEXT NOT NULL, package_id TEXT NOT NULL,
    object_id TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, print_data TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'picked_up', 'cancelled')), issued_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS waybill_by_parcel ON waybill (shop, sorted_orders, package_id);
CREATE INDEX IF NOT EXISTS waybill_by_object ON waybill (shop, object_id);
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, type TEXT NOT NULL, shop TEXT, digest TEXT,
    object_ids TEXT NOT NULL, orders TEXT NOT NULL, package_ids TEXT NOT NULL, numbers TEXT NOT NULL,
    code INTEGER, outcome_at TEXT, answer_dropped INTEGER NOT NULL DEFAULT 0
);
"""
_SERVICE_ADDRESS = "province = ? AND city = ? AND district = ? AND town = ? AND detail = ? AND country = ?"


@dataclass(frozen=True)
class Given:
    """A number in the books. 运单"""

    waybill_code: str
    wp_code: str
    state: str
    object_id: str
    orders: tuple[str, ...]
    package_id: str
    print_data: str
    issued_at: str


@dataclass(frozen=True)
class Application:
    """What a shop states when it opens a service at a network point. 开通申请"""

    carrier: Carrier
    point: NetworkPoint
    address: Address
    contact_name: str
    contact_phone: str
    settlement_account: str
    agreement_version: str


class Books:
    """The books file and everything that may be written into it.

    Any number of threads may use one object: they take turns. `perform` is the only way to the verbs that
    follow it, which take the shop first and raise Refused.
    """

    def __init__(self, path: Path, opening_balance: int) -> None:
        """Open or create the file, for its owner's eyes only; OSError or sqlite3.Error if that can't be done.

        `opening_balance`: numbers that a franchise point credits to a shop that opens its first service
        there.
        """
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._opening_balance = opening_balance
        self._turn = threading.Lock()
        self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._sql.row_factory = sqlite3.Row
        mode = self._sql.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        self._sql.execute("PRAGMA synchronous = FULL")
        # NORMAL would let a power cut undo a number that was already answered
        if mode != "wal" or self._sql.execute("PRAGMA synchronous").fetchone()[0] != 2:
            raise sqlite3.OperationalError("the books' file system can't keep a durable write-ahead log")
        self._sql.executescript(_LAYOUT)
        with self._transaction():
            if self._sql.execute("SELECT 1 FROM secret").fetchone() is None:
                self._sql.execute("INSERT INTO secret VALUES (?)", (secrets.token_bytes(32),))
        self._key: bytes = self._sql.execute("SELECT key FROM secret").fetchone()["key"]

    def close(self) -> None:
        """Wait for the transaction under way and close the file."""
        with self._turn:
            self._sql.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn:
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sql.execute("COMMIT")
            finally:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")

    # -- the log --

    def shop_of(self, token: str) -> str:
        """The shop that a token stands for: keyed, so that the log does not give the token away."""
        return hmac.digest(self._key, b"shop " + token.encode(), "sha256").hex()[:16]

    def digest(self, canonical: bytes) -> str:
        """A request's digest; keyed, because a bare hash over a telephone number can be guessed back."""
        return hmac.new(self._key, b"request " + canonical, hashlib.sha256).hexdigest()

    def note_arrival(
        self,
        type_: str,
        shop: str | None = None,
        digest: str | None = None,
        named: Mentions | None = None,
        code: int | None = None,
    ) -> int:
        """Commit that a request came, and with `code` that it was turned away at once; its sequence number."""
        named = named or Mentions()
        now = _now()
        with self._transaction():
            if shop is not None:
                self._sql.execute("INSERT OR IGNORE INTO shop VALUES (?, ?)", (shop, now))
            row = self._sql.execute(
                "INSERT INTO log"
                " (at, type, shop, digest, object_ids, orders, package_ids, numbers, code, outcome_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
                (
                    now,
                    type_,
                    shop,
                    digest,
                    _json(named.object_ids),
                    _json(named.orders),
                    _json(named.package_ids),
                    _json(named.numbers),
                    code,
                    None if code is None else now,
                ),
            ).fetchone()
        return int(row["seq"])

    def note_outcome(self, seq: int, code: int) -> None:
        """Commit that a request was turned away without effect."""
        with self._transaction():
            self._write_outcome(seq, code)

    def note_dropped(self, seq: int) -> None:
        """Commit that the answer to a request was withheld."""
        with self._transaction():
            self._sql.execute("UPDATE log SET answer_dropped = 1 WHERE seq = ?", (seq,))

    def perform(self, seq: int, verb: Callable[[], tuple[dict[str, Any], Sequence[str]]]) -> dict[str, Any]:
        """Do what request `seq` asks and write down how it ended, in one transaction; the answer.

        `verb` returns the answer and the waybill numbers in it. Refused and any other error undo every
        effect; their code is written down all the same.
        """
        fault: Exception | None = None
        answer: dict[str, Any] = {}
        with self._transaction():
            self._sql.execute("SAVEPOINT effect")
            try:
                answer, numbers = verb()
                self._write_outcome(seq, 0, numbers)
            except Exception as caught:
                fault = caught
                self._sql.execute("ROLLBACK TO effect")
                self._write_outcome(seq, caught.code if isinstance(caught, Refused) else 50000)
        if fault is not None:
            raise fault
        return answer

    def _write_outcome(self, seq: int, code: int, numbers: Sequence[str] = ()) -> None:
        self._sql.execute("UPDATE log SET code = ?, outcome_at = ? WHERE seq = ?", (code, _now(), seq))
        if numbers:
            self._sql.execute("UPDATE log SET numbers = ? WHERE seq = ?", (_json(numbers), seq))

    def log_after(self, seq: int) -> list[dict[str, Any]]:
        """The log's entries after `seq`, oldest first. `code` is null while, or because, a request never came
        to an end.
        """
        with self._turn:
            rows = self._sql.execute("SELECT * FROM log WHERE seq > ? ORDER BY seq", (seq,)).fetchall()
        entries = [dict(row) for row in rows]
        for entry in entries:
            for column in ("object_ids", "orders", "package_ids", "numbers"):
                entry[column] = json.loads(entry[column])
            entry["answer_dropped"] = bool(entry["answer_dropped"])
        return entries

    def overview(self) -> dict[str, list[dict[str, Any]]]:
        """All numbers ever given and all accounts, without personal data."""
        with self._turn:
            numbers = self._sql.execute(
                "SELECT number, wp_code, state, orders, package_id, object_id, shop, branch_code, issued_at"
                " FROM waybill ORDER BY id"
            ).fetchall()
            accounts = self._sql.execute(
                "SELECT * FROM account ORDER BY shop, wp_code, branch_code"
            ).fetchall()
        waybills = [dict(row) | {"orders": json.loads(row["orders"])} for row in numbers]
        return {"waybills": waybills, "accounts": [dict(row) for row in accounts]}

    # -- verbs, inside perform --

    def issue(self, shop: str, request: WaybillRequest, repeat: str) -> list[Given]:
        """Give a number for each parcel, or refuse the whole batch.

        `repeat` says what happens to a parcel that has a live number: `same` gives that one, `new` a further
        one, `exists` refuses.
        """
        service = self._service_at(shop, request.carrier, request.sender.address)
        return [self._issue_one(shop, service, request, parcel, repeat) for parcel in request.parcels]

    def _service_at(self, shop: str, carrier: Carrier, address: Address) -> sqlite3.Row:
        opened = self._sql.execute(
            "SELECT 1 FROM service WHERE shop = ? AND wp_code = ? AND state = 'open'", (shop, carrier.wp_code)
        ).fetchone()
        if opened is None:
            raise Refused(50002, NOT_OPEN)
        service: sqlite3.Row | None = self._sql.execute(
            "SELECT account.* FROM service JOIN account USING (shop, wp_code, branch_code)"
            f" WHERE shop = ? AND wp_code = ? AND state = 'open' AND {_SERVICE_ADDRESS}",
            (shop, carrier.wp_code, *astuple(address)),
        ).fetchone()
        if service is None:
            raise Refused(50002, NO_SUCH_SENDER)
        return service

    def _issue_one(
        self, shop: str, service: sqlite3.Row, request: WaybillRequest, parcel: Parcel, repeat: str
    ) -> Given:
        live = self._sql.execute(
            "SELECT * FROM waybill WHERE shop = ? AND sorted_orders = ? AND package_id = ?"
            " AND state <> 'cancelled' ORDER BY id",
            (shop, _json(sorted(parcel.orders)), parcel.package_id),
        ).fetchall()
        carrier, sender = request.carrier, request.sender
        if any(
            row["wp_code"] != carrier.wp_code
            or json.loads(row["sender"])["address"] != asdict(sender.address)
            for row in live
        ):
            raise Refused(50002, SEVERAL_POINTS)
        if live and repeat == "exists":
            raise Refused(50002, EXISTS)
        if live and repeat == "same":
            for who, party in (("sender", sender), ("recipient", parcel.recipient)):
                if live[0][who] != _party_text(party):
                    raise Refused(50002, f"the parcel's waybill has another {who}: cancel it first")
            return _given(live[0])
        return self._give(shop, service, carrier, sender, parcel)

    def _give(
        self, shop: str, service: sqlite3.Row, carrier: Carrier, sender: Party, parcel: Parcel
    ) -> Given:
        prepaid = 1 if carrier.wp_type == FRANCHISE else 0
        if service["quantity"] < prepaid:
            raise Refused(50002, NOT_ENOUGH)
        paid = self._sql.execute(
            "UPDATE account SET quantity = quantity - ?, allocated = allocated + 1"
            " WHERE shop = ? AND wp_code = ? AND branch_code = ? AND quantity >= ?",
            (prepaid, shop, carrier.wp_code, service["branch_code"], prepaid),
        )
        if paid.rowcount != 1:  # an earlier parcel of the same batch took the last one
            raise Refused(50002, NOT_ENOUGH)
        count = self._sql.execute(
            "INSERT INTO segment VALUES (?, 1) ON CONFLICT DO UPDATE SET given = given + 1 RETURNING given",
            (carrier.wp_code,),
        ).fetchone()["given"]
        number = carrier.number(count)
        row = self._sql.execute(
            "INSERT INTO waybill (number, wp_code, shop, branch_code, orders, sorted_orders, package_id,"
            " object_id, sender, recipient, print_data, state, issued_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'live', ?) RETURNING *",
            (
                number,
                carrier.wp_code,
                shop,
                service["branch_code"],
                _json(parcel.orders),
                _json(sorted(parcel.orders)),
                parcel.package_id,
                parcel.object_id,
                _party_text(sender),
                _party_text(parcel.recipient),
                print_data(carrier, number, sender, parcel, service["branch_code"], service["branch_name"]),
                _now(),
            ),
        ).fetchone()
        return _given(row)

    def cancel(self, shop: str, carrier: Carrier, number: str) -> None:
        """Take a number back and credit it; a second time changes nothing. Refused: picked up, or over the
        quota.
        """
        row = self._waybill(shop, carrier, number)
        if row["state"] == "cancelled":
            return
        if row["state"] == "picked_up":
            raise Refused(50002, PICKED_UP)
        where = (shop, carrier.wp_code, row["branch_code"])
        account = self._sql.execute(
            "SELECT * FROM account WHERE shop = ? AND wp_code = ? AND branch_code = ?", where
        ).fetchone()
        over = 5 * (account["cancelled"] + 1) > account["allocated"]
        if over and account["allocated"] > CANCEL_QUOTA_FROM:
            raise Refused(50002, OVER_QUOTA)
        self._sql.execute("UPDATE waybill SET state = 'cancelled' WHERE id = ?", (row["id"],))
        self._sql.execute(
            "UPDATE account SET quantity = quantity + ?, cancelled = cancelled + 1"
            " WHERE shop = ? AND wp_code = ? AND branch_code = ?",
            (1 if carrier.wp_type == FRANCHISE else 0, *where),
        )

    def pick_up(self, shop: str, carrier: Carrier, number: str) -> None:
        """The courier scans the parcel: from now on the number can't be cancelled."""
        row = self._waybill(shop, carrier, number)
        if row["state"] == "cancelled":
            raise Refused(50002, WAS_CANCELLED)
        self._sql.execute("UPDATE waybill SET state = 'picked_up' WHERE id = ?", (row["id"],))

    def by_number(self, shop: str, carrier: Carrier, number: str) -> Given:
        """A number that is not cancelled, with its print data."""
        row = self._waybill(shop, carrier, number)
        if row["state"] == "cancelled":
            raise Refused(50002, WAS_CANCELLED)
        return _given(row)

    def _waybill(self, shop: str, carrier: Carrier, number: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._sql.execute(
            "SELECT * FROM waybill WHERE shop = ? AND wp_code = ? AND number = ?",
            (shop, carrier.wp_code, number),
        ).fetchone()
        if row is None:
            raise Refused(50002, NO_SUCH_WAYBILL)
        return row

    def find(self, shop: str, orders: tuple[str, ...], object_id: str, package_id: str | None) -> list[Given]:
        """Every number, live or not, of a parcel named by all its orders or by its object id, oldest first.

        `package_id` None finds the numbers of every package of these orders.
        """
        if orders:
            rows = self._sql.execute(
                "SELECT * FROM waybill WHERE shop = ? AND sorted_orders = ? ORDER BY id",
                (shop, _json(sorted(orders))),
            ).fetchall()
        else:
            rows = self._sql.execute(
                "SELECT * FROM waybill WHERE shop = ? AND object_id = ? ORDER BY id", (shop, object_id)
            ).fetchall()
        return [_given(row) for row in rows if package_id is None or row["package_id"] == package_id]

    def apply(self, shop: str, application: Application) -> str:
        """Open a service and return its application id; the same application again returns the same id.

        Refused: the address is open at another point of this carrier, or here with another settlement
        account.
        """
        wp_code, branch_code = application.carrier.wp_code, application.point.branch_code
        standing = self._sql.execute(
            f"SELECT * FROM service WHERE shop = ? AND wp_code = ? AND state = 'open' AND {_SERVICE_ADDRESS}",
            (shop, wp_code, *astuple(application.address)),
        ).fetchone()
        if standing is not None:
            if standing["branch_code"] != branch_code:
                raise Refused(50002, "address: is open already at another network point of this carrier")
            if standing["settlement_account"] != application.settlement_account:
                raise Refused(50002, "settlement_account: the service is open with another one")
            return str(standing["application_id"])
        credit = self._opening_balance if application.carrier.wp_type == FRANCHISE else 0
        self._sql.execute(
            "INSERT INTO account (shop, wp_code, branch_code, branch_name, quantity) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (shop, wp_code, branch_code, application.point.branch_name, credit),
        )
        application_id = f"A{secrets.token_hex(8)}"
        self._sql.execute(
            "INSERT INTO service VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')",
            (
                application_id,
                shop,
                wp_code,
                branch_code,
                *astuple(application.address),
                application.contact_name,
                application.contact_phone,
                application.settlement_account,
                application.agreement_version,
                _now(),
            ),
        )
        return application_id

    def close_service(self, shop: str, application_id: str) -> None:
        """End a service; numbers already given stay good. A second time changes nothing."""
        closed = self._sql.execute(
            "UPDATE service SET state = 'closed' WHERE shop = ? AND application_id = ?",
            (shop, application_id),
        )
        if closed.rowcount == 0:
            raise Refused(50002, "application_id: no such application")

    def recharge(self, shop: str, carrier: Carrier, branch_code: str, quantity: int) -> int:
        """Buy numbers at a point where the shop has an account; the new balance."""
        if carrier.wp_type != FRANCHISE:
            raise Refused(50002, "wp_code: a direct-operated carrier has no prepaid balance")
        row = self._sql.execute(
            "UPDATE account SET quantity = quantity + ? WHERE shop = ? AND wp_code = ? AND branch_code = ?"
            " RETURNING quantity",
            (quantity, shop, carrier.wp_code, branch_code),
        ).fetchone()
        if row is None:
            raise Refused(50002, "branch_code: the shop has no account at this network point")
        return int(row["quantity"])

    def services(self, shop: str, carrier: Carrier) -> list[tuple[dict[str, Any], list[Address]]]:
        """The shop's accounts at a carrier that have open services, each with the addresses opened there."""
        found = []
        for account in self._sql.execute(
            "SELECT * FROM account WHERE shop = ? AND wp_code = ? ORDER BY branch_code",
            (shop, carrier.wp_code),
        ).fetchall():
            rows = self._sql.execute(
                "SELECT province, city, district, town, detail, country FROM service"
                " WHERE shop = ? AND wp_code = ? AND branch_code = ? AND state = 'open' ORDER BY applied_at",
                (shop, carrier.wp_code, account["branch_code"]),
            ).fetchall()
            if rows:
                found.append((dict(account), [Address(**dict(row)) for row in rows]))
        return found


def _given(row: sqlite3.Row) -> Given:
    return Given(
        waybill_code=row["number"],
        wp_code=row["wp_code"],
        state=row["state"],
        object_id=row["object_id"],
        orders=tuple(json.loads(row["orders"])),
        package_id=row["package_id"],
        print_data=row["print_data"],
        issued_at=row["issued_at"],
    )


def _party_text(party: Party) -> str:
    return _json(asdict(party))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
