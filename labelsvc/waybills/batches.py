"""Numbers for hundreds of parcels at once: filed durably, worked off by whoever has time, with a result for each.

Hides the lease by which one process works on a batch, that it goes on at the right parcel after a crash, and the pauses,
growing, while the network is silent. A parcel is asked for under the key of its place, so that no crash makes two numbers.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from labelsvc.db import Database, new_id
from labelsvc.errors import FieldError, Invalid, KeyReused, LabelsvcError, NotFound, Unavailable
from labelsvc.log import get_logger
from labelsvc.security import Actor, Right
from labelsvc.waybills import batch_store as rows
from labelsvc.waybills.batch_files import FileRow, read
from labelsvc.waybills.batch_store import Batch, BatchItem, ItemState, NewItem, Work
from labelsvc.waybills.model import IssueRequest, Party, SubscriptionState, Waybill, text_fault
from labelsvc.waybills.register import check_key
from labelsvc.waybills.store import Raced
from labelsvc.waybills.subscription_store import subscriptions_of
from labelsvc.waybills.waybills import Waybills

if TYPE_CHECKING:
    from sqlalchemy import Connection

_log = get_logger("waybills")

PARCELS_PER_BATCH = 500
_CHUNK = 100
_LEASE = timedelta(seconds=9)
_RENEW_S = 3.0
_RACES = 20
_LONGEST_PAUSE = timedelta(minutes=10)


@dataclass(frozen=True)
class DryRun:
    """What would become of a file's rows: how many parcels, and each row that is wrong and why."""

    rows: int
    parcels: int
    refused: tuple[FileRow, ...]
    checked: tuple[FileRow, ...]


