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
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from labelsvc.mockcarrier.network import (
    CANCEL_QUOTA_FROM,
    CARRIERS,
    EXISTS,
    FRANCHISE,
    NO_SUCH_SENDER,
    NO_SUCH_WAYBILL,
    NOT_ENOUGH,
    NOT_OPEN,
    OVER_QUOTA,
    PICKED_UP,
    PICKED_UP_UPDATE,
    SCANS,
    SEALED,
    SEVERAL_POINTS,
    STAGES,
    SUSPENDED,
    UNDER_REVIEW,
    WAS_CANCELLED,
    Address,
    Carrier,
    NetworkPoint,
    Parcel,
    Party,
    Printable,
    UpdateRequest,
    WaybillRequest,
    print_data,
    reprinted,
    route,
)
from labelsvc.mockcarrier.wire import Mentions, ParcelAsked, Refused

_LAYOUT = """
CREATE TABLE IF NOT EXISTS secret (key BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS shop (shop TEXT PRIMARY KEY, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS token (
    access TEXT PRIMARY KEY, shop TEXT NOT NULL, expires_s INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS refresh_token (
    refresh TEXT PRIMARY KEY, owner_name TEXT NOT NULL, expires_s INTEGER NOT NULL
);
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
    agreement_version TEXT NOT NULL, applied_at TEXT NOT NULL, branch_name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('under_review', 'open', 'rejected', 'suspended', 'closed')),
    reason TEXT NOT NULL DEFAULT '', review_due_at TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_point_per_address ON service
    (shop, wp_code, province, city, district, town, detail, country)
    WHERE state IN ('under_review', 'open', 'suspended');
CREATE INDEX IF NOT EXISTS review_due ON service (review_due_at) WHERE state = 'under_review';
CREATE TABLE IF NOT EXISTS segment (wp_code TEXT PRIMARY KEY, given INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS waybill (
    id INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE, wp_code TEXT NOT NULL, shop TEXT NOT NULL,
    branch_code TEXT NOT NULL, orders TEXT NOT NULL, sorted_orders TEXT NOT NULL, package_id TEXT NOT NULL,
    object_id TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, print_data TEXT NOT NULL,
    parent TEXT NOT NULL, issued_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('live', 'picked_up', 'in_transit', 'signed', 'cancelled'))
);
CREATE INDEX IF NOT EXISTS waybill_by_parcel ON waybill (shop, sorted_orders, package_id);
CREATE INDEX IF NOT EXISTS waybill_by_object ON waybill (shop, object_id);
CREATE TABLE IF NOT EXISTS parent (
    number TEXT NOT NULL UNIQUE, shop TEXT NOT NULL, wp_code TEXT NOT NULL, sorted_orders TEXT NOT NULL,
    pieces INTEGER NOT NULL, PRIMARY KEY (shop, wp_code, sorted_orders, pieces)
);
CREATE TABLE IF NOT EXISTS scan (
    id INTEGER PRIMARY KEY, waybill_id INTEGER NOT NULL, action TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS scan_by_waybill ON scan (waybill_id);
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, type TEXT NOT NULL, shop TEXT, digest TEXT,
    object_ids TEXT NOT NULL, orders TEXT NOT NULL, package_ids TEXT NOT NULL, numbers TEXT NOT NULL,
    code INTEGER, outcome_at TEXT, answer_dropped INTEGER NOT NULL DEFAULT 0,
    parcels TEXT NOT NULL, fault TEXT NOT NULL, replay_of INTEGER
);
"""
_LAYOUT_VERSION = 3
_REFRESH_LIFETIME_S = 30 * 86_400
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_STANDING = "state IN ('under_review', 'open', 'suspended')"
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
    parent: str
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


@dataclass(frozen=True)
class Applied:
    """How an application stands: under_review, open, rejected, suspended or closed. 审核"""

    application_id: str
    state: str
    reason: str


@dataclass(frozen=True)
class Tokens:
    """What a shop's consent is worth: its tokens, and whose they are. Times are Unix seconds. 授权"""

    access_token: str
    expires_s: int
    refresh_token: str
    refresh_expires_s: int
    owner_id: str
    owner_name: str


