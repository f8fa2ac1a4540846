"""Sender addresses (发货地址): at most 100 a store, one of them the default, frozen in part while a service rests on them.

Hides slots, constraint races and the look-up of divisions.
"""

from __future__ import annotations

from dataclasses import replace

from labelsvc.db import Database, new_id
from labelsvc.errors import Conflict, LimitReached, NotFound, Unavailable
from labelsvc.security import Actor, Audit, Right, checked_reason
from labelsvc.waybills import subscription_store as rows
from labelsvc.waybills.divisions import Divisions
from labelsvc.waybills.model import ADDRESSES_PER_STORE, Party, SenderAddress
from labelsvc.waybills.store import Raced

_RACES = 200


class SenderAddresses:
    """A store's sender addresses (E4, E7)."""

    def __init__(self, database: Database, divisions: Divisions) -> None:
        self._database = database
        self._divisions = divisions
        self._audit = Audit(database)

    def create(self, actor: Actor, party: Party, default: bool = False) -> SenderAddress:
        """Add an address; a store's first is its default.

        Raises Invalid (``party.…`` fields; a wrong division with suggestions), LimitReached ``address.limit`` (E4).
        """
        actor.require(Right.MANAGE_ADDRESSES)
        party = self._checked(party)
        for _ in range(_RACES):
            id, now = new_id(), self._database.now()
            try:
                with self._database.transaction(_turn(actor)) as connection:
                    added = rows.insert_address(connection, id, actor.store_id, party, default, now)
            except Raced:
                continue
            if not added:
                raise LimitReached(
                    f"a store keeps at most {ADDRESSES_PER_STORE} sender addresses",
                    code="address.limit",
                    limit=ADDRESSES_PER_STORE,
                )
            return self.get(actor, id)
        raise Unavailable("too many addresses are being created at once", code="database.busy")

    def list(self, actor: Actor) -> list[SenderAddress]:
        """The store's addresses, the default first; names, phones, units and rooms masked."""
        actor.require(Right.READ_ADDRESSES)
        with self._database.reading() as connection:
            found = rows.addresses_of(connection, actor.store_id)
        return [_masked(address) for address in found]

    def get(self, actor: Actor, address_id: str) -> SenderAddress:
        """One address, masked as in ``list``. Raises NotFound."""
        actor.require(Right.READ_ADDRESSES)
        with self._database.reading() as connection:
            return _masked(_found(rows.find_address(connection, actor.store_id, address_id)))

    def clear(self, actor: Actor, address_id: str, reason: str = "") -> SenderAddress:
        """One address in clear; the look is written down in the same transaction (R1). Raises Forbidden, NotFound."""
        actor.require(Right.READ_ADDRESSES)
        actor.require(Right.SEE_CLEAR_DATA)
        reason = checked_reason(reason)
        with self._database.transaction() as connection:
            found = _found(rows.find_address(connection, actor.store_id, address_id))
            self._audit.note(connection, actor, "address.clear", f"address:{address_id}", reason)
        return found

    def default(self, actor: Actor) -> SenderAddress | None:
        """The store's default address, if it has any, masked as in ``list``."""
        return next((address for address in self.list(actor) if address.is_default), None)

    def default_party(self, store_id: str) -> Party | None:
        """The store's default address as a label prints it; for the room above, which shows it to nobody."""
        with self._database.reading() as connection:
            found = rows.addresses_of(connection, store_id)
        return next((address.party for address in found if address.is_default), None)

    def edit(self, actor: Actor, address_id: str, party: Party) -> SenderAddress:
        """Change an address.

        Raises Conflict ``address.in_use`` if a service rests on it and province, city or district would change (E7);
        a changed detail is shown from now on, while the carrier goes on getting the text of the application.
        """
        actor.require(Right.MANAGE_ADDRESSES)
        party = self._checked(party)
        with self._database.transaction() as connection:
            found = _found(rows.find_address(connection, actor.store_id, address_id, lock=True))
            if found.in_use and found.party.division != party.division:
                raise Conflict(
                    "an e-waybill service rests on this address: its province, city and district stay",
                    code="address.in_use",
                )
            rows.update_address(connection, address_id, party, self._database.now())
        return self.get(actor, address_id)

    def make_default(self, actor: Actor, address_id: str) -> SenderAddress:
        """Make an address the store's default."""
        actor.require(Right.MANAGE_ADDRESSES)
        with self._database.transaction(_turn(actor)) as connection:
            _found(rows.find_address(connection, actor.store_id, address_id, lock=True))
            rows.set_default(connection, actor.store_id, address_id)
        return self.get(actor, address_id)

    def delete(self, actor: Actor, address_id: str) -> None:
        """Delete an address. Raises Conflict ``address.in_use`` (E7). The oldest one left follows a deleted default."""
        actor.require(Right.MANAGE_ADDRESSES)
        with self._database.transaction(_turn(actor)) as connection:
            found = _found(rows.find_address(connection, actor.store_id, address_id, lock=True))
            if found.in_use:
                raise Conflict(
                    "an e-waybill service rests on this address: close it first", code="address.in_use"
                )
            rows.delete_address(connection, address_id)
            left = rows.addresses_of(connection, actor.store_id)
            if found.is_default and left:
                rows.set_default(connection, actor.store_id, left[0].id)

    def _checked(self, party: Party) -> Party:
        return self._divisions.complete(party.checked("party"), "party")


def _turn(actor: Actor) -> str:
    """Which address is a store's default rests on all of its addresses: these changes come one after the other."""
    return f"sender addresses {actor.store_id}"


def _found(address: SenderAddress | None) -> SenderAddress:
    if address is None:
        raise NotFound("no such sender address", code="address.not_found")
    return address


def _masked(address: SenderAddress) -> SenderAddress:
    return replace(address, party=address.party.masked_for_label())
