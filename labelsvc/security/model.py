"""Stores, users, roles, rights and the actor that every verb takes first; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelsvc.errors import Forbidden


class StoreKind(StrEnum):
    """What a store is (D1). 商家 / 厂家"""

    MERCHANT = "merchant"
    FACTORY = "factory"


class Role(StrEnum):
    """A user's role (R1). 角色"""

    OWNER = "owner"
    CLERK = "clerk"
    FINANCE = "finance"
    PACKER = "packer"
    IT = "it"
    AUDITOR = "auditor"


class Right(StrEnum):
    """One thing that an actor may do."""

    MANAGE_USERS = "users.manage"
    MANAGE_PRINTERS = "printers.manage"
    READ_PRINTERS = "printers.read"
    PRINT = "labels.print"
    READ_JOBS = "jobs.read"
    MANAGE_ADDRESSES = "addresses.manage"
    READ_ADDRESSES = "addresses.read"
    MANAGE_SUBSCRIPTIONS = "subscriptions.manage"
    READ_SUBSCRIPTIONS = "subscriptions.read"
    ISSUE_WAYBILLS = "waybills.issue"
    READ_WAYBILLS = "waybills.read"
    MANAGE_ORDERS = "orders.manage"
    READ_ORDERS = "orders.read"
    SEE_CLEAR_DATA = "personal.see"
    #: Of another store's orders (D7): no role has it, only the person who can read the key file anyway.
    SEE_OTHERS_DATA = "personal.see_others"
    #: What the store's labels show, and whatever else is one choice for the whole store.
    MANAGE_PREFERENCES = "preferences.manage"
    READ_AUDIT = "audit.read"


_READ = frozenset(right for right in Right if right.value.endswith(".read")) - {Right.READ_AUDIT}
_DAILY = _READ | {Right.PRINT, Right.ISSUE_WAYBILLS, Right.MANAGE_ORDERS, Right.MANAGE_ADDRESSES}

#: What each role may do (R1).
RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OWNER: frozenset(Right) - {Right.SEE_OTHERS_DATA},
    Role.CLERK: frozenset(_DAILY | {Right.MANAGE_SUBSCRIPTIONS}),
    Role.FINANCE: frozenset({Right.READ_ORDERS, Right.READ_WAYBILLS, Right.READ_SUBSCRIPTIONS}),
    Role.PACKER: frozenset(
        {
            Right.PRINT,
            Right.READ_JOBS,
            Right.READ_PRINTERS,
            Right.READ_ORDERS,
            Right.READ_WAYBILLS,
            Right.ISSUE_WAYBILLS,
            Right.READ_SUBSCRIPTIONS,
            Right.READ_ADDRESSES,
        }
    ),
    Role.IT: frozenset({Right.MANAGE_PRINTERS, Right.READ_PRINTERS, Right.READ_JOBS, Right.PRINT}),
    Role.AUDITOR: _READ | {Right.READ_AUDIT},
}


@dataclass(frozen=True)
class Actor:
    """Who is acting, for which store, with which rights, through which door. 操作人"""

    user_id: str
    store_id: str
    name: str
    rights: frozenset[Right]
    via: str

    def may(self, right: Right) -> bool:
        """Whether the actor has ``right``."""
        return right in self.rights

    def require(self, right: Right) -> None:
        """Raise Forbidden unless the actor has ``right``."""
        if right not in self.rights:
            raise Forbidden(f"this needs the right {right.value}", right=right.value)

    @classmethod
    def operator(cls, store_id: str, via: str = "cli") -> Actor:
        """The person at the machine itself, who can read its key file anyway: every right in one store."""
        return cls("operator", store_id, "operator", frozenset(Right), via)


@dataclass(frozen=True)
class Store:
    """A merchant's or a factory's account: the tenant. 店铺"""

    id: str
    name: str
    kind: StoreKind
    created_at: datetime


@dataclass(frozen=True)
class User:
    """A person who works for a store."""

    id: str
    store_id: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True)
class Issued:
    """A secret shown once: an API token, a sign-in code or a session. Only its hash is kept."""

    id: str
    secret: str
    expires_at: datetime | None


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit trail: a look at clear data, or a change of what protects them. 审计记录"""

    seq: int
    at: datetime
    store_id: str
    user_id: str
    via: str
    action: str
    subject: str
    reason: str
