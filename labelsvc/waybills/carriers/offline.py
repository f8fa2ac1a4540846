"""A carrier network without a network: numbers that a carrier handed over as a file, given from a pool in our database.

Hides how a carrier's file is read, and how the promises of a network are kept without one: the same parcel gets the same
number, however often and from however many machines it is asked for; a number is given once and never again, not even
after it was cancelled. A store's token here is its id.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from labelsvc.db import Database, take_turn
from labelsvc.errors import FieldError, Invalid, Refused, Unavailable
from labelsvc.waybills.carriers import (
    KNOWN_CARRIERS,
    Applied,
    GetRequest,
    Given,
    NetworkSilent,
    ParcelRequest,
    PointAccount,
    PointApplication,
    Tokens,
    Trace,
)
from labelsvc.waybills.carriers import offline_store as rows
from labelsvc.waybills.carriers.offline_store import Drawn, NumberState, Pool, PoolNumber
from labelsvc.waybills.model import Carrier, CarrierKind, NetworkPoint, Party, text_fault
from labelsvc.waybills.numbers import check_number
from labelsvc.waybills.store import Raced
from labelsvc.waybills.workbooks import first_sheet

__all__ = ["Imported", "NumberPool", "OfflineNetwork", "PoolNumber", "read_numbers"]

_FILE_BYTES = 16 * 1024 * 1024
_FILE_LINES = 200_000
_FAULTS_TOLD = 100
_RACES = 20
#: A number in a spreadsheet's cell has lost digits from here on.
_EXACT = 2**53
_Answer = TypeVar("_Answer")

#: A file's columns by their headings; without headings they stand in this order.
_COLUMNS: dict[str, frozenset[str]] = {
    "number": frozenset({"number", "waybill_code", "mail_no", "运单号", "面单号", "单号", "快递单号"}),
    "route_code": frozenset({"route_code", "three_segment_code", "三段码", "路由码"}),
    "sorting_mark": frozenset({"sorting_mark", "big_shot_name", "大头笔"}),
    "consolidation_centre": frozenset({"consolidation_centre", "consolidation", "集包地"}),
}
_WIDTHS = {"route_code": 60, "sorting_mark": 80, "consolidation_centre": 80}


def read_numbers(name: str, content: bytes, carrier: str) -> tuple[PoolNumber, ...]:
    """The numbers of a carrier's file: TXT or CSV (UTF-8 or GB 18030; comma, semicolon or tab), or XLSX's first sheet.

    One number a line; columns may follow, or be named by a heading: route code, sorting mark, consolidation centre.
    Raises Invalid, naming each wrong line (``line 7``) and why: no number of ``carrier``, or there twice.
    """
    if carrier not in KNOWN_CARRIERS:
        raise Invalid("is no carrier whose numbers are known", field="carrier")
    if len(content) > _FILE_BYTES:
        raise Invalid(f"must have at most {_FILE_BYTES // 2**20} MiB", field="file")
    lines = _sheet(content) if name.lower().endswith(".xlsx") else _text_lines(content)
    if len(lines) > _FILE_LINES:
        raise Invalid(f"must have at most {_FILE_LINES} lines", field="file")
    columns = list(_COLUMNS)
    first = next((at for at, cells in enumerate(lines) if any(cells)), None)
    if first is None:
        raise Invalid("holds no numbers", field="file")
    if headings := _headings(lines[first]):
        columns, lines[first] = headings, []
    found: list[PoolNumber] = []
    seen: dict[str, int] = {}
    wrong: list[FieldError] = []
    for line, cells in enumerate(lines, 1):
        if not any(cells):
            continue
        said = dict(zip(columns, cells, strict=False))
        try:
            one = _read_line(said, carrier)
            if one.number in seen:
                raise Invalid(f"has the number of line {seen[one.number]}")
        except Invalid as fault:
            reason = fault.errors[0].reason if fault.errors else fault.detail
            wrong.append(FieldError(f"line {line}", reason))
            continue
        seen[one.number] = line
        found.append(one)
    if wrong:
        raise _wrong_lines(wrong)
    if not found:
        raise Invalid("holds no numbers", field="file")
    return tuple(found)


def _wrong_lines(wrong: Sequence[FieldError]) -> Invalid:
    return Invalid(
        "the file of numbers is wrong", code="numbers.file", errors=wrong[:_FAULTS_TOLD], lines=len(wrong)
    )


def _read_line(said: dict[str, str], carrier: str) -> PoolNumber:
    number = check_number(carrier, said.get("number", ""))
    for column, most in _WIDTHS.items():
        if fault := text_fault(said.get(column, ""), 0, most):
            raise Invalid(f"{column} {fault}")
    return PoolNumber(number, *(said.get(column, "") for column in _WIDTHS))


def _headings(cells: Sequence[str]) -> list[str] | None:
    """What each column holds, if the line is a heading; columns that say nothing to us are passed over."""
    plain = [cell.strip().lower() for cell in cells]
    known = [
        next((column for column, words in _COLUMNS.items() if word in words), f"other {at}")
        for at, word in enumerate(plain)
    ]
    return known if "number" in known else None


def _text_lines(content: bytes) -> list[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError:
            raise Invalid("is neither UTF-8 nor GB 18030 text", field="file") from None
    if "\0" in text:
        raise Invalid("is no text", field="file")
    head = text[:4096]
    separator = max(",;\t", key=head.count)
    try:
        # A line a line, so that an unclosed quotation mark can't swallow the rest of the file.
        return [
            [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
            for line in text.splitlines()
        ]
    except csv.Error:
        raise Invalid("can't be read as columns", field="file") from None


def _sheet(content: bytes) -> list[list[str]]:
    return [[_cell(cell) for cell in line] for line in first_sheet(content, _FILE_LINES + 1)]


def _cell(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        if abs(cell) >= _EXACT:
            raise Invalid("has numbers that lost digits: format the column as text", field="file")
        cell = int(cell)
    return str(cell).strip()


@dataclass(frozen=True)
class Imported:
    """What became of an import: the pool, how many numbers it got, how many it has left to give."""

    pool_id: str
    added: int
    left: int


class NumberPool:
    """The stores' pools of numbers, in our database; safe to use from several threads and machines."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        store_id: str,
        carrier: str,
        branch_code: str,
        branch_name: str,
        numbers: Sequence[PoolNumber],
    ) -> Imported:
        """Add a file's numbers to a network point's pool, all or none, and make the pool if it is the first file.

        Raises Invalid naming the numbers, counted from 1, that are known already: in a pool, or on a waybill.
        """

        def add(connection: Connection) -> Imported:
            # Two files with the same numbers in another order would wait for each other.
            take_turn(connection, f"number pools {carrier}")
            known = rows.in_use(connection, carrier, [one.number for one in numbers])
            if known:
                raise _wrong_lines(
                    [
                        FieldError(f"number {at}", "is known already")
                        for at, one in enumerate(numbers, 1)
                        if one.number in known
                    ]
                )
            pool = rows.find_pool(connection, store_id, carrier, branch_code) or rows.insert_pool(
                connection, store_id, carrier, branch_code, branch_name, self._database.now()
            )
            rows.insert_numbers(connection, pool, numbers)
            return Imported(pool.id, len(numbers), rows.totals(connection, pool.id).free)

        if carrier not in KNOWN_CARRIERS:
            raise Invalid("is no carrier whose numbers are known", field="carrier")
        for field, value, most in (("branch_code", branch_code, 40), ("branch_name", branch_name, 80)):
            if fault := text_fault(value, 1, most):
                raise Invalid(fault, field=field)
        return self.change(add)

    def change(self, step: Callable[[Connection], _Answer]) -> _Answer:
        """Do ``step`` in a transaction, again if another machine was first."""
        for _ in range(_RACES):
            try:
                with self._database.transaction() as connection:
                    return step(connection)
            except Raced:
                continue
        raise Unavailable("too many requests for the pool at once", code="database.busy")

    def read(self, look: Callable[[Connection], _Answer]) -> _Answer:
        """Do ``look`` without changing anything."""
        with self._database.reading() as connection:
            return look(connection)

    def now(self) -> Any:
        """The database's clock."""
        return self._database.now()


