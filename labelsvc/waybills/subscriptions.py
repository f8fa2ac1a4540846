"""Opening the e-waybill service (电子面单): carriers, network points, applications, their review and their history.

Hides the two-step of an application (intent committed, network asked, outcome committed), the lease by which one of many
askers asks, the frozen origin, and how what the carrier decides later is found out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta

from labelsvc.db import Database, new_id
from labelsvc.errors import Conflict, FieldError, Invalid, LabelsvcError, NotFound, Refused, Unavailable
from labelsvc.log import get_logger
from labelsvc.security import Actor, Right
from labelsvc.waybills import subscription_store as rows
from labelsvc.waybills.carriers import (
    Applied,
    CarrierNetwork,
    Networks,
    NetworkSilent,
    PointAccount,
    PointApplication,
)
from labelsvc.waybills.carriers.offline import NumberPool, PoolNumber
from labelsvc.waybills.model import (
    OCCUPYING,
    Application,
    Balance,
    Carrier,
    CarrierKind,
    NetworkPoint,
    NextSteps,
    Obstacle,
    Party,
    SenderAddress,
    Subscription,
    SubscriptionEvent,
    SubscriptionState,
    text_fault,
)
from labelsvc.waybills.network_accounts import NetworkAccounts, not_connected
from labelsvc.waybills.store import Raced

__all__ = ["Subscriptions", "not_connected"]

_log = get_logger("waybills")

#: Who decides what no user decides.
CARRIER = "carrier"

_POLL_S = 0.05
_SILENT_S = 5.0

_OBSTACLES = {
    SubscriptionState.DRAFT: Obstacle.NOT_SUBMITTED,
    SubscriptionState.UNDER_REVIEW: Obstacle.UNDER_REVIEW,
    SubscriptionState.REJECTED: Obstacle.REJECTED,
    SubscriptionState.SUSPENDED: Obstacle.SUSPENDED,
    SubscriptionState.CLOSED: Obstacle.CLOSED,
}


class Subscriptions:
    """A store's subscriptions at carriers' network points (E0-E11)."""

    def __init__(
        self,
        database: Database,
        networks: Networks,
        one_point_per_address: str = "address",
        *,
        low_balance: int = 500,
        timeout_s: float = 10,
        review_every_s: float = 30,
        look_every_s: float = 300,
    ) -> None:
        """``one_point_per_address``: "address", or "carrier" for one point an address and carrier (E5).

        Fewer numbers than ``low_balance`` are few (W4). ``timeout_s`` is the network's. ``settle`` asks about what is under
        review every ``review_every_s``, about what is open every ``look_every_s``.
        """
        self._database = database
        self._networks = networks
        self._pool = NumberPool(database)
        self._by_carrier = one_point_per_address == "carrier"
        self._low_balance = low_balance
        self._lease = timedelta(seconds=3.5 * timeout_s)
        self._review_every = timedelta(seconds=review_every_s)
        self._look_every = timedelta(seconds=look_every_s)
        self._accounts = accounts = NetworkAccounts(database, networks.platform, timeout_s)
        self.connect = accounts.connect
        self.connect_by_code = accounts.connect_by_code
        self.connected = accounts.connected
        self.access = accounts.access
        self.refresh_token = accounts.refresh_token

    # --- what can be opened -----------------------------------------------------------------------------------------

    def carriers(self, actor: Actor) -> list[Carrier]:
        """The carriers that can be opened. Raises Refused ``network.not_connected``, Unavailable."""
        actor.require(Right.READ_SUBSCRIPTIONS)
        return self._networks.platform.carriers(self._accounts.token(actor.store_id))

    def network_points(self, actor: Actor, carrier: str, address_id: str) -> list[NetworkPoint]:
        """The points of a carrier whose area covers an address; none is an empty list (E3).

        Raises Invalid (``carrier``), NotFound (the address), Refused, Unavailable.
        """
        actor.require(Right.READ_SUBSCRIPTIONS)
        token = self._accounts.token(actor.store_id)
        with self._database.reading() as connection:
            address = rows.find_address(connection, actor.store_id, address_id)
        if address is None:
            raise NotFound("no such sender address", code="address.not_found")
        network = self._networks.platform
        return network.points(token, _carrier(network, token, carrier), address.party)

    # --- applying ---------------------------------------------------------------------------------------------------

    def save_draft(self, actor: Actor, application: Application, draft_id: str | None = None) -> Subscription:
        """Keep an application that may lack anything yet (E1); ``draft_id``: a draft to overwrite.

        Raises Invalid naming what is too long or no address of the store, NotFound, Conflict ``subscription.state`` for what
        was submitted.
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        said = _tidied(application)
        now = self._database.now()
        with self._database.transaction() as connection:
            address = None
            if said.address_id:
                # Held, or it could be deleted before the draft that names it is there.
                address = rows.find_address(connection, actor.store_id, said.address_id, lock=True)
                if address is None:
                    raise Invalid("no such sender address", field="address_id")
            draft = _drafted(actor.store_id, draft_id or new_id(), said, address, now)
            if draft_id is None:
                rows.insert_subscription(connection, draft, None, actor=actor.user_id)
            else:
                _found(rows.find_subscription(connection, actor.store_id, draft_id))
                if not rows.update_draft(connection, draft):
                    raise Conflict("the application was submitted", code="subscription.state")
        return self.get(actor, draft.id)

    def submit(self, actor: Actor, draft_id: str) -> Subscription:
        """Submit a draft. Raises as ``apply``, NotFound, Conflict ``subscription.state`` if it is no draft any more."""
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        draft = self.get(actor, draft_id)
        if draft.state is not SubscriptionState.DRAFT:
            raise _wrong_state(draft)
        return self._file(actor, _application(draft), draft)

    def apply(self, actor: Actor, application: Application) -> Subscription:
        """Apply for a network point with one address, without a draft before.

        The answer is open, rejected, or under review: because the carrier reviews it, or the network is silent.
        Raises Invalid naming each missing or wrong field (E2, E9), Conflict ``address.occupied`` (E5), Refused, Unavailable.
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        return self._file(actor, application, None)

    def correct(self, actor: Actor, subscription_id: str, application: Application) -> Subscription:
        """Submit a rejected application anew, corrected; it keeps its history (E1). Raises as ``apply`` and ``submit``."""
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        rejected = self.get(actor, subscription_id)
        if rejected.state is not SubscriptionState.REJECTED:
            raise _wrong_state(rejected)
        return self._file(actor, application, rejected)

    def open_offline(
        self,
        actor: Actor,
        carrier: str,
        address_id: str,
        branch_code: str,
        branch_name: str,
        numbers: Sequence[PoolNumber],
    ) -> Subscription:
        """Open a point whose numbers the carrier handed over as a file; once it is open, add further numbers to it.

        Without ``numbers`` it rests on those that are in the pool. Who hands numbers over has agreed on paper: the contact is
        the address's. Raises Invalid, NotFound (the address), Conflict ``address.occupied`` (E5).
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        with self._database.reading() as connection:
            address = rows.find_address(connection, actor.store_id, address_id)
            of_address = rows.subscriptions_of(connection, actor.store_id, address_id=address_id)
        if address is None:
            raise NotFound("no such sender address", code="address.not_found")
        same = next(
            (
                one
                for one in of_address
                if one.state in OCCUPYING
                and (one.network, one.carrier, one.branch_code) == ("offline", carrier, branch_code)
            ),
            None,
        )
        if same is None:
            self._refuse_occupied(of_address, carrier)
        if numbers:
            self._pool.add(actor.store_id, carrier, branch_code, branch_name, numbers)
        if same is not None:
            return same
        handed_over = Application(
            carrier=carrier,
            address_id=address_id,
            branch_code=branch_code,
            contact_name=address.party.name[:40],
            contact_phone=address.party.phone[:20],
            agreement_version="offline",
            accepted=True,
        )
        return self._file(actor, handed_over, None, "offline")

    def _file(
        self, actor: Actor, application: Application, former: Subscription | None, network: str = "platform"
    ) -> Subscription:
        """Check an application, commit it as under review, and ask the network."""
        asked = _checked(application)
        adapter, token = self._networks.of(network), self._token(network, actor.store_id)
        with self._database.reading() as connection:
            address = rows.find_address(connection, actor.store_id, asked.address_id)
            if address is None:
                raise Invalid("no such sender address", field="address_id")
            self._refuse_occupied(rows.subscriptions_of(connection, address_id=address.id), asked.carrier)
        carrier = _carrier(adapter, token, asked.carrier)
        _require_account(carrier, asked)
        points = adapter.points(token, carrier, address.party)
        point = next((point for point in points if point.code == asked.branch_code), None)
        if point is None:
            raise Invalid("is no network point that covers the address", field="branch_code")
        try:
            filed, fence = self._commit(actor, asked, former, network, carrier, point, address)
        except Raced:
            raise _occupied() from None
        try:
            self._ask(filed, fence, rest_s=0)
        except NetworkSilent:
            _log.warning("subscription.under_review", subscription=filed.id, carrier=carrier.code)
        return self.get(actor, filed.id)

    def _commit(
        self,
        actor: Actor,
        asked: Application,
        former: Subscription | None,
        network: str,
        carrier: Carrier,
        point: NetworkPoint,
        address: SenderAddress,
    ) -> tuple[Subscription, int]:
        """The intent, and the fence of the lease on asking. Raises Raced, Conflict."""
        with self._database.transaction() as connection:
            # Read again, and held: what is frozen must be what the address says at this moment (W10).
            found = rows.find_address(connection, actor.store_id, asked.address_id, lock=True)
            if found is None or found.party.division != address.party.division:
                raise Conflict("the sender address was changed at the same time", code="address.changed")
            self._refuse_occupied(rows.subscriptions_of(connection, address_id=found.id), carrier.code)
            now = self._database.now()
            new = Subscription(
                id=former.id if former else new_id(),
                store_id=actor.store_id,
                carrier=carrier.code,
                carrier_name=carrier.name,
                kind=carrier.kind,
                address_id=found.id,
                branch_code=point.code,
                branch_name=point.name,
                state=SubscriptionState.UNDER_REVIEW,
                origin=found.party,
                contact_name=asked.contact_name,
                contact_phone=asked.contact_phone,
                settlement_account=asked.settlement_account,
                agreement_version=asked.agreement_version,
                agreed_at=now,
                agreed_by=actor.user_id,
                created_at=former.created_at if former else now,
                opened_at=None,
                reason="",
                network_application_id="",
                network=network,
                accepted=True,
            )
            occupation = f"{found.id}:{carrier.code}" if self._by_carrier else found.id
            if former is None:
                rows.insert_subscription(
                    connection, new, occupation, actor=actor.user_id, attempt_until=now + self._lease
                )
                return new, 1
            changed = _changed(former, new) if former.state is SubscriptionState.REJECTED else ()
            fence = rows.resubmit(
                connection,
                new,
                former.state,
                occupation,
                now=now,
                actor=actor.user_id,
                attempt_until=now + self._lease,
                changed=changed,
            )
            if fence is None:
                raise Conflict(
                    "the application was submitted or changed at the same time", code="subscription.state"
                )
            return new, fence

    # --- looking ----------------------------------------------------------------------------------------------------

    def list(
        self, actor: Actor, carrier: str | None = None, state: SubscriptionState | str | None = None
    ) -> list[Subscription]:
        """The store's subscriptions, oldest first. Raises Invalid."""
        actor.require(Right.READ_SUBSCRIPTIONS)
        try:
            wanted = SubscriptionState(state) if state is not None else None
        except ValueError:
            raise Invalid("is no state of a subscription", field="state") from None
        with self._database.reading() as connection:
            return rows.subscriptions_of(connection, actor.store_id, carrier=carrier, state=wanted)

    def get(self, actor: Actor, subscription_id: str) -> Subscription:
        """One subscription. Raises NotFound."""
        actor.require(Right.READ_SUBSCRIPTIONS)
        with self._database.reading() as connection:
            return _found(rows.find_subscription(connection, actor.store_id, subscription_id))

    def history(self, actor: Actor, subscription_id: str) -> Sequence[SubscriptionEvent]:
        """Who did what when, oldest first (E10)."""
        found = self.get(actor, subscription_id)
        with self._database.reading() as connection:
            return rows.subscription_history(connection, found.id)

    def balance(self, actor: Actor, subscription_id: str) -> int | None:
        """Numbers left at the network point (W4); None for a direct-operated carrier, which has no balance (E9)."""
        found = self.get(actor, subscription_id)
        if found.kind is not CarrierKind.FRANCHISE or found.state is SubscriptionState.DRAFT:
            return None
        network = self._networks.of(found.network)
        return _left(found, network.search(self._token(found.network, actor.store_id), found.carrier))

    def balances(self, actor: Actor) -> Sequence[Balance]:
        """The numbers left of every open or suspended subscription, and which are few (W4). Raises Refused, Unavailable."""
        with_points = [
            one
            for one in self.list(actor)
            if one.state in (SubscriptionState.OPEN, SubscriptionState.SUSPENDED)
        ]
        found: list[Balance] = []
        for name in sorted({one.network for one in with_points}):
            # One call for all carriers: a page of ten carriers mustn't wait for ten.
            accounts = self._networks.of(name).search(self._token(name, actor.store_id), None)
            found += [self._balance(one, accounts) for one in with_points if one.network == name]
        return sorted(found, key=lambda balance: balance.subscription_id)

    def next_steps(self, actor: Actor, subscription_id: str) -> NextSteps:
        """What comes after opening (E11). A silent network leaves the balance out. Raises NotFound."""
        found = self.get(actor, subscription_id)
        if found.state is not SubscriptionState.OPEN:
            return NextSteps(found, _OBSTACLES[found.state], None)
        try:
            token = self._token(found.network, actor.store_id)
            balance = self._balance(found, self._networks.of(found.network).search(token, found.carrier))
        except (Refused, Unavailable):
            return NextSteps(found, Obstacle.NONE, None)
        empty = balance.numbers is not None and balance.numbers <= 0
        return NextSteps(found, Obstacle.NO_NUMBERS if empty else Obstacle.NONE, balance)

    def _balance(self, of: Subscription, accounts: Sequence[PointAccount]) -> Balance:
        left = _left(of, accounts) if of.kind is CarrierKind.FRANCHISE else None
        low = left is not None and left < self._low_balance
        return Balance(of.id, of.carrier, of.branch_code, of.branch_name, left, low)

    # --- giving up --------------------------------------------------------------------------------------------------

    def withdraw(self, actor: Actor, subscription_id: str) -> Subscription:
        """Take an application back that isn't open: a draft, one under review, a rejected one. Twice is harmless.

        One that the network has opened meanwhile is closed; one that it has rejected stays so.
        Raises NotFound, Conflict ``subscription.state`` for an open one, Refused, Unavailable if the network doesn't answer.
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        found = self.get(actor, subscription_id)
        if found.state in (SubscriptionState.OPEN, SubscriptionState.SUSPENDED):
            raise _wrong_state(found)
        return self._end(actor, found)

    def close(self, actor: Actor, subscription_id: str) -> Subscription:
        """Give the point up and free the address (E5). Closing twice is harmless.

        Raises Conflict ``subscription.state`` unless it is open or suspended, Unavailable if the network doesn't answer.
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        found = self.get(actor, subscription_id)
        closable = (SubscriptionState.OPEN, SubscriptionState.SUSPENDED, SubscriptionState.CLOSED)
        if found.state not in closable:
            raise _wrong_state(found)
        return self._end(actor, found)

    def _end(self, actor: Actor, seen: Subscription) -> Subscription:
        """Close at the network first: a crash between leaves it as it was here, and ending it again is harmless there."""
        if seen.state is SubscriptionState.CLOSED:
            return seen
        fence = self._wait_for_lease(seen.id)
        found = self.get(actor, seen.id)
        try:
            if found.state is SubscriptionState.UNDER_REVIEW and not found.network_application_id:
                # The network may have it, under an id that we don't know: ask, so that nothing stays open there.
                found = self._ask(found, fence, keep=True)
                if found.state is SubscriptionState.REJECTED:
                    return found
            if found.state in OCCUPYING:
                token = self._token(found.network, actor.store_id)
                self._networks.of(found.network).close(token, found.network_application_id)
            if found.state is not SubscriptionState.CLOSED:
                with self._database.transaction() as connection:
                    now = self._database.now()
                    ended = rows.step_subscription(
                        connection,
                        found,
                        fence,
                        SubscriptionState.CLOSED,
                        now=now,
                        actor=actor.user_id,
                        look_at=now,
                    )
                if not ended:
                    raise _wrong_state(found)
                _log.info("subscription.closed", subscription=found.id)
        finally:
            with self._database.transaction() as connection:
                rows.end_lease(connection, seen.id, fence, self._database.now())
        return self.get(actor, seen.id)

    def _wait_for_lease(self, id: str) -> int:
        deadline = time.monotonic() + self._lease.total_seconds()
        while True:
            now = self._database.now()
            with self._database.transaction() as connection:
                fence = rows.take_lease(connection, id, now, now + self._lease)
            if fence is not None:
                return fence
            if time.monotonic() > deadline:
                raise Unavailable("the carrier network is being asked about it", code="subscription.busy")
            time.sleep(_POLL_S)

    # --- what the carrier decides -----------------------------------------------------------------------------------

    def settle(self, limit: int = 50) -> int:
        """Ask the network about what is due: applications without an answer or under review, and what is open (E1).

        How many came to another state. For the daemon, every second or so.
        """
        with self._database.reading() as connection:
            waiting = rows.due(connection, self._database.now(), limit)
        settled = 0
        for seen in waiting:
            now = self._database.now()
            with self._database.transaction() as connection:
                fence = rows.take_lease(connection, seen.id, now, now + self._lease)
                found = rows.find_subscription(connection, seen.store_id, seen.id)
            if fence is None or found is None:
                continue
            try:
                settled += self._ask(found, fence).state is not found.state
            except LabelsvcError as fault:
                _log.info("subscription.unsettled", subscription=seen.id, reason=fault.code)
        return settled

    def _ask(
        self, seen: Subscription, fence: int, *, keep: bool = False, rest_s: float = _SILENT_S
    ) -> Subscription:
        """Ask the network where it stands and commit the answer, ending the lease unless the caller will (``keep``).

        An application that stays without an answer is asked about again after ``rest_s``.

        Raises NetworkSilent, and Refused where that says nothing about the application.
        """
        application = PointApplication(
            carrier=seen.carrier,
            branch_code=seen.branch_code,
            origin=seen.origin,
            contact_name=seen.contact_name,
            contact_phone=seen.contact_phone,
            settlement_account=seen.settlement_account,
            agreement_version=seen.agreement_version,
        )
        network = self._networks.of(seen.network)
        unanswered = seen.state is SubscriptionState.UNDER_REVIEW and not seen.network_application_id
        try:
            token = self._token(seen.network, seen.store_id)
            if unanswered:
                answer = self._applied(network, token, application)
            else:
                answer = network.review(token, seen.network_application_id, application)
        except LabelsvcError:
            if not keep:
                wait = timedelta(seconds=rest_s) if unanswered else self._every(seen.state)
                with self._database.transaction() as connection:
                    rows.end_lease(connection, seen.id, fence, self._database.now() + wait)
            raise
        return self._record(seen, fence, answer, keep=keep)

    def _applied(self, network: CarrierNetwork, token: str, application: PointApplication) -> Applied:
        try:
            return network.apply(token, application)
        except Refused as refusal:
            if refusal.code in ("network.token", "network.not_connected"):
                raise  # says nothing about the application
            return Applied("", "rejected", refusal.code)

    def _record(self, seen: Subscription, fence: int, answer: Applied, *, keep: bool) -> Subscription:
        """Commit what the network said about a subscription."""
        after, reason = _decided(seen, answer)
        in_words = answer.reason if reason.startswith("carrier.") else ""
        now = self._database.now()
        id = answer.application_id or seen.network_application_id
        stands = replace(seen, state=after, network_application_id=id, reason=reason, carrier_reason=in_words)
        with self._database.transaction() as connection:
            if not rows.step_subscription(
                connection,
                seen,
                fence,
                after,
                now=now,
                actor=CARRIER,
                look_at=now + self._every(after),
                reason=reason,
                carrier_reason=in_words,
                application_id=id,
                lease_until=now + self._lease if keep else None,
            ):
                return seen  # another has taken over, and records what it learns
        if after is not seen.state:
            _log.info(
                f"subscription.{after.value}", subscription=seen.id, carrier=seen.carrier, reason=reason
            )
        return stands

    def _every(self, state: SubscriptionState) -> timedelta:
        return self._review_every if state is SubscriptionState.UNDER_REVIEW else self._look_every

    # --- parts ------------------------------------------------------------------------------------------------------

    def _token(self, network: str, store_id: str) -> str:
        return store_id if network == "offline" else self._accounts.token(store_id)

    def _refuse_occupied(self, of_address: Sequence[Subscription], carrier: str) -> None:
        # The constraint decides races; this look, with the address held, also holds after the setting was changed.
        for other in of_address:
            if other.state in OCCUPYING and (not self._by_carrier or other.carrier == carrier):
                raise _occupied()


