"""Asking the carrier networks for numbers, many parcels at once: the effect between a waybill's intent and its outcome.

Hides batches (W3), how many calls are in flight, the leases by which one of many askers asks, how a number is found again
that was given but not recorded (W2), and that outcomes of several calls share a transaction.

Who asks holds a lease and a fence. The lease outlives the longest call, is renewed while a parcel waits for its turn, and
lapses soon after its process has died; an outcome is only recorded under its fence.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any

from labelsvc.db import Database
from labelsvc.errors import LabelsvcError, Refused, Unavailable
from labelsvc.log import get_logger
from labelsvc.waybills import issue_store
from labelsvc.waybills.carriers import (
    AlreadyIssued,
    CarrierNetwork,
    GetRequest,
    Given,
    NetworkBusy,
    NetworkResting,
    Networks,
    NetworkSilent,
    ParcelRequest,
)
from labelsvc.waybills.issue_store import Outcome
from labelsvc.waybills.label_data import print_data, routing
from labelsvc.waybills.model import Filed, Waybill, WaybillState
from labelsvc.waybills.numbers import looks_like
from labelsvc.waybills.register import Register
from labelsvc.waybills.store import Raced
from labelsvc.waybills.subscriptions import not_connected

_log = get_logger("waybills")

#: The networks that there are, by the name that a waybill keeps.
NETWORKS = ("platform", "offline")
#: The longest that an adapter's ``get`` takes with all its tries, in time-outs; and what a waiting parcel's lease has on top.
_CALL, _SPARE = 2.6, 1.0
#: A refusal that says nothing about the parcel: the store can't speak to the network.
_NO_ACCESS = ("network.token", "network.not_connected")
#: A waybill that stays unknown is left alone for 2, 4, 8 ... seconds after its second and later tries, and at most so long.
_LONGEST_PAUSE = timedelta(minutes=2)
_RACES = 20


@dataclass(frozen=True)
class Claim:
    """A waybill whose lease is ours; ``repeated`` if it may have been asked for before."""

    filed: Filed
    fence: int
    repeated: bool


@dataclass
class _Batch:
    """Claims that one call can ask for, and until when their leases run."""

    claims: list[Claim]
    network: str
    token: str | None
    until: datetime


@dataclass(frozen=True)
class _Answer:
    """What the network says of a claim: the number to keep, a refusal, or a silence."""

    claim: Claim
    said: Given | Refused | NetworkSilent


class _LeaseLost(Exception):
    """Another asker has taken over; what we learn from the network now is theirs to record."""


class _Gate:
    """Lets so many calls through at once; who waits at a bench goes before a batch."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._turns = count()
        self._waiting: list[tuple[bool, int]] = []
        self._changed = threading.Condition()

    @contextmanager
    def passed(self, bench: bool) -> Iterator[None]:
        turn = (not bench, next(self._turns))
        with self._changed:
            heappush(self._waiting, turn)
            while self._free == 0 or self._waiting[0] != turn:
                self._changed.wait()
            heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()


@dataclass
class _Line:
    """The line to one network: its gate, and the threads that speak on it."""

    network: CarrierNetwork
    gate: _Gate
    threads: ThreadPoolExecutor
    rests_until: datetime | None = None