class Batches:
    """Batches of a store, and the worker that does them."""

    def __init__(self, database: Database, waybills: Waybills) -> None:
        self._database = database
        self._waybills = waybills
        self._stopped = threading.Event()

    # ------------------------------------------------------------ asking for many

    def create(self, actor: Actor, requests: Sequence[IssueRequest], key: str) -> Batch:
        """File up to 500 parcels; the answer comes before any number. The same key with the same parcels: the same batch.

        Raises Invalid naming every wrong field as ``requests[3].recipient.phone``, KeyReused.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        check_key(key)
        _require_number_of(len(requests))
        wrong: list[FieldError] = []
        items = []
        for at, request in enumerate(requests):
            try:
                items.append(NewItem(request.checked()))
            except Invalid as fault:
                wrong += [FieldError(f"requests[{at}].{one.field}", one.reason) for one in fault.errors]
        if wrong:
            raise Invalid("the batch is wrong", code="batch.invalid", errors=wrong)
        return self._file(actor, items, key, "")

    def from_file(
        self,
        actor: Actor,
        name: str,
        content: bytes,
        *,
        carrier: str = "",
        sender: Party | None = None,
        subscription_id: str | None = None,
        key: str = "",
        dry_run: bool = False,
    ) -> Batch | DryRun:
        """File the parcels of a CSV or XLSX file (D19), or with ``dry_run`` say what would become of each row.

        ``carrier`` and ``sender`` stand for columns that the file doesn't have, ``subscription_id`` names the network point
        for its carrier's parcels (E6). Without a ``key`` the same file is the same batch. Raises Invalid: ``file.…`` for a
        file that can't be read, its missing columns by name, and, unless it is a dry run, ``batch.rows`` with every wrong
        row as ``rows[7].recipient_phone``.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        if fault := text_fault(name, 1, 200):
            raise Invalid(fault, field="name")
        found = self._with_services(actor, read(content, carrier=carrier, sender=sender), subscription_id)
        refused = tuple(row for row in found if row.errors)
        good = [row for row in found if row.request is not None]
        if dry_run:
            return DryRun(sum(len(row.rows) for row in found), len(good), refused, tuple(found))
        if refused:
            raise Invalid(
                "rows of the file are wrong",
                code="batch.rows",
                errors=[
                    FieldError(f"rows[{row.row}].{fault.field}", fault.reason)
                    for row in refused
                    for fault in row.errors
                ],
            )
        _require_number_of(len(good))
        items = [NewItem(row.request, row.row) for row in good if row.request is not None]
        if not key:
            with self._database.reading() as connection:
                key = f"file:{rows.content_of(connection, items)}"
        check_key(key)
        return self._file(actor, items, key, name)

    def _with_services(
        self, actor: Actor, found: Sequence[FileRow], subscription_id: str | None
    ) -> list[FileRow]:
        """The rows on their subscriptions, those refused whose carrier has none open, or several and none was named."""
        with self._database.reading() as connection:
            open_ = subscriptions_of(connection, actor.store_id, state=SubscriptionState.OPEN)
        points = Counter(one.carrier for one in open_)
        named = next((one for one in open_ if one.id == subscription_id), None)
        if subscription_id is not None and named is None:
            raise Invalid("is no open subscription of this store", field="subscription_id")
        result = []
        for row in found:
            if row.request is None:
                result.append(row)
            elif named is not None and row.request.carrier == named.carrier:
                result.append(replace(row, request=replace(row.request, subscription_id=named.id)))
            elif points[row.request.carrier] == 0:
                result.append(row.refused("carrier", "has no open e-waybill service"))
            elif points[row.request.carrier] > 1:
                result.append(row.refused("carrier", "has several open network points: name one"))
            else:
                result.append(row)
        return result

    def _file(self, actor: Actor, items: Sequence[NewItem], key: str, name: str) -> Batch:
        for _ in range(_RACES):
            try:
                with self._database.transaction() as connection:
                    content = rows.content_of(connection, items)
                    known = rows.batch_by_key(connection, actor.store_id, key)
                    if known is not None and known[0] != content:
                        raise KeyReused("this key was used for another batch")
                    id = known[1] if known is not None else new_id()
                    if known is None:
                        rows.insert_batch(
                            connection,
                            id=id,
                            store_id=actor.store_id,
                            key=key,
                            fingerprint=content,
                            name=name,
                            created_by=actor.user_id,
                            items=items,
                            now=self._database.now(),
                        )
                break
            except Raced:
                continue  # the other request's batch is there now
        else:
            raise Unavailable("too many batches under this key at once", code="database.busy")
        if known is None:
            _log.info("batch.filed", batch=id, count=len(items))
        return self.get(actor, id)

    # ------------------------------------------------------------ looking

    def get(self, actor: Actor, id: str) -> Batch:
        """A batch and how far it is. Raises NotFound."""
        actor.require(Right.READ_WAYBILLS)
        with self._database.reading() as connection:
            found = rows.find_batch(connection, actor.store_id, id)
        if found is None:
            raise NotFound("no such batch", code="batch.not_found")
        return found

    def list(self, actor: Actor, after: str | None = None, limit: int = 50) -> Sequence[Batch]:
        """The store's batches, newest first, older than the id ``after``. Raises Invalid."""
        actor.require(Right.READ_WAYBILLS)
        if not 1 <= limit <= 200:
            raise Invalid("must be 1 to 200", field="limit")
        with self._database.reading() as connection:
            return rows.batches_of(connection, actor.store_id, after, limit)

    def results(self, actor: Actor, id: str, after: int = 0, limit: int = 100) -> Sequence[BatchItem]:
        """A batch's parcels in their order, from the place after ``after`` on, each with its result so far."""
        self.get(actor, id)
        if not 1 <= limit <= PARCELS_PER_BATCH:
            raise Invalid(f"must be 1 to {PARCELS_PER_BATCH}", field="limit")
        with self._database.reading() as connection:
            return rows.items_of(connection, id, after, limit)

    # ------------------------------------------------------------ working

    def work(self) -> int:
        """Work off one open batch that nobody else works on, as far as it goes; how many results there were."""
        now = self._database.now()
        with self._database.reading() as connection:
            due = rows.batches_due(connection, now)
        for work in due:
            with self._database.transaction() as connection:
                taken = rows.take_batch(connection, work, now + _LEASE)
            if taken:
                with self._kept(work) as lost:
                    return self._do(work, lost)
        return 0

    def stop(self) -> None:
        """Let ``work`` end after the parcels in hand; the rest stays for whoever comes next."""
        self._stopped.set()

    def erasable(self, before: datetime) -> int:
        """How many batches ``erase`` has to do with, made before a time."""
        with self._database.reading() as connection:
            return rows.count_batches_before(connection, before)

    def erase(self, before: datetime) -> int:
        """Give up parcels that were asked for before ``before`` and still have no result, and forget them; how many batches."""
        with self._database.reading() as connection:
            old = rows.batches_before(connection, before, _CHUNK)
        if old:
            with self._database.transaction() as connection:
                rows.expire(connection, old, self._database.now())
        return len(old)

    def _do(self, work: Work, lost: threading.Event) -> int:
        actor = Actor(
            work.created_by, work.store_id, work.created_by, frozenset({Right.ISSUE_WAYBILLS}), "batch"
        )
        place, results = 0, 0
        while True:
            with self._database.reading() as connection:
                chunk = rows.open_items(connection, work.id, place, _CHUNK)
            if not chunk:
                break
            place = chunk[-1][0]
            issued = self._waybills.issue_many(
                actor, [(request, f"batch:{work.id}:{at}") for at, request in chunk]
            )
            with self._database.transaction() as connection:
                for (at, _), result in zip(chunk, issued, strict=True):
                    results += _record(connection, work.id, at, result)
            if lost.is_set() or self._stopped.is_set():
                break
        with self._database.transaction() as connection:
            if not rows.open_items(connection, work.id, 0, 1):
                rows.end_batch(connection, work, self._database.now())
                _log.info("batch.done", batch=work.id)
            else:
                tries = 0 if results else work.tries + 1
                pause = min(timedelta(seconds=2 ** min(tries, 10)), _LONGEST_PAUSE)
                next_at = None if self._stopped.is_set() else self._database.now() + pause
                rows.leave_batch(connection, work, tries, next_at)
        return results

    @contextmanager
    def _kept(self, work: Work) -> Iterator[threading.Event]:
        """Renew the lease while the block runs; the event is set once another process has the batch."""
        ended, lost = threading.Event(), threading.Event()

        def keep() -> None:
            while not ended.wait(_RENEW_S):
                try:
                    with self._database.transaction() as connection:
                        kept = rows.renew_batch(connection, work, self._database.now() + _LEASE)
                except LabelsvcError:
                    continue  # a busy database: there is time for two more tries
                if not kept:
                    lost.set()
                    return

        keeper = threading.Thread(target=keep, name="batch-lease", daemon=True)
        keeper.start()
        try:
            yield lost
        finally:
            ended.set()
            keeper.join()


def _record(connection: Connection, batch_id: str, place: int, result: Waybill | LabelsvcError) -> bool:
    """Record what became of a parcel; False if it is still open."""
    if isinstance(result, Waybill):
        rows.set_result(connection, batch_id, place, ItemState.ISSUED, waybill_id=result.id)
        return True
    waybill_id = result.facts.get("waybill_id")
    first = result.errors[0] if result.errors else None
    state = ItemState.OPEN if isinstance(result, Unavailable) else ItemState.REFUSED
    rows.set_result(
        connection,
        batch_id,
        place,
        state,
        waybill_id=waybill_id if isinstance(waybill_id, str) else None,
        code=result.code,
        field=first.field if first else "",
        detail=result.detail,
    )
    return state is ItemState.REFUSED


def _require_number_of(parcels: int) -> None:
    if not 1 <= parcels <= PARCELS_PER_BATCH:
        raise Invalid(f"must be 1 to {PARCELS_PER_BATCH} parcels", code="batch.size", field="requests")
