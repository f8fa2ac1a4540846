"""Who is asking and what they may do; personal data encrypted at rest."""

from labelsvc.security.accounts import Accounts
from labelsvc.security.model import RIGHTS, Actor, Issued, Right, Role, Store, StoreKind, User
from labelsvc.security.sealing import Sealed, SealedBytes, Sealer, fingerprint

__all__ = [
    "RIGHTS",
    "Accounts",
    "Actor",
    "Issued",
    "Right",
    "Role",
    "Sealed",
    "SealedBytes",
    "Sealer",
    "Store",
    "StoreKind",
    "User",
    "fingerprint",
]
