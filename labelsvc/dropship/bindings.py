"""Bindings (绑定): a merchant names a factory by its store ID, the factory says yes or no."""

from __future__ import annotations

from labelsvc.db import Database, new_id
from labelsvc.dropship import store as rows
from labelsvc.dropship.model import Binding, BindingState
from labelsvc.errors import Conflict, NotFound, Refused
from labelsvc.security import Accounts, Actor, Right, Store, StoreKind


class Bindings:
    """Who ships for whom (D2)."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database = database
        self._accounts = accounts

    def propose(self, actor: Actor, factory_id: str) -> Binding:
        """A merchant proposes a binding to a factory.

        Raises Refused ``factory.unknown``, one and the same answer for an unknown ID and for a store that is no factory
        (D2); Refused ``store.not_merchant``; Conflict ``binding.exists``.
        """
        actor.require(Right.MANAGE_ORDERS)
        merchant = self._accounts.store(actor.store_id)
        if merchant.kind is not StoreKind.MERCHANT:
            raise Refused("only a merchant proposes a binding", code="store.not_merchant")
        factory = self._factory(factory_id)
        new = Binding(
            id=new_id(),
            merchant_id=merchant.id,
            merchant_name=merchant.name,
            factory_id=factory.id,
            factory_name=factory.name,
            state=BindingState.PROPOSED,
            created_at=self._database.now(),
            answered_at=None,
        )
        with self._database.transaction() as connection:
            rows.insert_binding(connection, new)
        return new

    def accept(self, actor: Actor, binding_id: str) -> Binding:
        """The factory accepts; twice is harmless. Raises NotFound, Conflict ``binding.state``."""
        return self._answer(actor, binding_id, BindingState.ACCEPTED)

    def decline(self, actor: Actor, binding_id: str) -> Binding:
        """The factory declines; twice is harmless. Raises NotFound, Conflict ``binding.state``."""
        return self._answer(actor, binding_id, BindingState.DECLINED)

    def list(self, actor: Actor) -> list[Binding]:
        """The store's bindings, on either side, oldest first."""
        actor.require(Right.READ_ORDERS)
        with self._database.reading() as connection:
            return rows.bindings_of(connection, actor.store_id)

    def _factory(self, store_id: str) -> Store:
        try:
            found = self._accounts.store(store_id)
        except NotFound:
            found = None
        # The look-up takes names too; a binding is made by ID alone.
        if found is None or found.id != store_id or found.kind is not StoreKind.FACTORY:
            raise Refused("enter a correct factory store ID (请输入正确的厂家店铺ID)", code="factory.unknown")
        return found

    def _answer(self, actor: Actor, binding_id: str, answer: BindingState) -> Binding:
        actor.require(Right.MANAGE_ORDERS)
        with self._database.transaction() as connection:
            found = rows.find_binding(connection, binding_id, actor.store_id, lock=True)
            if found is None or found.factory_id != actor.store_id:
                raise NotFound("no such binding", code="binding.not_found")
            if found.state is not answer and not rows.step_binding(
                connection, found.id, BindingState.PROPOSED, answer, self._database.now()
            ):
                raise Conflict(f"the binding is {found.state.value}", code="binding.state")
            after = rows.find_binding(connection, binding_id, actor.store_id)
        assert after is not None
        return after