class Asking:
    """The lines to the networks, shared by everybody who asks."""

    def __init__(self, database: Database, networks: Networks, register: Register, timeout_s: float) -> None:
        """``timeout_s`` is a network's longest answer."""
        self._database = database
        self.register = register
        self._networks = networks
        self._need = timedelta(seconds=_CALL * timeout_s)
        #: How long a fresh lease runs.
        self.lease = self._need + timedelta(seconds=_SPARE * timeout_s)
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()
        self.stopped = False

    def begin(self, actor: str, *, bench: bool) -> Round:
        """A round of asking; ``bench``: somebody waits for it, so it goes before the others."""
        return Round(self, actor, bench)

    def stop(self) -> None:
        """Ask for nothing more that isn't being asked for: it is settled after the next start."""
        with self._lock:
            self.stopped = True
            for line in self._lines.values():
                line.threads.shutdown(wait=False, cancel_futures=True)

    def awake(self) -> list[str]:
        """The networks that don't want to be left alone just now."""
        now = self._database.now()
        rests = {name: line.rests_until for name, line in self._lines.items()}
        return [name for name in NETWORKS if (until := rests.get(name)) is None or until <= now]

    def line(self, name: str) -> _Line:
        """The line to a network."""
        with self._lock:
            if name not in self._lines:
                network = self._networks.of(name)
                self._lines[name] = _Line(
                    network,
                    _Gate(network.in_flight),
                    ThreadPoolExecutor(network.in_flight, thread_name_prefix=f"asking-{name}"),
                )
            return self._lines[name]

    # --- the effect, with no transaction open ---

    def call(self, batch: _Batch, bench: bool) -> list[_Answer]:
        """Ask for a batch; an answer for each claim whose lease wasn't lost."""
        if batch.token is None:
            return [_Answer(claim, not_connected()) for claim in batch.claims]
        try:
            if batch.claims[0].repeated:
                return self._ask_again(batch, bench)
            return self._ask(batch, bench)
        except _LeaseLost:
            return []

    def _ask(self, batch: _Batch, bench: bool) -> list[_Answer]:
        """The first request."""
        answers = []
        for claim, said in self._get(batch, batch.claims, bench):
            if isinstance(said, AlreadyIssued) or (isinstance(said, Given) and said.repeated):
                # The adapter asked twice: there may be two numbers, or one that the answer doesn't name.
                answers.append(self._look(batch, claim, said))
            else:
                answers.append(_Answer(claim, said))
        return [self._with_label(batch, answer) for answer in answers]

    def _ask_again(self, batch: _Batch, bench: bool) -> list[_Answer]:
        """The identical request, for parcels that may have been asked for: look first, ask where there is nothing, look again."""
        answers: list[_Answer] = []
        open_: list[Claim] = []
        for claim in batch.claims:
            known = self._live(batch, claim)
            if isinstance(known, NetworkSilent):
                answers.append(_Answer(claim, known))
            elif known:
                answers.append(self._keep_one(batch, claim, known))
            else:
                open_.append(claim)
        if open_:
            for claim, said in self._get(batch, open_, bench):
                # After a repeated request there may be two numbers, and one may have come late.
                if isinstance(said, NetworkSilent):
                    answers.append(_Answer(claim, said))
                else:
                    answers.append(self._look(batch, claim, said))
        return [self._with_label(batch, answer) for answer in answers]

    def _get(
        self, batch: _Batch, claims: Sequence[Claim], bench: bool
    ) -> list[tuple[Claim, Given | Refused | NetworkSilent]]:
        line = self.line(batch.network)
        waybill = claims[0].filed.waybill
        request = GetRequest(
            carrier=waybill.carrier,
            origin=waybill.origin,
            parcels=tuple(_parcel(claim.filed) for claim in claims),
        )
        assert batch.token is not None
        with line.gate.passed(bench):
            self._keep(batch)
            said = line.network.get(batch.token, request)
        self._note_rest(line, said)
        return list(zip(claims, said, strict=True))

    def _look(self, batch: _Batch, claim: Claim, said: Given | Refused) -> _Answer:
        """What a claim's answer means in the light of what the network has given for its package."""
        known = self._live(batch, claim)
        if isinstance(known, NetworkSilent):
            return _Answer(claim, _open(known))
        if known:
            return self._keep_one(batch, claim, known)
        if isinstance(said, AlreadyIssued):
            return _Answer(
                claim,
                NetworkSilent(
                    "the network has a number for the parcel but doesn't name it", may_have_happened=True
                ),
            )
        return _Answer(claim, said)

    def _live(self, batch: _Batch, claim: Claim) -> list[Given] | NetworkSilent:
        """The live numbers of a claim's package, oldest first; none also where the network can't say."""
        assert batch.token is not None
        self._keep(batch)
        line = self.line(batch.network)
        try:
            numbers = line.network.find(batch.token, claim.filed.request.orders, claim.filed.waybill.id)
        except NetworkSilent as silence:
            self._note_rest(line, [silence])
            return silence
        except Refused as refusal:
            # That it doesn't tell us says nothing about the number.
            return NetworkSilent(refusal.detail, may_have_happened=True, code=refusal.code)
        return [number for number in numbers or () if number.live]

    def _keep_one(self, batch: _Batch, claim: Claim, known: Sequence[Given]) -> _Answer:
        """Keep the oldest number and give any other back."""
        waybill = claim.filed.waybill
        for extra in known[1:]:
            self._keep(batch)
            try:
                self.cancel_surplus(waybill, batch.network, batch.token or "", extra.number)
            except NetworkSilent as silence:
                return _Answer(claim, _open(silence))
        return _Answer(claim, known[0])

    def cancel_surplus(self, waybill: Waybill, network: str, token: str, number: str) -> bool:
        """Give a number back that no label shows; False if the network refuses. Raises NetworkSilent."""
        try:
            self.line(network).network.cancel(token, waybill.carrier, number)
        except Refused as refusal:
            if refusal.code not in ("waybill.was_cancelled", "waybill.unknown_number"):
                _log.error("waybill.surplus_stays", waybill=waybill.id, number=number, reason=refusal.code)
                return False
        _log.warning("waybill.surplus_cancelled", waybill=waybill.id, number=number)
        return True

    def _with_label(self, batch: _Batch, answer: _Answer) -> _Answer:
        """A number whose print data didn't come with it is asked about: without its label it would be lost."""
        if not isinstance(answer.said, Given) or answer.said.data:
            return answer
        waybill, number = answer.claim.filed.waybill, answer.said.number
        try:
            self._keep(batch)
            told = self.line(batch.network).network.query(batch.token or "", waybill.carrier, number)
        except NetworkSilent as silence:
            return _Answer(answer.claim, _open(silence))
        except Refused as refusal:
            return _Answer(
                answer.claim, NetworkSilent(refusal.detail, may_have_happened=True, code=refusal.code)
            )
        if not told.data:
            return _Answer(
                answer.claim,
                NetworkSilent(
                    "the number's print data is broken", may_have_happened=True, code="network.no_print_data"
                ),
            )
        return _Answer(answer.claim, replace(answer.said, data=told.data))

    def _note_rest(self, line: _Line, said: Sequence[object]) -> None:
        """Remember that the network wants to be left alone for a while."""
        for one in said:
            if isinstance(one, NetworkBusy | NetworkResting):
                line.rests_until = self._database.now() + timedelta(seconds=one.retry_after_s)

    # --- leases ---

    def _keep(self, batch: _Batch) -> None:
        """Make sure that the leases outlive the next call. Raises _LeaseLost if all are lost."""
        if self._database.now() + self._need > batch.until:
            self.renew([batch])
            if not batch.claims:
                raise _LeaseLost

    def renew(self, batches: Sequence[_Batch]) -> None:
        """Renew the leases of batches; claims that were lost leave them."""
        fences = {claim.filed.waybill.id: claim.fence for batch in batches for claim in batch.claims}
        until = self._database.now() + self.lease
        with self._database.transaction() as connection:
            kept = issue_store.renew_leases(connection, fences, until)
        for batch in batches:
            batch.claims[:] = [claim for claim in batch.claims if claim.filed.waybill.id in kept]
            batch.until = until

    def runs_out(self, batch: _Batch) -> bool:
        """Whether a waiting batch's leases are due to be renewed."""
        return self._database.now() + self._need + (self.lease - self._need) / 2 > batch.until

    # --- outcomes ---

    def record(self, answers: Sequence[_Answer], actor: str) -> dict[str, Waybill | LabelsvcError]:
        """Commit what the network said, all of it at once; each waybill as it stands now, or why it has no number."""
        numbers: dict[str, set[str]] = {}
        for answer in answers:
            if isinstance(answer.said, Given):
                carrier = answer.claim.filed.waybill.carrier
                numbers.setdefault(carrier, set()).add(answer.said.number)
        for _ in range(_RACES):
            now = self._database.now()
            try:
                with self._database.transaction() as connection:
                    outcomes = _outcomes(answers, issue_store.numbers_taken(connection, numbers), now)
                    recorded = issue_store.record(connection, outcomes, now=now, actor=actor)
                break
            except Raced:
                continue  # another waybill has one of the numbers now
        else:
            raise Unavailable("too many outcomes at once", code="database.busy")
        results: dict[str, Waybill | LabelsvcError] = {}
        for answer, outcome in zip(answers, outcomes, strict=True):
            # Not recorded: another asker took the lease over, and finds the number at the network.
            if outcome.waybill.id in recorded:
                results[outcome.waybill.id] = _told(answer, outcome)
        return results