def _decided(seen: Subscription, answer: Applied) -> tuple[SubscriptionState, str]:
    """The state that the network's answer means, and the reason as a code."""
    before = seen.state
    match answer.state:
        case "open":
            return SubscriptionState.OPEN, ""
        case "under_review" if before is SubscriptionState.UNDER_REVIEW:
            return SubscriptionState.UNDER_REVIEW, ""
        case "under_review":  # a gateway that only lists what is open lists it no more
            return SubscriptionState.SUSPENDED, "carrier.not_listed"
        case "suspended":
            return SubscriptionState.SUSPENDED, "carrier.suspended"
        case "rejected" if before is SubscriptionState.UNDER_REVIEW:
            # Refused outright: then the reason is a code of ours; else it is in the carrier's words.
            code = answer.reason if not answer.application_id and "." in answer.reason else ""
            return SubscriptionState.REJECTED, code or "carrier.rejected"
        case _:
            return SubscriptionState.CLOSED, "carrier.closed"


def _left(of: Subscription, accounts: Sequence[PointAccount]) -> int:
    for account in accounts:
        if (account.carrier, account.branch_code) == (of.carrier, of.branch_code):
            return account.balance or 0
    return 0


def _carrier(network: CarrierNetwork, token: str, code: str) -> Carrier:
    found = next((carrier for carrier in network.carriers(token) if carrier.code == code), None)
    if found is None:
        raise Invalid("is no carrier of the network", field="carrier")
    return found


