"""Opening the e-waybill service (电子面单): carriers, network points, applications and their history.

Hides the two-step of an application (intent committed, network asked, outcome committed) and the frozen origin.
"""

from __future__ import annotations

from collections.abc import Sequence

from labelsvc.db import Database, new_id
from labelsvc.errors import Conflict, FieldError, Invalid, NotFound, Refused
from labelsvc.log import get_logger
from labelsvc.security import Actor, Right
from labelsvc.waybills import store as rows
from labelsvc.waybills.carriers import CarrierNetwork, NetworkSilent, PointApplication
from labelsvc.waybills.model import (
    OCCUPYING,
    Application,
    Carrier,
    CarrierKind,
    NetworkPoint,
    Party,
    Subscription,
    SubscriptionEvent,
    SubscriptionState,
    text_fault,
)

_log = get_logger("waybills")


class Subscriptions:
    """A store's subscriptions at carriers' network points (E1-E10)."""

    def __init__(
        self, database: Database, network: CarrierNetwork, one_point_per_address: str = "address"
    ) -> None:
        """``one_point_per_address``: "address", or "carrier" for one point an address and carrier (E5)."""
        self._database = database
        self._network = network
        self._by_carrier = one_point_per_address == "carrier"

    def connect(self, actor: Actor, access_token: str) -> None:
        """Keep the store's access token to the network. Raises Invalid."""
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        token = access_token.strip()
        if reason := text_fault(token, 1, 200):
            raise Invalid(reason, field="access_token")
        with self._database.transaction() as connection:
            rows.put_account(connection, actor.store_id, token, self._database.now())

    def connected(self, actor: Actor) -> bool:
        """Whether the store has given an access token."""
        actor.require(Right.READ_SUBSCRIPTIONS)
        with self._database.reading() as connection:
            return rows.access_token(connection, actor.store_id) is not None

    def carriers(self, actor: Actor) -> list[Carrier]:
        """The carriers that can be opened. Raises Refused ``network.not_connected``, Unavailable."""
        actor.require(Right.READ_SUBSCRIPTIONS)
        return self._network.carriers(self._token(actor.store_id))

    def network_points(self, actor: Actor, carrier: str, address_id: str) -> list[NetworkPoint]:
        """The points of a carrier whose area covers an address; none is an empty list (E3).

        Raises Invalid (``carrier``), NotFound (the address), Refused, Unavailable.
        """
        actor.require(Right.READ_SUBSCRIPTIONS)
        token = self._token(actor.store_id)
        with self._database.reading() as connection:
            address = rows.find_address(connection, actor.store_id, address_id)
        if address is None:
            raise NotFound("no such sender address", code="address.not_found")
        return self._network.points(token, self._carrier(token, carrier), address.party)

    def apply(self, actor: Actor, application: Application) -> Subscription:
        """Apply for a network point with one address; the answer is open, rejected, or under review if the network is silent.

        Raises Invalid naming each missing or wrong field (E2, E9), Conflict ``address.occupied`` (E5), Refused, Unavailable.
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        asked = _checked(application)
        token = self._token(actor.store_id)
        with self._database.reading() as connection:
            address = rows.find_address(connection, actor.store_id, asked.address_id)
            if address is None:
                raise Invalid("no such sender address", field="address_id")
            self._refuse_occupied(rows.subscriptions_of(connection, address_id=address.id), asked.carrier)
        carrier = self._carrier(token, asked.carrier)
        if carrier.kind is CarrierKind.DIRECT and not asked.settlement_account:
            raise Invalid(
                "is missing: a direct-operated carrier bills an account", field="settlement_account"
            )
        points = self._network.points(token, carrier, address.party)
        point = next((point for point in points if point.code == asked.branch_code), None)
        if point is None:
            raise Invalid("is no network point that covers the address", field="branch_code")
        id = new_id()
        try:
            with self._database.transaction() as connection:
                # Read again: what is frozen must be what the address says at this moment (W10).
                found = rows.find_address(connection, actor.store_id, asked.address_id, lock=True)
                if found is None or found.party.division != address.party.division:
                    raise Conflict("the sender address was changed at the same time", code="address.changed")
                self._refuse_occupied(rows.subscriptions_of(connection, address_id=found.id), carrier.code)
                now = self._database.now()
                new = Subscription(
                    id=id,
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
                    created_at=now,
                    opened_at=None,
                    reason="",
                    network_application_id="",
                )
                rows.insert_subscription(connection, new, self._occupation(found.id, carrier.code))
        except rows.Raced:
            raise _occupied() from None
        try:
            self._submit(new, token, actor.user_id)
        except NetworkSilent:
            _log.warning("subscription.under_review", subscription=id, carrier=carrier.code)
        return self.get(actor, id)

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
            found = rows.find_subscription(connection, actor.store_id, subscription_id)
        if found is None:
            raise NotFound("no such subscription", code="subscription.not_found")
        return found

    def history(self, actor: Actor, subscription_id: str) -> Sequence[SubscriptionEvent]:
        """Who did what when, oldest first (E10)."""
        found = self.get(actor, subscription_id)
        with self._database.reading() as connection:
            return rows.subscription_history(connection, found.id)

    def close(self, actor: Actor, subscription_id: str) -> Subscription:
        """Give the point up and free the address (E5). Closing twice is harmless.

        Raises Conflict ``subscription.state`` while it is under review, Unavailable if the network doesn't answer.
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        found = self.get(actor, subscription_id)
        if found.state in (SubscriptionState.OPEN, SubscriptionState.SUSPENDED):
            # The network first: a crash between leaves it open here, and closing again is harmless there.
            self._network.close(self._token(actor.store_id), found.network_application_id)
            with self._database.transaction() as connection:
                rows.step_subscription(
                    connection,
                    found.id,
                    found.state,
                    SubscriptionState.CLOSED,
                    now=self._database.now(),
                    actor=actor.user_id,
                )
            _log.info("subscription.closed", subscription=found.id)
        elif found.state is not SubscriptionState.CLOSED:
            raise Conflict(f"the subscription is {found.state.value}", code="subscription.state")
        return self.get(actor, subscription_id)

    def balance(self, actor: Actor, subscription_id: str) -> int | None:
        """Numbers left at the network point (W4); None for a direct-operated carrier, which has no balance (E9)."""
        found = self.get(actor, subscription_id)
        if found.kind is CarrierKind.DIRECT:
            return None
        accounts = self._network.search(self._token(actor.store_id), found.carrier)
        for account in accounts:
            if account.branch_code == found.branch_code:
                return account.balance
        return 0

    def settle(self) -> int:
        """Ask again, identically, for every application whose outcome is unknown; how many are settled now."""
        with self._database.reading() as connection:
            waiting = rows.subscriptions_of(connection, state=SubscriptionState.UNDER_REVIEW)
        settled = 0
        for subscription in waiting:
            try:
                self._submit(subscription, self._token(subscription.store_id), "settle")
                settled += 1
            except (NetworkSilent, Refused):
                continue
        return settled

    def _submit(self, subscription: Subscription, token: str, actor: str) -> None:
        """The network call and its outcome. Raises NetworkSilent, and Refused for a bad access token."""
        application = PointApplication(
            carrier=subscription.carrier,
            branch_code=subscription.branch_code,
            origin=subscription.origin,
            contact_name=subscription.contact_name,
            contact_phone=subscription.contact_phone,
            settlement_account=subscription.settlement_account,
            agreement_version=subscription.agreement_version,
        )
        after, reason, application_id = SubscriptionState.OPEN, "", ""
        try:
            application_id = self._network.apply(token, application)
        except Refused as refusal:
            if refusal.code == "network.token":
                raise  # says nothing about the application
            after, reason = SubscriptionState.REJECTED, refusal.code
        with self._database.transaction() as connection:
            rows.step_subscription(
                connection,
                subscription.id,
                SubscriptionState.UNDER_REVIEW,
                after,
                now=self._database.now(),
                actor=actor,
                reason=reason,
                application_id=application_id,
            )
        event = "subscription.opened" if after is SubscriptionState.OPEN else "subscription.rejected"
        _log.info(event, subscription=subscription.id, carrier=subscription.carrier, reason=reason)

    def _occupation(self, address_id: str, carrier: str) -> str:
        return f"{address_id}:{carrier}" if self._by_carrier else address_id

    def _refuse_occupied(self, of_address: Sequence[Subscription], carrier: str) -> None:
        # The constraint decides races; this look also holds after the setting was changed.
        for other in of_address:
            if other.state in OCCUPYING and (not self._by_carrier or other.carrier == carrier):
                raise _occupied()

    def _token(self, store_id: str) -> str:
        with self._database.reading() as connection:
            token = rows.access_token(connection, store_id)
        if token is None:
            raise not_connected()
        return token

    def _carrier(self, token: str, code: str) -> Carrier:
        found = next((carrier for carrier in self._network.carriers(token) if carrier.code == code), None)
        if found is None:
            raise Invalid("is no carrier of the network", field="carrier")
        return found


