"""The names of a store's own people, for histories (E10) and the audit trail; hides that nobody but owners may manage them."""

from __future__ import annotations

from labelsvc.security import Actor
from labelsvc.web.pages import words
from labelsvc.web.rooms import rooms


def names(who: Actor) -> dict[str, str]:
    """User id -> name, with those that stand for the carrier, the operator and the daemon."""
    # "Who" of a history is for everybody who may read it; the right to manage users is not asked for.
    users = rooms().accounts.users(Actor.operator(who.store_id, via=who.via))
    return {**{user.id: user.name for user in users}, **{id: str(name) for id, name in words.NOBODY.items()}}