class Round:
    """One caller's parcels on their way: batches are asked for while further ones are filed."""

    def __init__(self, asking: Asking, actor: str, bench: bool) -> None:
        self._asking = asking
        self._actor = actor
        self._bench = bench
        self._partial: dict[tuple[object, ...], _Batch] = {}
        self._pending: dict[Future[list[_Answer]], _Batch] = {}
        self._tokens: dict[tuple[str, str], str | None] = {}
        #: What is known so far: the waybill, or why it has no number.
        self.results: dict[str, Waybill | LabelsvcError] = {}

    def add(self, claims: Sequence[Claim], until: datetime) -> None:
        """Ask for these too, whose leases run until then; whole batches start at once."""
        for claim in claims:
            waybill = claim.filed.waybill
            network = claim.filed.network
            kind = (network, waybill.store_id, waybill.subscription_id, claim.repeated)
            batch = self._partial.get(kind)
            if batch is None:
                token = self._token(waybill.store_id, network)
                batch = self._partial[kind] = _Batch([], network, token, until)
            batch.claims.append(claim)
            batch.until = min(batch.until, until)
            if len(batch.claims) >= self._asking.line(network).network.batch:
                self._start(self._partial.pop(kind))

    def finish(self) -> dict[str, Waybill | LabelsvcError]:
        """Ask for the rest and wait for all; results by waybill. One whose lease was lost has none."""
        rest = list(self._partial.values())
        self._partial.clear()
        if len(rest) == 1 and not self._pending:  # nothing to gain from a thread
            self._record(self._asking.call(rest[0], self._bench))
            return self.results
        for batch in rest:
            self._start(batch)
        while self._pending:
            self._collect(wait_s=self._asking.lease.total_seconds() / 8)
            if due := [batch for batch in self._pending.values() if self._asking.runs_out(batch)]:
                self._asking.renew(due)
        return self.results

    def _token(self, store_id: str, network: str) -> str | None:
        if (store_id, network) not in self._tokens:
            self._tokens[store_id, network] = self._asking.register.token(store_id, network)
        return self._tokens[store_id, network]

    def _start(self, batch: _Batch) -> None:
        threads = self._asking.line(batch.network).threads
        try:
            self._pending[threads.submit(self._asking.call, batch, self._bench)] = batch
        except RuntimeError:
            raise stopping() from None

    def _collect(self, wait_s: float) -> None:
        """Record what has come, several calls in one transaction."""
        done, _ = wait(self._pending, timeout=wait_s, return_when=FIRST_COMPLETED)
        answers = []
        for future in done:
            del self._pending[future]
            if not future.cancelled():
                answers += future.result()
        self._record(answers)

    def _record(self, answers: Sequence[_Answer]) -> None:
        if answers:
            self.results.update(self._asking.record(answers, self._actor))


