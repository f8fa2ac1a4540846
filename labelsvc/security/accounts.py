"""Verbs on stores, users, API tokens, one-time sign-in links and page sessions; a secret is shown once and kept hashed."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from labelsvc.db import Database, new_id
from labelsvc.errors import Invalid, NotFound, Unauthenticated
from labelsvc.security import store as rows
from labelsvc.security.model import RIGHTS, Actor, Issued, Right, Role, Store, StoreKind, User

TOKEN_PREFIX = "lsv_"


def _hash(secret: str) -> str:
    # The secrets are 256 random bits: a plain hash can't be guessed back, and looks up in constant time by index.
    return hashlib.sha256(secret.encode()).hexdigest()


def _name(text: str, field: str) -> str:
    cleaned = text.strip()
    if not cleaned or len(cleaned) > 80 or not cleaned.isprintable():
        raise Invalid("must be 1 to 80 printable characters", field=field)
    return cleaned


class Accounts:
    """Who works here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_store(self, name: str, kind: StoreKind) -> Store:
        """Add a store; the operator's verb. Raises Invalid, Conflict."""
        store = Store(new_id(), _name(name, "name"), kind, self._database.now())
        with self._database.transaction() as connection:
            rows.insert_store(connection, store)
        return store

    def store(self, id_or_name: str) -> Store:
        """A store by id or name. Raises NotFound."""
        with self._database.reading() as connection:
            found = rows.find_store(connection, id_or_name)
        if found is None:
            raise NotFound("no such store", field="store")
        return found

    def stores(self) -> list[Store]:
        """Every store, oldest first."""
        with self._database.reading() as connection:
            return rows.all_stores(connection)

    def create_user(self, actor: Actor, name: str, role: Role) -> User:
        """Add a user to the actor's store. Raises Forbidden, Invalid, Conflict."""
        actor.require(Right.MANAGE_USERS)
        user = User(new_id(), actor.store_id, _name(name, "name"), role, self._database.now())
        with self._database.transaction() as connection:
            rows.insert_user(connection, user)
        return user

    def users(self, actor: Actor) -> list[User]:
        """The store's users."""
        actor.require(Right.MANAGE_USERS)
        with self._database.reading() as connection:
            return rows.users_of(connection, actor.store_id)

    def create_token(self, actor: Actor, user: str, label: str = "") -> Issued:
        """An API token for a user (id or name) of the store; its text is in the answer and nowhere else."""
        actor.require(Right.MANAGE_USERS)
        return self._issue(self._user(actor, user), "token", TOKEN_PREFIX, None, label)

    def end_token(self, actor: Actor, token_id: str) -> None:
        """Revoke a token by its id."""
        actor.require(Right.MANAGE_USERS)
        with self._database.transaction() as connection:
            rows.end_credential(connection, "token", token_id, self._database.now())

    def create_sign_in(self, actor: Actor, user: str, lasts: timedelta = timedelta(minutes=30)) -> Issued:
        """A one-time sign-in code for the pages."""
        actor.require(Right.MANAGE_USERS)
        return self._issue(self._user(actor, user), "sign_in", "", lasts)

    def sign_in(self, secret: str, lasts: timedelta) -> Issued:
        """Turn a one-time code, or an API token, into a page session. Raises Unauthenticated."""
        hash, now = _hash(secret), self._database.now()
        with self._database.transaction() as connection:
            user = rows.user_by_credential(connection, "sign_in", hash, now)
            if user is not None:
                if not rows.end_credential(connection, "sign_in", hash, now):
                    user = None  # another request used it at the same moment
            else:
                user = rows.user_by_credential(connection, "token", hash, now)
        if user is None:
            raise Unauthenticated("this sign-in is unknown, used or expired", code="sign_in.invalid")
        return self._issue(user, "session", "", lasts)

    def sign_out(self, session: str) -> None:
        """End a session."""
        with self._database.transaction() as connection:
            rows.end_credential(connection, "session", _hash(session), self._database.now())

    def by_token(self, token: str, via: str) -> Actor:
        """Who holds this API token. Raises Unauthenticated."""
        return self._actor("token", token, via)

    def by_session(self, session: str, via: str) -> Actor:
        """Who holds this page session. Raises Unauthenticated."""
        return self._actor("session", session, via)

    def _user(self, actor: Actor, id_or_name: str) -> User:
        with self._database.reading() as connection:
            found = rows.find_user(connection, actor.store_id, id_or_name)
        if found is None:
            raise NotFound("no such user in this store", field="user")
        return found

    def _issue(self, user: User, kind: str, prefix: str, lasts: timedelta | None, label: str = "") -> Issued:
        now = self._database.now()
        issued = Issued(new_id(), prefix + secrets.token_urlsafe(32), now + lasts if lasts else None)
        with self._database.transaction() as connection:
            rows.insert_credential(
                connection,
                id=issued.id,
                kind=kind,
                hash=_hash(issued.secret),
                user_id=user.id,
                label=label[:80],
                created_at=now,
                expires_at=issued.expires_at,
            )
        return issued

    def _actor(self, kind: str, secret: str, via: str) -> Actor:
        with self._database.reading() as connection:
            user = rows.user_by_credential(connection, kind, _hash(secret), self._database.now())
        if user is None:
            raise Unauthenticated("no valid token or session", code="unauthenticated")
        return Actor(user.id, user.store_id, user.name, RIGHTS[user.role], via)