#: What a reviewer may decide: from which states, to which.
DECISIONS = {
    "approve": (("under_review",), "open"),
    "reject": (("under_review",), "rejected"),
    "suspend": (("open",), "suspended"),
    "resume": (("suspended",), "open"),
}


class Closed(Exception):
    """The books are closed: the program ends."""


class Books:
    """The books file and everything that may be written into it.

    Any number of threads may use one object: they take turns. `perform` is the only way to the verbs that
    follow it, which take the shop first and raise Refused.
    """

    def __init__(self, path: Path, opening_balance: int, further_layout: str = "") -> None:
        """Open or create the file, for its owner's eyes only; OSError or sqlite3.Error if that can't be done.

        `opening_balance`: numbers that a franchise point credits to a shop that opens its first service
        there. `further_layout`: a script of further tables that live in the same file.
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
        version = self._sql.execute("PRAGMA user_version").fetchone()[0]
        if version != _LAYOUT_VERSION and self._sql.execute("SELECT 1 FROM sqlite_schema").fetchone():
            self._sql.close()
            raise sqlite3.OperationalError("the books are another version's; begin new ones")
        self._sql.executescript(_LAYOUT + further_layout)
        self._sql.execute(f"PRAGMA user_version = {_LAYOUT_VERSION}")
        self._closed = False
        with self._transaction():
            if self._sql.execute("SELECT 1 FROM secret").fetchone() is None:
                self._sql.execute("INSERT INTO secret VALUES (?)", (secrets.token_bytes(32),))
        self._key: bytes = self._sql.execute("SELECT key FROM secret").fetchone()["key"]

    def close(self) -> None:
        """Wait for the transaction under way and close the file."""
        with self._turn:
            self._closed = True
            self._sql.close()

    @property
    def sql(self) -> sqlite3.Connection:
        """The file, for verbs of other calls inside `perform`; rows are read by name."""
        return self._sql

    @contextmanager
    def _transaction(self, to_disk: bool = True) -> Iterator[None]:
        """One turn, all of it or nothing. Without `to_disk` the commit outlives a kill of the program, but a
        power cut only once a later one was to disk.
        """
        with self._taking_turn():
            self._sql.execute(f"PRAGMA synchronous = {'FULL' if to_disk else 'NORMAL'}")
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._sql.execute("COMMIT")
            finally:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")

    @contextmanager
    def _taking_turn(self) -> Iterator[None]:
        with self._turn:
            if self._closed:
                raise Closed
            yield

    # -- the log --

    def shop_of(self, token: str) -> str:
        """The shop that a token stands for: keyed, so that the log does not give the token away."""
        return hmac.digest(self._key, b"shop " + token.encode(), "sha256").hex()[:16]

    def _shop_of_owner(self, name: str) -> str:
        return hmac.digest(self._key, b"owner " + name.encode(), "sha256").hex()[:16]

    def _token_digest(self, token: str) -> str:
        return hmac.digest(self._key, b"token " + token.encode(), "sha256").hex()

    def shop_by(self, token: str, strict: bool) -> str:
        """The shop that a call's token stands for. A token that was made here and is past its time is refused
        with 10019. One that was not made here is a shop of its own, and `strict` refuses it with 20032.
        """
        with self._taking_turn():
            row = self._sql.execute(
                "SELECT shop, expires_s FROM token WHERE access = ?", (self._token_digest(token),)
            ).fetchone()
        if row is not None:
            if row["expires_s"] <= time.time():
                raise Refused(10019, "access_token: expired")
            return str(row["shop"])
        if strict:
            raise Refused(20032, "access_token: no such token")
        return self.shop_of(token)

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
        parcels: Sequence[ParcelAsked] = (),
        fault: str = "",
        replay_of: int | None = None,
    ) -> int:
        """Commit that a request came, and with `code` that it was turned away at once; its sequence number.

        A request without an outcome had no effect, so this one alone need not wait for the disk. `fault`: what will go wrong with it on request; `replay_of`: the request that it replays.
        """
        named = named or Mentions()
        now = _now()
        marks = [
            {"package_id": one.package_id, "object_id": one.object_id, "digest": self.digest(one.content)}
            for one in parcels
        ]
        with self._transaction(to_disk=False):
            if shop:
                self._sql.execute("INSERT OR IGNORE INTO shop VALUES (?, ?)", (shop, now))
            row = self._sql.execute(
                "INSERT INTO log"
                " (at, type, shop, digest, object_ids, orders, package_ids, numbers, code, outcome_at,"
                " parcels, fault, replay_of)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
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
                    _json(marks),
                    fault,
                    replay_of,
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
            self._settle_reviews()
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
        with self._taking_turn():
            rows = self._sql.execute("SELECT * FROM log WHERE seq > ? ORDER BY seq", (seq,)).fetchall()
        entries = [dict(row) for row in rows]
        for entry in entries:
            for column in ("object_ids", "orders", "package_ids", "numbers", "parcels"):
                entry[column] = json.loads(entry[column])
            entry["answer_dropped"] = bool(entry["answer_dropped"])
        return entries

    def overview(self) -> dict[str, list[dict[str, Any]]]:
        """All numbers ever given, all accounts and all applications, without personal data."""
        with self._transaction():
            self._settle_reviews()
            numbers = self._sql.execute(
                "SELECT number, wp_code, state, orders, package_id, object_id, shop, branch_code, parent,"
                " issued_at FROM waybill ORDER BY id"
            ).fetchall()
            accounts = self._sql.execute(
                "SELECT * FROM account ORDER BY shop, wp_code, branch_code"
            ).fetchall()
            services = self._sql.execute(
                "SELECT application_id, shop, wp_code, branch_code, state FROM service ORDER BY rowid"
            ).fetchall()
        return {
            "waybills": [dict(row) | {"orders": json.loads(row["orders"])} for row in numbers],
            "accounts": [dict(row) for row in accounts],
            "subscriptions": [dict(row) for row in services],
        }

    # -- the review --

    def applications(self) -> list[dict[str, Any]]:
        """Every application as a reviewer sees it, with its contact; the newest first."""
        with self._transaction():
            self._settle_reviews()
            rows = self._sql.execute("SELECT * FROM service ORDER BY rowid DESC LIMIT 500").fetchall()
        return [dict(row) for row in rows]

    def decide(self, application_id: str, decision: str, reason: str) -> Applied:
        """What a reviewer decides about an application. ValueError: no such application or decision, a
        rejection without a reason, or a state from which that can't be decided.
        """
        if decision not in DECISIONS:
            raise ValueError(f"decision: one of {', '.join(DECISIONS)}")
        if decision == "reject" and not reason:
            raise ValueError("reason: a rejection needs one")
        sources, target = DECISIONS[decision]
        with self._transaction():
            self._settle_reviews()
            row = self._sql.execute(
                "SELECT * FROM service WHERE application_id = ?", (application_id,)
            ).fetchone()
            if row is None:
                raise ValueError("application_id: no such application")
            if row["state"] not in sources:
                raise ValueError(f"decision: can't {decision} what is {row['state']}")
            self._sql.execute(
                "UPDATE service SET state = ?, reason = ?, review_due_at = NULL WHERE application_id = ?",
                (target, reason, application_id),
            )
            if target == "open":
                self._credit(row)
        return Applied(application_id, target, reason)

    def _settle_reviews(self) -> None:
        """Open what was to be reviewed by now."""
        due = self._sql.execute(
            "UPDATE service SET state = 'open', review_due_at = NULL"
            " WHERE state = 'under_review' AND review_due_at <= ? RETURNING *",
            (_now(),),
        ).fetchall()
        for row in due:
            self._credit(row)

    def _credit(self, service: sqlite3.Row) -> None:
        """Open the shop's account at a service's point, unless it has one."""
        franchise = CARRIERS[service["wp_code"]].wp_type == FRANCHISE
        self._sql.execute(
            "INSERT INTO account (shop, wp_code, branch_code, branch_name, quantity) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (
                service["shop"],
                service["wp_code"],
                service["branch_code"],
                service["branch_name"],
                self._opening_balance if franchise else 0,
            ),
        )

    def has_live_number(self, shop: str, parcels: Sequence[ParcelAsked]) -> bool:
        """Whether one of these parcels has a number that is not cancelled."""
        with self._taking_turn():
            return any(
                self._sql.execute(
                    "SELECT 1 FROM waybill WHERE shop = ? AND sorted_orders = ? AND package_id = ?"
                    " AND state <> 'cancelled'",
                    (shop, _json(sorted(one.orders)), one.package_id),
                ).fetchone()
                for one in parcels
            )

    # -- verbs, inside perform --

    def issue(self, shop: str, request: WaybillRequest, repeat: str) -> list[Given]:
        """Give a number for each parcel, or refuse the whole batch.

        `repeat` says what happens to a parcel that has a live number: `same` gives that one, `new` a further
        one, `exists` refuses.
        """
        service = self._service_at(shop, request.carrier, request.sender.address)
        given = [self._issue_one(shop, service, request, parcel, repeat) for parcel in request.parcels]
        self._pay(service, request.carrier, sum(fresh for _, fresh in given))
        return [waybill for waybill, _ in given]

    def _pay(self, account: sqlite3.Row, carrier: Carrier, numbers: int) -> None:
        prepaid = numbers if carrier.wp_type == FRANCHISE else 0
        paid = self._sql.execute(
            "UPDATE account SET quantity = quantity - ?, allocated = allocated + ?"
            " WHERE shop = ? AND wp_code = ? AND branch_code = ? AND quantity >= ?",
            (prepaid, numbers, account["shop"], carrier.wp_code, account["branch_code"], prepaid),
        )
        if paid.rowcount != 1:
            raise Refused(50002, NOT_ENOUGH)

    def _service_at(self, shop: str, carrier: Carrier, address: Address) -> sqlite3.Row:
        states = {
            row["state"]
            for row in self._sql.execute(
                "SELECT DISTINCT state FROM service WHERE shop = ? AND wp_code = ?", (shop, carrier.wp_code)
            )
        }
        if "open" not in states:
            raise Refused(
                50002,
                SUSPENDED
                if "suspended" in states
                else UNDER_REVIEW
                if "under_review" in states
                else NOT_OPEN,
            )
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
    ) -> tuple[Given, bool]:
        """A parcel's number, and whether it is a new one, which costs."""
        live = self._sql.execute(
            "SELECT * FROM waybill WHERE shop = ? AND sorted_orders = ? AND package_id = ?"
            " AND state <> 'cancelled' ORDER BY id",
            (shop, _json(sorted(parcel.orders)), parcel.package_id),
        ).fetchall()
        carrier, sender = request.carrier, request.sender
        if any(
            row["wp_code"] != carrier.wp_code
            or json.loads(row["sender"])["address"] != sender.address.shown()
            for row in live
        ):
            raise Refused(50002, SEVERAL_POINTS)
        if live and repeat == "exists":
            raise Refused(50002, EXISTS)
        if live and repeat == "same":
            for who, party in (("sender", sender), ("recipient", parcel.recipient)):
                if live[0][who] != _party_text(party):
                    raise Refused(50002, f"the parcel's waybill has another {who}: cancel it first")
            return _given(live[0]), False
        return self._give(shop, service, carrier, sender, parcel), True

    def _give(
        self, shop: str, service: sqlite3.Row, carrier: Carrier, sender: Party, parcel: Parcel
    ) -> Given:
        number = self._next_number(carrier)
        given = Given(
            waybill_code=number,
            wp_code=carrier.wp_code,
            state="live",
            object_id=parcel.object_id,
            orders=parcel.orders,
            package_id=parcel.package_id,
            parent=self._parent_of(shop, carrier, parcel),
            print_data=print_data(
                Printable(
                    carrier=carrier,
                    number=number,
                    sender=sender,
                    recipient=parcel.recipient,
                    template_url=parcel.template_url,
                    product=parcel.product,
                    origin_code=service["branch_code"],
                    origin_name=service["branch_name"],
                )
            ),
            issued_at=_now(),
        )
        self._sql.execute(
            "INSERT INTO waybill (number, wp_code, shop, branch_code, orders, sorted_orders, package_id,"
            " object_id, sender, recipient, print_data, parent, state, issued_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                given.print_data,
                given.parent,
                given.state,
                given.issued_at,
            ),
        )
        return given

    def _next_number(self, carrier: Carrier) -> str:
        count = self._sql.execute(
            "INSERT INTO segment VALUES (?, 1) ON CONFLICT DO UPDATE SET given = given + 1 RETURNING given",
            (carrier.wp_code,),
        ).fetchone()["given"]
        return carrier.number(count)

    def _parent_of(self, shop: str, carrier: Carrier, parcel: Parcel) -> str:
        """The number that all packages of a set have in common; it costs nothing. Empty for a single one."""
        if parcel.pieces == 1:
            return ""
        which = (shop, carrier.wp_code, _json(sorted(parcel.orders)), parcel.pieces)
        row = self._sql.execute(
            "SELECT number FROM parent WHERE shop = ? AND wp_code = ? AND sorted_orders = ? AND pieces = ?",
            which,
        ).fetchone()
        if row is not None:
            return str(row["number"])
        number = self._next_number(carrier)
        self._sql.execute("INSERT INTO parent VALUES (?, ?, ?, ?, ?)", (number, *which))
        return number

    def update(self, shop: str, request: UpdateRequest) -> Given:
        """Change what a number's label says until it is picked up; the same change again changes nothing."""
        row = self._waybill(shop, request.carrier, request.number)
        if row["state"] == "cancelled":
            raise Refused(50002, WAS_CANCELLED)
        if row["state"] != "live":
            raise Refused(50002, PICKED_UP_UPDATE)
        sender, recipient = _party(row["sender"]), request.recipient or _party(row["recipient"])
        if request.sender_address not in (None, sender.address):
            raise Refused(50002, "sender.address: can't be changed")
        if request.sender is not None:
            sender = Party(*request.sender, sender.address)
        if "data" not in json.loads(row["print_data"]):
            raise Refused(50002, SEALED)
        text = reprinted(
            row["print_data"], request.number, request.carrier, sender, recipient, request.template_url
        )
        changed = self._sql.execute(
            "UPDATE waybill SET sender = ?, recipient = ?, print_data = ? WHERE id = ? RETURNING *",
            (_party_text(sender), _party_text(recipient), text, row["id"]),
        ).fetchone()
        return _given(changed)

    def cancel(self, shop: str, carrier: Carrier, number: str) -> None:
        """Take a number back and credit it; a second time changes nothing. Refused: picked up, or over the
        quota.
        """
        row = self._waybill(shop, carrier, number)
        if row["state"] == "cancelled":
            return
        if row["state"] != "live":
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

    def scan(self, shop: str, carrier: Carrier, number: str, action: str) -> str:
        """The carrier scans a parcel: GOT, TRANSIT or SIGN; the state it is in then. From the first scan on the
        number can't be cancelled. A scan of what is past already changes nothing.
        """
        row = self._waybill(shop, carrier, number)
        if row["state"] == "cancelled":
            raise Refused(50002, WAS_CANCELLED)
        stage = SCANS[action][0]
        if STAGES.index(stage) < STAGES.index(row["state"]) or (stage == row["state"] != "in_transit"):
            return str(row["state"])
        self._sql.execute("UPDATE waybill SET state = ? WHERE id = ?", (stage, row["id"]))
        self._sql.execute(
            "INSERT INTO scan (waybill_id, action, at) VALUES (?, ?, ?)", (row["id"], action, _now())
        )
        return stage

    def scans(self, shop: str, carrier: Carrier, number: str) -> tuple[str, str, list[tuple[str, datetime]]]:
        """The names of the point that gave a number and of the centre it goes to, and its scans, oldest
        first.
        """
        row = self._waybill(shop, carrier, number)
        found = self._sql.execute(
            "SELECT action, at FROM scan WHERE waybill_id = ? ORDER BY id", (row["id"],)
        ).fetchall()
        point = self._sql.execute(
            "SELECT branch_name FROM account WHERE shop = ? AND wp_code = ? AND branch_code = ?",
            (shop, carrier.wp_code, row["branch_code"]),
        ).fetchone()
        centre = route(carrier, _party(row["recipient"]).address).consolidation_name
        scans = [(one["action"], datetime.fromisoformat(one["at"])) for one in found]
        return point["branch_name"], centre, scans

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

    def apply(self, shop: str, application: Application, review: str, review_delay_ms: int) -> Applied:
        """File an application; the same again is the same, in its present state, unless it was rejected or
        closed.

        `review`: at_once opens it, delay opens it after `review_delay_ms`, by_hand leaves it to a reviewer.
        Refused: the address has another point of this carrier, or this one with another settlement account.
        """
        wp_code, branch_code = application.carrier.wp_code, application.point.branch_code
        standing = self._sql.execute(
            f"SELECT * FROM service WHERE shop = ? AND wp_code = ? AND {_STANDING} AND {_SERVICE_ADDRESS}",
            (shop, wp_code, *astuple(application.address)),
        ).fetchone()
        if standing is not None:
            if standing["branch_code"] != branch_code:
                raise Refused(50002, "address: is open already at another network point of this carrier")
            if standing["settlement_account"] != application.settlement_account:
                raise Refused(50002, "settlement_account: the service is open with another one")
            return _applied(standing)
        due_at = None
        if review == "delay":
            due_at = _text(datetime.now(UTC) + timedelta(milliseconds=review_delay_ms))
        row = self._sql.execute(
            "INSERT INTO service VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?) RETURNING *",
            (
                f"A{secrets.token_hex(8)}",
                shop,
                wp_code,
                branch_code,
                *astuple(application.address),
                application.contact_name,
                application.contact_phone,
                application.settlement_account,
                application.agreement_version,
                _now(),
                application.point.branch_name,
                "open" if review == "at_once" else "under_review",
                due_at,
            ),
        ).fetchone()
        if row["state"] == "open":
            self._credit(row)
        return _applied(row)

    def application(self, shop: str, application_id: str) -> Applied:
        """How an application stands."""
        row = self._sql.execute(
            "SELECT * FROM service WHERE shop = ? AND application_id = ?", (shop, application_id)
        ).fetchone()
        if row is None:
            raise Refused(50002, "application_id: no such application")
        return _applied(row)

    def close_service(self, shop: str, application_id: str) -> None:
        """End a service, or withdraw its application; numbers already given stay good. A second time changes
        nothing.
        """
        self.application(shop, application_id)
        self._sql.execute(
            "UPDATE service SET state = 'closed', review_due_at = NULL WHERE application_id = ?",
            (application_id,),
        )

    def create_tokens(self, owner_name: str, lifetime_s: int) -> Tokens:
        """New tokens for a shop; the ones it has stay good until their time."""
        now_s = int(time.time())
        shop = self._shop_of_owner(owner_name)
        access, refresh = secrets.token_hex(20), secrets.token_hex(20)
        self._sql.execute(
            "INSERT INTO token VALUES (?, ?, ?)", (self._token_digest(access), shop, now_s + lifetime_s)
        )
        expires_s = now_s + max(_REFRESH_LIFETIME_S, lifetime_s)
        self._sql.execute(
            "INSERT INTO refresh_token VALUES (?, ?, ?)", (self._token_digest(refresh), owner_name, expires_s)
        )
        owner_id = str(10**9 + int(shop, 16) % 10**9)
        return Tokens(access, now_s + lifetime_s, refresh, expires_s, owner_id, owner_name)

    def refresh_tokens(self, refresh_token: str, lifetime_s: int) -> Tokens:
        """New tokens of the same shop. The old refresh token stays good, so that whoever lost the answer can
        ask again.
        """
        row = self._sql.execute(
            "SELECT * FROM refresh_token WHERE refresh = ?", (self._token_digest(refresh_token),)
        ).fetchone()
        if row is None:
            raise Refused(20032, "refresh_token: no such token")
        if row["expires_s"] <= time.time():
            raise Refused(10019, "refresh_token: expired")
        return self.create_tokens(row["owner_name"], lifetime_s)

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
        parent=row["parent"],
        print_data=row["print_data"],
        issued_at=row["issued_at"],
    )


def _applied(row: sqlite3.Row) -> Applied:
    return Applied(row["application_id"], row["state"], row["reason"])


@lru_cache(maxsize=256)
def _party_text(party: Party) -> str:
    return _json(party.shown())


def _party(text: str) -> Party:
    was = json.loads(text)
    return Party(was["name"], was["mobile"], was["phone"], Address(**was["address"]))


def _json(value: object) -> str:
    return _ENCODER.encode(value)


def _now() -> str:
    return _text(datetime.now(UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