def _require_account(carrier: Carrier, asked: Application) -> None:
    """A settlement account is what a direct-operated carrier bills, and no other has one (E9)."""
    if carrier.kind is CarrierKind.DIRECT and not asked.settlement_account:
        raise Invalid("is missing: a direct-operated carrier bills an account", field="settlement_account")
    if carrier.kind is CarrierKind.FRANCHISE and asked.settlement_account:
        raise Invalid(
            "is not for a franchise carrier: it sells numbers beforehand", field="settlement_account"
        )


def _found(subscription: Subscription | None) -> Subscription:
    if subscription is None:
        raise NotFound("no such subscription", code="subscription.not_found")
    return subscription


def _wrong_state(found: Subscription) -> Conflict:
    return Conflict(
        f"the subscription is {found.state.value}", code="subscription.state", state=found.state.value
    )


def _occupied() -> Conflict:
    return Conflict(
        "this sender address has a network point already, open or under review", code="address.occupied"
    )


def _application(draft: Subscription) -> Application:
    """What a draft says."""
    return Application(
        carrier=draft.carrier,
        address_id=draft.address_id or "",
        branch_code=draft.branch_code,
        contact_name=draft.contact_name,
        contact_phone=draft.contact_phone,
        agreement_version=draft.agreement_version,
        accepted=draft.accepted,
        settlement_account=draft.settlement_account,
    )