def not_connected() -> Refused:
    """The store can't speak to the network yet."""
    return Refused("the store isn't connected to the carrier network", code="network.not_connected")


def _occupied() -> Conflict:
    return Conflict(
        "this sender address has a network point already, open or under review", code="address.occupied"
    )


def _checked(application: Application) -> Application:
    """The application without blanks at the ends. Raises Invalid naming every missing or wrong field (E2)."""
    wrong: list[FieldError] = []
    tidy: dict[str, str] = {}
    for field, (least, most) in {
        "carrier": (1, 20),
        "address_id": (1, 40),
        "branch_code": (1, 40),
        "contact_name": (1, 40),
        "contact_phone": (1, 20),
        "agreement_version": (1, 40),
        "settlement_account": (0, 40),
    }.items():
        value = getattr(application, field)
        value = value.strip() if isinstance(value, str) else value
        if reason := text_fault(value, least, most):
            wrong.append(FieldError(field, reason))
        else:
            tidy[field] = value
    if "contact_phone" in tidy:
        try:
            Party("x", tidy["contact_phone"], "x", "x", "x", "x").checked("contact")
        except Invalid as fault:
            wrong += [FieldError("contact_phone", one.reason) for one in fault.errors]
    if application.accepted is not True:
        wrong.append(FieldError("accepted", "the service agreement must be accepted"))
    if wrong:
        raise Invalid("the application is incomplete", errors=wrong)
    return Application(accepted=True, **tidy)
