"""A store's access to the carrier network: its tokens, kept sealed, and renewed once when they expire.

Hides who renews when several threads, or several machines, meet the same expired token: one does, the others wait for it.
"""

from __future__ import annotations

import time
from datetime import timedelta

from labelsvc.db import Database
from labelsvc.errors import Invalid, LabelsvcError, Refused
from labelsvc.log import get_logger
from labelsvc.security import Actor, Right
from labelsvc.waybills import subscription_store as rows
from labelsvc.waybills.carriers import CarrierNetwork
from labelsvc.waybills.model import NetworkAccess, text_fault

_log = get_logger("waybills")

_POLL_S = 0.05


class NetworkAccounts:
    """The stores' accounts at the network."""

    def __init__(self, database: Database, network: CarrierNetwork, timeout_s: float) -> None:
        """``timeout_s`` is the network's: the right to renew outlives any call by as much again."""
        self._database = database
        self._network = network
        self._lease = timedelta(seconds=2 * timeout_s)

    def connect(self, actor: Actor, access_token: str) -> None:
        """Keep the store's access token to the network, one that doesn't renew itself. Raises Invalid."""
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        token = _line(access_token, "access_token")
        with self._database.transaction() as connection:
            rows.put_account(connection, actor.store_id, token, self._database.now())
        _log.info("network.connected", store=actor.store_id, renewable=False)

    def connect_by_code(self, actor: Actor, code: str) -> NetworkAccess:
        """Connect with the code that the network's authorisation page gave; the access renews itself from then on.

        Raises Invalid, Refused ``network.token`` for a code that isn't taken, Unavailable.
        """
        actor.require(Right.MANAGE_SUBSCRIPTIONS)
        tokens = self._network.exchange(_line(code, "code"))
        with self._database.transaction() as connection:
            rows.put_account(
                connection,
                actor.store_id,
                tokens.access_token,
                self._database.now(),
                tokens.refresh_token,
                tokens.expires_at,
            )
        _log.info("network.connected", store=actor.store_id, renewable=bool(tokens.refresh_token))
        found = self.access(actor)
        assert found is not None
        return found

    def access(self, actor: Actor) -> NetworkAccess | None:
        """Since when the store is connected, and until when; None: it isn't."""
        actor.require(Right.READ_SUBSCRIPTIONS)
        with self._database.reading() as connection:
            found = rows.find_account(connection, actor.store_id)
        if found is None:
            return None
        return NetworkAccess(found.connected_at, found.expires_at, bool(found.refresh_token))

    def connected(self, actor: Actor) -> bool:
        """Whether the store has access."""
        return self.access(actor) is not None

    def token(self, store_id: str) -> str:
        """A store's access token. Raises Refused ``network.not_connected``."""
        with self._database.reading() as connection:
            token = rows.access_token(connection, store_id)
        if token is None:
            raise not_connected()
        return token

    def refresh_token(self, expired: str) -> str | None:
        """The token that follows an expired one: renewed now, or by whoever was first. None: the store must connect again.

        Raises NetworkSilent; the call that met the expired token was refused, so nothing came of that.
        """
        deadline = time.monotonic() + self._lease.total_seconds()
        while True:
            with self._database.reading() as connection:
                accounts = rows.accounts_by_token(connection, expired)
            fresh = next((one for one in accounts if one.access_token != expired), None)
            if fresh is not None:
                return fresh.access_token
            account = next((one for one in accounts if one.refresh_token), None)
            if account is None:
                return None
            now = self._database.now()
            with self._database.transaction() as connection:
                mine = rows.begin_renewal(connection, account, now, now + self._lease)
            if mine:
                return self._renew(account)
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_S)

    def _renew(self, account: rows.Account) -> str | None:
        try:
            tokens = self._network.refresh(account.refresh_token)
        except Refused as refusal:
            with self._database.transaction() as connection:
                rows.drop_renewal(connection, account, for_good=True)
            _log.warning("network.not_renewed", store=account.store_id, reason=refusal.code)
            return None
        except LabelsvcError:
            with self._database.transaction() as connection:
                rows.drop_renewal(connection, account, for_good=False)
            raise
        with self._database.transaction() as connection:
            # Two stores may have been connected with one shop's token.
            for one in rows.accounts_by_token(connection, account.access_token):
                rows.end_renewal(
                    connection, one, tokens.access_token, tokens.refresh_token, tokens.expires_at
                )
        _log.info("network.renewed", store=account.store_id)
        return tokens.access_token


def not_connected() -> Refused:
    """The store can't speak to the network yet."""
    return Refused("the store isn't connected to the carrier network", code="network.not_connected")


def _line(text: str, field: str) -> str:
    line = text.strip() if isinstance(text, str) else text
    if reason := text_fault(line, 1, 200):
        raise Invalid(reason, field=field)
    return line