def _changed(former: Subscription, new: Subscription) -> Sequence[str]:
    """The fields of the application that a correction changed, and whether the address's text did."""
    before, after = _application(former), _application(new)
    names = [
        field.name
        for field in fields(Application)
        if getattr(before, field.name) != getattr(after, field.name)
    ]
    return [*names, "origin"] if former.origin != new.origin and "address_id" not in names else names


def _drafted(
    store_id: str, id: str, said: Application, address: SenderAddress | None, now: datetime
) -> Subscription:
    return Subscription(
        id=id,
        store_id=store_id,
        carrier=said.carrier,
        carrier_name="",
        kind=None,
        address_id=address.id if address else None,
        branch_code=said.branch_code,
        branch_name="",
        state=SubscriptionState.DRAFT,
        origin=address.party if address else _NOWHERE,
        contact_name=said.contact_name,
        contact_phone=said.contact_phone,
        settlement_account=said.settlement_account,
        agreement_version=said.agreement_version,
        agreed_at=None,
        agreed_by="",
        created_at=now,
        opened_at=None,
        reason="",
        network_application_id="",
        accepted=said.accepted,
    )


_NOWHERE = Party("", "", "", "", "", "")

#: The least and the most characters of each part of an application.
_LENGTHS = {
    "carrier": (1, 20),
    "address_id": (1, 40),
    "branch_code": (1, 40),
    "contact_name": (1, 40),
    "contact_phone": (1, 20),
    "agreement_version": (1, 40),
    "settlement_account": (0, 40),
}


def _tidied(application: Application, *, whole: bool = False) -> Application:
    """The application without blanks at the ends. Raises Invalid naming every wrong field, if ``whole`` also each missing."""
    wrong: list[FieldError] = []
    tidy: dict[str, str] = {}
    for field, (least, most) in _LENGTHS.items():
        value = getattr(application, field)
        value = value.strip() if isinstance(value, str) else value
        if reason := text_fault(value, least if whole else 0, most):
            wrong.append(FieldError(field, reason))
        else:
            tidy[field] = value
    if tidy.get("contact_phone"):
        try:
            Party("x", tidy["contact_phone"], "x", "x", "x", "x").checked("contact")
        except Invalid as fault:
            wrong += [FieldError("contact_phone", one.reason) for one in fault.errors]
    if whole and application.accepted is not True:
        wrong.append(FieldError("accepted", "the service agreement must be accepted"))
    if wrong:
        raise Invalid("the application is incomplete or wrong", errors=wrong)
    return Application(accepted=application.accepted is True, **tidy)


def _checked(application: Application) -> Application:
    """A whole application (E2)."""
    return _tidied(application, whole=True)
