"""Who is asking and what they may do; personal data encrypted at rest, and who looked at them."""

from labelsvc.security.accounts import Accounts
from labelsvc.security.audit import Audit, checked_reason
from labelsvc.security.keys import Keys, SealingKey
from labelsvc.security.model import (
    RIGHTS,
    Actor,
    AuditEntry,
    Issued,
    Right,
    Role,
    Store,
    StoreKind,
    User,
)
from labelsvc.security.sealing import PersonKind, Sealed, SealedBytes, Sealer, fingerprint, index_token

__all__ = [
    "RIGHTS",
    "Accounts",
    "Actor",
    "Audit",
    "AuditEntry",
    "Issued",
    "Keys",
    "PersonKind",
    "Right",
    "Role",
    "Sealed",
    "SealedBytes",
    "Sealer",
    "SealingKey",
    "Store",
    "StoreKind",
    "User",
    "checked_reason",
    "fingerprint",
    "index_token",
]