class OfflineNetwork:
    """Numbers from pools, with a network's promises."""

    in_flight = 1
    batch = 100

    def __init__(self, pool: NumberPool) -> None:
        self._pool = pool

    # --- points ---------------------------------------------------------------------------------------------------

    def carriers(self, token: str) -> list[Carrier]:
        """The carriers whose numbers the store has; all of them prepaid, as a pool can be used up."""
        codes = dict.fromkeys(pool.carrier for pool in self._pools(token))
        return [Carrier(code, KNOWN_CARRIERS[code].name, CarrierKind.FRANCHISE) for code in codes]

    def points(self, token: str, carrier: Carrier, place: Party) -> list[NetworkPoint]:
        """The network points that gave the store numbers; who handed them over knows the area they are for."""
        return [
            NetworkPoint(pool.carrier, pool.branch_code, pool.branch_name)
            for pool in self._pools(token, carrier.code)
        ]

    def apply(self, token: str, application: PointApplication) -> Applied:
        """Let an origin draw on a network point's pool, at once. Raises Refused ``subscription.not_open`` without a pool."""

        def bind(connection: Connection) -> Applied:
            pool = rows.find_pool(connection, token, application.carrier, application.branch_code)
            if pool is None:
                raise Refused("the store has no numbers of this network point", code="subscription.not_open")
            return Applied(rows.bind_origin(connection, pool, application.origin), "open", "")

        return self._pool.change(bind)

    def review(self, token: str, application_id: str, application: PointApplication) -> Applied:
        """Open until it is closed."""
        bound = self._pool.read(lambda connection: rows.is_bound(connection, token, application_id))
        return Applied(application_id, "open" if bound else "closed", "")

    def close(self, token: str, application_id: str) -> None:
        """Let the origin draw no more; the numbers stay."""
        self._pool.change(lambda connection: rows.unbind_origin(connection, token, application_id))

    def search(self, token: str, carrier: str | None = None) -> list[PointAccount]:
        """The pools: what is left, what was given (cancelled ones too) and cancelled. It keeps no address to list."""

        def count(connection: Connection) -> list[PointAccount]:
            accounts = []
            for pool in rows.pools_of(connection, token, carrier):
                totals = rows.totals(connection, pool.id)
                accounts.append(
                    PointAccount(
                        carrier=pool.carrier,
                        branch_code=pool.branch_code,
                        branch_name=pool.branch_name,
                        balance=totals.free,
                        allocated=totals.given + totals.cancelled,
                        cancelled=totals.cancelled,
                        recycled=0,
                        addresses=(),
                    )
                )
            return accounts

        return self._pool.read(count)

    def _pools(self, store_id: str, carrier: str | None = None) -> list[Pool]:
        return self._pool.read(lambda connection: rows.pools_of(connection, store_id, carrier))

    # --- numbers --------------------------------------------------------------------------------------------------

    def get(self, token: str, request: GetRequest) -> list[Given | Refused | NetworkSilent]:
        """The next numbers, in one transaction. A database that can't be written is a silent network."""
        if not 1 <= len(request.parcels) <= self.batch:
            raise ValueError(f"a call takes 1 to {self.batch} parcels")
        try:
            return self._pool.change(lambda connection: self._give(connection, token, request))
        except Unavailable as fault:
            # Where the write lock wasn't to be had nothing happened; a connection may break in the middle of a commit.
            silence = NetworkSilent(
                fault.detail, may_have_happened=fault.code != "database.busy", code=fault.code
            )
            return [silence for _ in request.parcels]

    def _give(
        self, connection: Connection, store_id: str, request: GetRequest
    ) -> list[Given | Refused | NetworkSilent]:
        pool = rows.pool_for(connection, store_id, request.carrier, request.origin)
        if pool is None:
            return [
                Refused("no numbers are held for this origin", code="sender.mismatch")
                for _ in request.parcels
            ]
        # In the caller's order, which is the order of its labels; who draws from the same pool waits at the pool's row.
        return [self._give_one(connection, store_id, pool, parcel) for parcel in request.parcels]

    def _give_one(
        self,
        connection: Connection,
        store_id: str,
        pool: Pool,
        parcel: ParcelRequest,
    ) -> Given | Refused:
        name = _parcel(store_id, parcel)
        known = rows.live_of(connection, name)
        recipient = rows.of_recipient(connection, parcel.recipient)
        if known is not None:
            if known.pool_id != pool.id:
                return Refused(
                    "the orders have a number from another network point", code="parcel.several_points"
                )
            if known.recipient != recipient:
                return Refused("the parcel has a number for another recipient", code="parcel.differs")
            return _given(known, parcel.id)
        now = self._pool.now()
        parent = ""
        if parcel.pieces > 1:
            family = _named("parent", store_id, pool.id, sorted(parcel.orders), parcel.pieces)
            head = rows.live_of(connection, family)
            head = head or rows.draw(connection, pool, family, NumberState.PARENT, now)
            if head is None:
                return _used_up()
            parent = head.about.number
        drawn = rows.draw(connection, pool, name, NumberState.GIVEN, now, recipient, parent)
        return _used_up() if drawn is None else _given(drawn, parcel.id)

    def update(self, token: str, carrier: str, number: str, parcel: ParcelRequest) -> Given:
        """The number is for somebody else now; a file can't say what that changes, so the label's data stay."""

        def change(connection: Connection) -> Given:
            found = _live(rows.by_number(connection, token, carrier, number, lock=True))
            rows.set_recipient(connection, found.seq, rows.of_recipient(connection, parcel.recipient))
            return _given(found, parcel.id)

        return self._pool.change(change)

    def query(self, token: str, carrier: str, number: str) -> Given:
        """What the file said of a number that lives."""
        return self._pool.read(
            lambda connection: _given(_live(rows.by_number(connection, token, carrier, number)), "")
        )

    def find(self, token: str, orders: tuple[str, ...], parcel_id: str) -> list[Given] | None:
        """Every number of a parcel, oldest first."""
        name = _named("parcel", token, sorted(orders), parcel_id)
        return self._pool.read(
            lambda connection: [_given(found, parcel_id) for found in rows.all_of(connection, name)]
        )

    def cancel(self, token: str, carrier: str, number: str) -> None:
        """Mark a number cancelled, for good; harmless the second time. Raises Refused ``waybill.unknown_number``."""

        def cancel(connection: Connection) -> None:
            found = rows.by_number(connection, token, carrier, number, lock=True)
            if found is None:
                raise _unknown()
            rows.cancel(connection, found.seq, self._pool.now())

        self._pool.change(cancel)

    def traces(self, token: str, carrier: str, number: str) -> list[Trace]:
        """None: nobody tells us."""
        return []

    # --- tokens ---------------------------------------------------------------------------------------------------

    def exchange(self, code: str) -> Tokens:
        """Raises Refused: there is nobody to give access."""
        raise Refused("a pool of numbers needs no access", code="network.token")

    def refresh(self, refresh_token: str) -> Tokens:
        """Raises Refused: there is nobody to give access."""
        raise Refused("a pool of numbers needs no access", code="network.token")


def _parcel(store_id: str, parcel: ParcelRequest) -> str:
    return _named("parcel", store_id, sorted(parcel.orders), parcel.id)


def _named(*parts: Any) -> str:
    """A short name for what may be long: whose orders, which package."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def _live(found: Drawn | None) -> Drawn:
    if found is None:
        raise _unknown()
    if found.state is NumberState.CANCELLED:
        raise Refused("the number was cancelled", code="waybill.was_cancelled")
    return found


def _unknown() -> Refused:
    return Refused("the number was given to no parcel", code="waybill.unknown_number")


def _used_up() -> Refused:
    return Refused("the pool of numbers is used up: import more", code="balance.empty")


def _given(found: Drawn, parcel_id: str) -> Given:
    about = found.about
    return Given(
        parcel_id=parcel_id,
        number=about.number,
        data={
            "waybillCode": about.number,
            "wpCode": found.carrier,
            "routingInfo": {
                "threeSegmentCode": about.route_code,
                "bigShotName": about.sorting_mark,
                "consolidation": {"name": about.consolidation_centre, "code": ""},
            },
        },
        live=found.state is NumberState.GIVEN,
        parent_number=found.parent,
    )
