"""Comparing our numbers with the network's books, one by one and by the totals of each point; changes nothing unless told to.

Hides how a number is looked up, that a network which slows us down is waited for, and that a waybill may move while it is
looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from labelsvc.db import Database
from labelsvc.errors import LabelsvcError, Refused
from labelsvc.log import get_logger
from labelsvc.security import Actor, Right
from labelsvc.waybills import issue_store, subscription_store
from labelsvc.waybills.asking import NETWORKS, Asking
from labelsvc.waybills.carriers import (
    Given,
    NetworkBusy,
    NetworkResting,
    Networks,
    NetworkSilent,
    PointAccount,
)
from labelsvc.waybills.issuing import Issuing
from labelsvc.waybills.model import LIVE, OUT, UNSETTLED, Filed, WaybillState
from labelsvc.waybills.register import Register

_log = get_logger("waybills")
_T = TypeVar("_T")

_PAGE = 200
#: How often a network that wants a pause is waited for, and how often one that doesn't answer is asked.
_PAUSES, _TRIES = 10, 3
#: How often a waybill, or a point's totals, that moved while it was compared is compared again.
_LOOKS = 5
_STANDING = LIVE | OUT | {WaybillState.VOID_PENDING}


class DifferenceKind(StrEnum):
    """What is wrong with a number."""

    #: Ours stands, the network has cancelled it: its label must not leave.
    CANCELLED_THERE = "cancelled_there"
    #: Ours stands, the network doesn't know it.
    UNKNOWN_THERE = "unknown_there"
    #: The network has a live number where ours is refused or cancelled.
    LIVE_THERE = "live_there"
    #: The network has a live number that we haven't recorded yet.
    UNRECORDED = "unrecorded"
    #: The network has a further live number for one parcel.
    SURPLUS = "surplus"
    #: A point's live numbers don't add up.
    TOTALS = "totals"


@dataclass(frozen=True)
class Difference:
    """Where our books and the network's differ. Of a point's totals ``number`` is its branch code. 差异"""

    kind: DifferenceKind
    waybill_id: str
    number: str
    ours: str
    theirs: str
    fixed: bool = False


@dataclass(frozen=True)
class PointTotals:
    """The numbers of a network point as we count them and as the network does; ``balance`` None: it has none (E9)."""

    carrier: str
    branch_code: str
    ours_issued: int
    ours_cancelled: int
    theirs_allocated: int
    theirs_cancelled: int
    balance: int | None


@dataclass(frozen=True)
class Reconciliation:
    """What a comparison found; ``asked`` waybills were looked up, of which ``unanswered`` the network didn't tell.

    ``next``: the id to go on after; None: nothing is left, and the totals of the points are here too.
    """

    differences: tuple[Difference, ...]
    points: tuple[PointTotals, ...]
    asked: int
    unanswered: int
    next: str | None = None


class Reconciling:
    """Compares a store's waybills with its networks (对账)."""

    def __init__(
        self, database: Database, networks: Networks, register: Register, asking: Asking, issuing: Issuing
    ) -> None:
        self._database = database
        self._networks = networks
        self._register = register
        self._asking = asking
        self._issuing = issuing

    def reconcile(
        self,
        actor: Actor,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int | None = None,
        fix: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Reconciliation:
        """Ask the network about each number of the store, made in [since, until), and for the totals of its points.

        With a ``limit`` it looks at so many waybills only, oldest first, those after the id ``after``; the totals come with
        the last ones, and are always of all times.

        ``fix`` settles what is safe: a number not recorded is adopted, one that no label shows is cancelled. ``progress`` is
        told how many waybills were asked about. Raises Forbidden, Unavailable if the network stays silent, Refused
        ``network.token``.
        """
        actor.require(Right.READ_WAYBILLS)
        if fix:
            actor.require(Right.ISSUE_WAYBILLS)
        tokens = {name: self._register.token(actor.store_id, name) for name in NETWORKS}
        differences: list[Difference] = []
        asked = unanswered = looked_at = 0
        with ThreadPoolExecutor(2, thread_name_prefix="reconciling") as threads:
            while size := _PAGE if limit is None else min(_PAGE, limit - looked_at):
                with self._database.reading() as connection:
                    page = issue_store.page_of(connection, actor.store_id, after, size, since, until)
                if not page:
                    break
                looked_at += len(page)
                after = page[-1].waybill.id
                for found in threads.map(lambda filed: self._compare(filed, tokens, fix), page):
                    asked += found is not None
                    unanswered += isinstance(found, NetworkSilent)
                    if isinstance(found, list):
                        differences += found
                if progress is not None:
                    progress(asked)
        points: list[PointTotals] = []
        for name in NETWORKS:
            if size and (token := tokens[name]) is not None:
                some, wrong = self._totals(actor.store_id, name, token)
                points += some
                differences += wrong
        _log.info("waybills.reconciled", asked=asked, unanswered=unanswered, differences=len(differences))
        return Reconciliation(
            tuple(differences), tuple(points), asked, unanswered, next=None if size else after
        )

    # --- one by one ---

    def _compare(
        self, filed: Filed, tokens: dict[str, str | None], fix: bool
    ) -> list[Difference] | NetworkSilent | None:
        """The differences of one waybill; None if there is nothing to ask about."""
        for _ in range(_LOOKS):
            token = tokens[filed.network]
            busy = filed.attempt_until is not None and filed.attempt_until >= self._database.now()
            if token is None or (filed.waybill.state in UNSETTLED and busy):
                return None
            try:
                numbers = self._numbers(filed, token)
            except NetworkSilent as silence:
                return silence
            if numbers is None:
                return None
            found = _differences(filed, numbers)
            if not found:
                return []
            now = self._register.filed(filed.waybill.id)
            if (now.waybill.state, now.waybill.number) == (filed.waybill.state, filed.waybill.number):
                return [self._fixed(filed, one, numbers, token) for one in found] if fix else found
            filed = now  # it moved while we looked
        return None

    def _numbers(self, filed: Filed, token: str) -> list[Given] | None:
        """Every number of a waybill's parcel at the network; None if it can't be asked."""
        network, waybill = self._networks.of(filed.network), filed.waybill
        numbers = _patiently(lambda: network.find(token, filed.request.orders, waybill.id))
        if numbers is not None:
            return numbers
        number = waybill.number
        if number is None:
            return None
        try:
            return [_patiently(lambda: network.query(token, waybill.carrier, number))]
        except Refused as refusal:
            if refusal.code == "waybill.was_cancelled":
                return [Given(waybill.id, number, {}, live=False)]
            if refusal.code == "waybill.unknown_number":
                return []
            raise

    def _fixed(self, filed: Filed, found: Difference, numbers: Sequence[Given], token: str) -> Difference:
        """Settle a difference if nobody can have a label of that number."""
        waybill = filed.waybill
        own_lives = any(one.live and one.number == waybill.number for one in numbers)
        try:
            if found.kind is DifferenceKind.UNRECORDED:
                results = self._issuing.settle_these([waybill.id], "reconcile")
                done = not isinstance(results.get(waybill.id, None), LabelsvcError | None)
            elif found.kind is DifferenceKind.LIVE_THERE or (
                found.kind is DifferenceKind.SURPLUS and own_lives
            ):
                done = self._asking.cancel_surplus(waybill, filed.network, token, found.number)
            else:
                done = False
        except NetworkSilent:
            done = False
        return replace(found, fixed=done)

    # --- totals ---

    def _totals(self, store_id: str, name: str, token: str) -> tuple[list[PointTotals], list[Difference]]:
        """The totals of a network's points, and which don't add up."""
        network = self._networks.of(name)
        for _ in range(_LOOKS):
            before = self._counted(store_id, name)
            accounts = _patiently(lambda: network.search(token))
            ours = self._counted(store_id, name)
            if ours == before:
                break
        points, wrong = [], []
        for account in accounts:
            issued, cancelled = ours.get((account.carrier, account.branch_code), (0, 0))
            points.append(_point(account, issued, cancelled))
            live = account.allocated - account.cancelled - account.recycled
            if ours == before and issued - cancelled != live:
                wrong.append(
                    Difference(
                        DifferenceKind.TOTALS, "", account.branch_code, str(issued - cancelled), str(live)
                    )
                )
        return points, wrong

    def _counted(self, store_id: str, network: str) -> dict[tuple[str, str], tuple[int, int]]:
        """By carrier and branch: numbers that we got, and how many of them are cancelled."""
        with self._database.reading() as connection:
            counts = issue_store.counts(connection, store_id)
            subscriptions = subscription_store.subscriptions_of(connection, store_id)
        totals: dict[tuple[str, str], tuple[int, int]] = {}
        for one in subscriptions:
            if one.network == network and one.id in counts:
                issued, cancelled = totals.get((one.carrier, one.branch_code), (0, 0))
                more, less = counts[one.id]
                totals[one.carrier, one.branch_code] = (issued + more, cancelled + less)
        return totals


def _point(account: PointAccount, issued: int, cancelled: int) -> PointTotals:
    return PointTotals(
        carrier=account.carrier,
        branch_code=account.branch_code,
        ours_issued=issued,
        ours_cancelled=cancelled,
        theirs_allocated=account.allocated,
        theirs_cancelled=account.cancelled + account.recycled,
        balance=account.balance,
    )


def _differences(filed: Filed, numbers: Sequence[Given]) -> list[Difference]:
    """What differs between a waybill and the numbers that the network has for its parcel; pure."""
    waybill = filed.waybill
    ours = waybill.state.value
    live = [one.number for one in numbers if one.live]
    found: list[Difference] = []

    def say(kind: DifferenceKind, number: str, theirs: str) -> None:
        found.append(Difference(kind, waybill.id, number, ours, theirs))

    if waybill.state in UNSETTLED:
        for number in live[:1]:
            say(DifferenceKind.UNRECORDED, number, "live")
        for number in live[1:]:
            say(DifferenceKind.SURPLUS, number, "live")
        return found
    if waybill.state in _STANDING:
        if waybill.number not in live:
            there = any(one.number == waybill.number for one in numbers)
            kind = DifferenceKind.CANCELLED_THERE if there else DifferenceKind.UNKNOWN_THERE
            say(kind, waybill.number or "", "cancelled" if there else "unknown")
        for number in live:
            if number != waybill.number:
                say(DifferenceKind.SURPLUS, number, "live")
        return found
    for number in live:
        say(DifferenceKind.LIVE_THERE, number, "live")
    return found


def _patiently(call: Callable[[], _T]) -> _T:
    """Look something up, with the pauses that the network asks for; looking twice is harmless. Raises NetworkSilent."""
    pauses = tries = 0
    while True:
        try:
            return call()
        except (NetworkBusy, NetworkResting) as pause:
            pauses += 1
            if pauses > _PAUSES:
                raise
            time.sleep(pause.retry_after_s)
        except NetworkSilent:
            tries += 1
            if tries >= _TRIES:
                raise
