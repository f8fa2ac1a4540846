"""Orders (订单): a merchant's, shipped by itself or assigned to a bound factory, and the waybill each one gets.

Hides who may see what of an order (D7) and that a held order's waybill is held with it (P10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from labelsvc.db import Database, new_id
from labelsvc.dropship import people_store
from labelsvc.dropship import store as rows
from labelsvc.dropship.model import NewOrder, Order, OrderState
from labelsvc.errors import Conflict, FieldError, Forbidden, Gone, Invalid, NotFound, Refused
from labelsvc.log import get_logger
from labelsvc.security import Accounts, Actor, Audit, Right, StoreKind, checked_reason
from labelsvc.waybills import (
    IssueRequest,
    Item,
    SenderAddresses,
    Waybill,
    Waybills,
    check_person,
    searched_by,
    text_fault,
)

_log = get_logger("dropship")

#: More orders for one person than anybody reads.
_FOUND = 200


class Orders:
    """A store's orders: a merchant's own, a factory's assigned ones."""

    def __init__(
        self, database: Database, accounts: Accounts, waybills: Waybills, addresses: SenderAddresses
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._waybills = waybills
        self._addresses = addresses
        self._audit = Audit(database)

    def create(self, actor: Actor, new: NewOrder) -> Order:
        """Take an order in; the same one again changes nothing (D3).

        Raises Invalid, Refused ``store.not_merchant``, Conflict ``order.differs`` if the number stands for another content.
        """
        actor.require(Right.MANAGE_ORDERS)
        new = new.checked()
        if self._accounts.store(actor.store_id).kind is not StoreKind.MERCHANT:
            raise Refused("orders are a merchant's", code="store.not_merchant")
        sender = new.shown_sender
        if sender is None:
            sender = self._addresses.default_party(actor.store_id)
            if sender is None:
                raise Invalid("is missing, and the store has no sender address", field="shown_sender")
        # In turn: the second of two who send the same order at once finds it there.
        with self._database.transaction(f"order {actor.store_id} {new.number}") as connection:
            known = rows.same_content(connection, actor.store_id, new)
            if known is None:
                id = new_id()
                if not rows.insert_order(
                    connection,
                    id=id,
                    merchant_id=actor.store_id,
                    new=new,
                    shown_sender=sender.as_dict(),
                    now=self._database.now(),
                ):
                    raise Conflict("an order of this number is being created", code="order.exists")
            elif known[1]:
                id = known[0]
            else:
                raise Conflict(
                    "an order of this number exists with other content",
                    code="order.differs",
                    order_id=known[0],
                )
        return self.get(actor, id)

    def list(
        self, actor: Actor, after: str | None = None, limit: int = 50, state: OrderState | str | None = None
    ) -> list[Order]:
        """The orders that the store may see, newest first, older than the id ``after``, parties masked. Raises Invalid."""
        actor.require(Right.READ_ORDERS)
        if not 1 <= limit <= 200:
            raise Invalid("must be 1 to 200", field="limit")
        try:
            wanted = OrderState(state) if state is not None else None
        except ValueError:
            raise Invalid("is no state of an order", field="state") from None
        with self._database.reading() as connection:
            found = rows.orders_of(connection, actor.store_id, after, limit, wanted)
        return [self._shown(actor, order) for order in found]

    def get(self, actor: Actor, id_or_number: str) -> Order:
        """One order, parties masked: a merchant's by id or number, a factory's assigned one by id. Raises NotFound."""
        actor.require(Right.READ_ORDERS)
        return self._shown(actor, self._found(actor, id_or_number))

    def clear(self, actor: Actor, id_or_number: str, reason: str = "") -> Order:
        """A merchant's own order with its parties in clear (R1); the look is written down in the same transaction.

        Raises Forbidden, NotFound, Refused ``order.masked`` for a factory (D7), Gone ``order.erased``.
        """
        actor.require(Right.READ_ORDERS)
        actor.require(Right.SEE_CLEAR_DATA)
        reason = checked_reason(reason)
        order = self._found(actor, id_or_number)
        if order.merchant_id != actor.store_id:
            raise Refused("the parties of a merchant's order stay masked", code="order.masked")
        if order.erased_at is not None:
            raise _erased()
        with self._database.transaction() as connection:
            self._audit.note(connection, actor, "order.clear", f"order:{order.id}", reason)
        return self._with_waybill(actor, order)

    def find_person(
        self, actor: Actor, *, phone: str | None = None, name: str | None = None
    ) -> Sequence[Order]:
        """A merchant's orders for a person, newest first, at most 200, parties masked; exact, whatever the spelling.

        Given both, both must fit. The search itself is written down, without whom it was for. Raises Invalid, Forbidden.
        """
        actor.require(Right.READ_ORDERS)
        check_person(phone, name)
        with self._database.transaction() as connection:
            self._audit.note(connection, actor, "order.find_person", searched_by(phone, name))
            ids = people_store.orders_for(connection, actor.store_id, phone, name, _FOUND)
            found = rows.orders_named(connection, ids, actor.store_id)
        return [self._shown(actor, order) for order in found]

    def erasable(self, before: datetime) -> int:
        """How many orders ``erase`` has to do with, made before a time."""
        with self._database.reading() as connection:
            return rows.count_erasable(connection, before)

    def erase(self, before: datetime, limit: int = 100) -> int:
        """Erase the personal data of up to ``limit`` orders made before a time; how many were. For the daemon's rounds."""
        with self._database.reading() as connection:
            if not rows.erasable(connection, before, 1):
                return 0
        with self._database.transaction("erasure") as connection:
            found = rows.erasable(connection, before, limit)
            rows.erase_orders(connection, [id for id, _ in found], self._database.now())
            for merchant_id, count in Counter(merchant_id for _, merchant_id in found).items():
                eraser = Actor("erasure", merchant_id, "erasure", frozenset(), "daemon")
                self._audit.note(connection, eraser, "order.erase", f"{count} orders")
        _log.info("order.erased", count=len(found))
        return len(found)

    def assign(self, actor: Actor, order_ids: Sequence[str], factory_id: str) -> Sequence[Order]:
        """Assign orders to a bound factory (D4), all or none.

        Raises Refused ``binding.none`` or ``order.held``, NotFound, Conflict ``order.assigned`` or ``order.has_waybill``.
        """
        actor.require(Right.MANAGE_ORDERS)
        if not 1 <= len(order_ids) <= 500:
            raise Invalid("must name 1 to 500 orders", field="order_ids")
        found = [self._found(actor, id) for id in dict.fromkeys(order_ids)]
        for order in found:
            if order.merchant_id != actor.store_id:
                raise NotFound("no such order", code="order.not_found")
            if order.held_reason:
                raise Refused("a held order can't be assigned", code="order.held", order_id=order.id)
            if self._waybills.of_order(order.merchant_id, order.number):
                raise Conflict("the order has a waybill", code="order.has_waybill", order_id=order.id)
        with self._database.transaction() as connection:
            if not rows.is_bound(connection, actor.store_id, factory_id):
                raise Refused("no accepted binding with this factory", code="binding.none")
            # In one order of rows, so that two such requests don't wait for each other.
            for order in sorted(found, key=lambda each: each.id):
                if order.factory_id == factory_id:
                    continue
                if not rows.assign_order(
                    connection, order.id, actor.store_id, factory_id, self._database.now()
                ):
                    raise Conflict("the order is assigned already", code="order.assigned", order_id=order.id)
        return [self.get(actor, order.id) for order in found]

    def hold(self, actor: Actor, order_id: str, reason: str) -> Order:
        """Hold an order by hand (D11): no waybill for it, and its waybill's label doesn't come out (P10)."""
        actor.require(Right.MANAGE_ORDERS)
        if fault := text_fault(reason, 1, 80):
            raise Invalid("the hold is wrong", errors=[FieldError("reason", fault)])
        order = self._merchants(actor, order_id)
        # Twice: once at once, once for a waybill that was issued while we wrote.
        self._waybills.hold_order(order.merchant_id, order.number, reason)
        with self._database.transaction() as connection:
            rows.set_held(connection, order.id, reason)
        self._waybills.hold_order(order.merchant_id, order.number, reason)
        _log.info("order.held", order=order.id)
        return self.get(actor, order.id)

    def release(self, actor: Actor, order_id: str) -> Order:
        """Let a held order go on."""
        actor.require(Right.MANAGE_ORDERS)
        order = self._merchants(actor, order_id)
        with self._database.transaction() as connection:
            rows.set_held(connection, order.id, "")
        self._waybills.release_order(order.merchant_id, order.number)
        _log.info("order.released", order=order.id)
        return self.get(actor, order.id)

    def issue_waybill(
        self,
        actor: Actor,
        order_id: str,
        carrier: str,
        key: str,
        subscription_id: str | None = None,
        package: str = "1",
        custom: str = "",
    ) -> Waybill:
        """Get a number for an order's parcel, on the acting store's subscription (E0), with the merchant's sender on the
        label (P3, W10).

        Raises Refused ``order.held``, Gone ``order.erased``, Forbidden if the order is assigned to another store, and what
        ``Waybills.issue`` does.
        """
        actor.require(Right.ISSUE_WAYBILLS)
        order = self._found(actor, order_id)
        if (order.factory_id or order.merchant_id) != actor.store_id:
            raise Forbidden(
                "the factory that the order is assigned to issues its waybill", code="order.assigned"
            )
        if order.held_reason:
            raise Refused("the order is held", code="order.held")
        if order.erased_at is not None:
            raise _erased()
        waybill = self._waybills.issue(
            actor,
            IssueRequest(
                carrier=carrier,
                orders=(order.number,),
                recipient=order.recipient,
                shown_sender=order.shown_sender,
                items=tuple(Item(f"{line.name} {line.spec}".strip(), line.quantity) for line in order.lines),
                subscription_id=subscription_id,
                package=package,
                # A merchant's note is its own: a factory's label carries only what the factory wrote.
                note=order.note if order.merchant_id == actor.store_id else "",
                store_name=order.store_name,
                custom=custom,
                owner_id=order.merchant_id,
            ),
            key,
        )
        # The merchant may have held the order while the carrier was asked.
        if held := self._found(actor, order.id).held_reason:
            self._waybills.hold_order(order.merchant_id, order.number, held)
        return waybill

    def waybill_of(self, actor: Actor, order_id: str) -> Waybill | None:
        """The order's newest live waybill, issued by the acting store."""
        actor.require(Right.READ_WAYBILLS)
        order = self._found(actor, order_id)
        return next(
            (
                waybill
                for waybill in self._waybills.of_order(order.merchant_id, order.number)
                if waybill.store_id == actor.store_id
            ),
            None,
        )

    def _shown(self, actor: Actor, order: Order) -> Order:
        """The order as the actor may see it (D7): masked for everybody, and for a factory without the merchant's note."""
        order = self._with_waybill(actor, order)
        return order.masked() if order.merchant_id == actor.store_id else order.for_factory()

    def _with_waybill(self, actor: Actor, order: Order) -> Order:
        waybill = next(iter(self._waybills.of_order(order.merchant_id, order.number)), None)
        if waybill is not None and waybill.store_id == actor.store_id:
            return order.with_waybill(waybill.id)
        return order

    def _found(self, actor: Actor, id_or_number: str) -> Order:
        with self._database.reading() as connection:
            found = rows.find_order(connection, actor.store_id, id_or_number)
        if found is None:
            raise NotFound("no such order", code="order.not_found")
        return found

    def _merchants(self, actor: Actor, id_or_number: str) -> Order:
        order = self._found(actor, id_or_number)
        if order.merchant_id != actor.store_id:
            raise NotFound("no such order", code="order.not_found")
        return order


def _erased() -> Gone:
    return Gone("the personal data of this order were erased", code="order.erased")