def _outcomes(answers: Sequence[_Answer], taken: set[tuple[str, str]], now: datetime) -> list[Outcome]:
    """What answers mean for their waybills; ``taken`` are the numbers that other waybills have."""
    outcomes = []
    for answer in answers:
        waybill, fence, said = answer.claim.filed.waybill, answer.claim.fence, answer.said
        if isinstance(said, Given):
            if (waybill.carrier, said.number) in taken:
                # Two parcels under one number would both be lost; better none.
                outcomes.append(Outcome(waybill, fence, WaybillState.REFUSED, "network.number_taken"))
                continue
            taken = taken | {(waybill.carrier, said.number)}
            issued, columns = _issued(answer.claim.filed, said, now)
            outcomes.append(Outcome(issued, fence, WaybillState.ISSUED, number=columns))
        elif isinstance(said, Refused) and not (answer.claim.repeated and said.code in _NO_ACCESS):
            outcomes.append(Outcome(waybill, fence, WaybillState.REFUSED, said.code))
        else:
            outcomes.append(_still_open(answer, now))
    return outcomes


def _parcel(filed: Filed) -> ParcelRequest:
    request = filed.request
    return ParcelRequest(
        id=filed.waybill.id,
        orders=request.orders,
        channel=request.channel,
        recipient=request.recipient,
        items=request.items,
        weight_g=request.weight_g,
        pieces=request.pieces,
    )


