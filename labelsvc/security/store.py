"""Tables and queries of stores, users and what identifies them; secrets are kept as hashes only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Row,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from labelsvc.db import Prepared, UtcDateTime, metadata
from labelsvc.errors import Conflict
from labelsvc.security.model import Role, Store, StoreKind, User

stores = Table(
    "stores",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("kind", String(10), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    CheckConstraint("kind IN ('merchant', 'factory')", name="kind"),
)

users = Table(
    "users",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("store_id", ForeignKey("stores.id"), nullable=False),
    Column("name", String(80), nullable=False),
    Column("role", String(10), nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("disabled_at", UtcDateTime()),
    UniqueConstraint("store_id", "name"),
)

#: API tokens, one-time sign-in codes and page sessions: a secret's hash, whose it is, how long it holds.
credentials = Table(
    "credentials",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("label", String(80), nullable=False, server_default=""),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("expires_at", UtcDateTime()),
    Column("ended_at", UtcDateTime()),
    CheckConstraint("kind IN ('token', 'sign_in', 'session')", name="kind"),
    Index("ix_credentials_user_id_kind", "user_id", "kind"),
)


def _store(row: Row[tuple[object, ...]]) -> Store:
    return Store(row.id, row.name, StoreKind(row.kind), row.created_at)


def _user(row: Row[tuple[object, ...]]) -> User:
    return User(row.id, row.store_id, row.name, Role(row.role), row.created_at, row.disabled_at)


def insert_store(connection: Connection, store: Store) -> None:
    """Add a store. Raises Conflict if the name is taken."""
    try:
        connection.execute(
            stores.insert().values(
                id=store.id, name=store.name, kind=store.kind.value, created_at=store.created_at
            )
        )
    except IntegrityError:
        raise Conflict("a store of this name exists", code="store.exists", field="name") from None


def find_store(connection: Connection, id_or_name: str) -> Store | None:
    """The store with this id or name."""
    row = connection.execute(
        select(stores).where((stores.c.id == id_or_name) | (stores.c.name == id_or_name))
    ).first()
    return _store(row) if row else None


def all_stores(connection: Connection) -> list[Store]:
    """Every store, oldest first."""
    return [_store(row) for row in connection.execute(select(stores).order_by(stores.c.id))]


def insert_user(connection: Connection, user: User) -> None:
    """Add a user. Raises Conflict if the store has one of that name."""
    try:
        connection.execute(
            users.insert().values(
                id=user.id,
                store_id=user.store_id,
                name=user.name,
                role=user.role.value,
                created_at=user.created_at,
            )
        )
    except IntegrityError:
        raise Conflict("the store has a user of this name", code="user.exists", field="name") from None


def find_user(connection: Connection, store_id: str, id_or_name: str) -> User | None:
    """The user of a store with this id or name."""
    row = connection.execute(
        select(users).where(
            users.c.store_id == store_id, (users.c.id == id_or_name) | (users.c.name == id_or_name)
        )
    ).first()
    return _user(row) if row else None


def users_of(connection: Connection, store_id: str) -> list[User]:
    """A store's users, oldest first."""
    rows = connection.execute(select(users).where(users.c.store_id == store_id).order_by(users.c.id))
    return [_user(row) for row in rows]


def insert_credential(
    connection: Connection,
    *,
    id: str,
    kind: str,
    hash: str,
    user_id: str,
    label: str,
    created_at: datetime,
    expires_at: datetime | None,
) -> None:
    """Keep a secret's hash."""
    connection.execute(
        credentials.insert().values(
            id=id,
            kind=kind,
            hash=hash,
            user_id=user_id,
            label=label,
            created_at=created_at,
            expires_at=expires_at,
        )
    )


_USER_BY_CREDENTIAL = Prepared(
    select(users)
    .join(credentials, credentials.c.user_id == users.c.id)
    .where(
        credentials.c.hash == bindparam("hash"),
        credentials.c.kind == bindparam("kind"),
        credentials.c.ended_at.is_(None),
        (credentials.c.expires_at.is_(None)) | (credentials.c.expires_at > bindparam("now")),
        users.c.disabled_at.is_(None),
    )
)


def user_by_credential(connection: Connection, kind: str, hash: str, now: datetime) -> User | None:
    """Whose living secret this is."""
    row = _USER_BY_CREDENTIAL.first(connection, hash=hash, kind=kind, now=now)
    return _user(row) if row else None


def end_credential(connection: Connection, kind: str, hash_or_id: str, now: datetime) -> bool:
    """End a secret; True if this call did it, so that of two uses of a one-time code only one wins."""
    return (
        connection.execute(
            update(credentials)
            .where(
                (credentials.c.hash == hash_or_id) | (credentials.c.id == hash_or_id),
                credentials.c.kind == kind,
                credentials.c.ended_at.is_(None),
            )
            .values(ended_at=now)
        ).rowcount
        == 1
    )