def _open(silence: NetworkSilent) -> NetworkSilent:
    """A silence in the middle of things: whatever it says of its own call, something has happened before."""
    return NetworkSilent(silence.detail, may_have_happened=True, code=silence.code)


def _issued(filed: Filed, given: Given, now: datetime) -> tuple[Waybill, dict[str, Any]]:
    """A waybill with its number, and the columns to record: number and print data together, for neither is good alone."""
    route = routing(given.data)
    waybill = replace(
        filed.waybill,
        number=given.number,
        parent_number=given.parent_number,
        state=WaybillState.ISSUED,
        reason="",
        route_code=route["routeCode"][:60],
        sorting_mark=route["bigShotName"][:80],
        consolidation_centre=route["consolidation"]["name"][:80],
        issued_at=now,
    )
    return waybill, {
        "number": waybill.number,
        "parent_number": waybill.parent_number,
        "answer": dict(given.data),
        "print_data": print_data(waybill, filed.request, given.data, route),
        "route_code": waybill.route_code,
        "sorting_mark": waybill.sorting_mark,
        "consolidation_centre": waybill.consolidation_centre,
        "issued_at": now,
    }


def _still_open(answer: _Answer, now: datetime) -> Outcome:
    """The outcome of a silence: *requested* with its reason if nothing can have happened yet, else *unknown*."""
    claim, said = answer.claim, answer.said
    assert isinstance(said, LabelsvcError)
    happened = claim.repeated or not isinstance(said, NetworkSilent) or said.may_have_happened
    pause = None
    if happened and claim.fence > 1:
        pause = now + min(timedelta(seconds=2 ** min(claim.fence - 1, 10)), _LONGEST_PAUSE)
    after = WaybillState.UNKNOWN if happened else WaybillState.REQUESTED
    return Outcome(claim.filed.waybill, claim.fence, after, said.code, ask_after=pause)


def _told(answer: _Answer, outcome: Outcome) -> Waybill | LabelsvcError:
    """What whoever asked is told, and the log."""
    waybill, said = outcome.waybill, answer.said
    if outcome.after is WaybillState.ISSUED:
        if not looks_like(waybill.carrier, waybill.number or ""):
            _log.warning("waybill.strange_number", waybill=waybill.id, carrier=waybill.carrier)
        _log.info("waybill.issued", waybill=waybill.id, carrier=waybill.carrier)
        return waybill.masked()
    _log.warning(
        f"waybill.{outcome.after.value}", waybill=waybill.id, carrier=waybill.carrier, reason=outcome.reason
    )
    if outcome.after is WaybillState.REFUSED:
        return refused(waybill.id, outcome.reason, said.detail if isinstance(said, Refused) else "")
    assert isinstance(said, LabelsvcError)
    return Unavailable(said.detail, code=said.code, **{**said.facts, "waybill_id": waybill.id})


def stopping(**facts: str) -> Unavailable:
    """The service stops before it is known what became of a request."""
    return Unavailable(
        "the service is stopping; ask again with the same key", code="service.stopping", **facts
    )


def refused(waybill_id: str, reason: str, detail: str = "") -> Refused:
    """What is said of a refused waybill, whoever asks and when."""
    return Refused(detail or "the carrier network refused the number", code=reason, waybill_id=waybill_id)
