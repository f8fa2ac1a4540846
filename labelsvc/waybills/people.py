"""The people on waybills: shown in clear by right and on the record, found by phone or name, erased in time; and what a
store's labels show of them.

Hides the audit lines, the keyed index, and what of a waybill stays once its personal data are gone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from labelsvc.db import Database
from labelsvc.errors import Gone, Invalid, Refused
from labelsvc.log import get_logger
from labelsvc.security import Actor, Audit, Right, checked_reason
from labelsvc.waybills import people_store
from labelsvc.waybills import store as rows
from labelsvc.waybills.model import Waybill, text_fault
from labelsvc.waybills.register import Register
from labelsvc.waybills.update_store import forget_updates

_log = get_logger("waybills")

#: More waybills for one person than anybody reads.
_FOUND = 200


class People:
    """Who waybills are for."""

    def __init__(self, database: Database, register: Register) -> None:
        self._database = database
        self._register = register
        self._audit = Audit(database)

    def clear(self, actor: Actor, id_or_number: str, reason: str = "") -> Waybill:
        """A waybill with its parties in clear, for the store whose orders it carries (D7); the look is written down.

        Raises Forbidden, NotFound, Refused ``waybill.masked`` (a merchant's order), Gone ``waybill.erased``.
        """
        actor.require(Right.READ_WAYBILLS)
        actor.require(Right.SEE_CLEAR_DATA)
        reason = checked_reason(reason)
        waybill = self._register.own(actor, id_or_number).waybill
        if waybill.owner_id != actor.store_id:
            raise Refused("the parties of a merchant's order stay masked", code="waybill.masked")
        if waybill.erased_at is not None:
            raise erased()
        with self._database.transaction() as connection:
            self._audit.note(connection, actor, "waybill.clear", f"waybill:{waybill.id}", reason)
        _log.info("waybill.clear_data_seen", waybill=waybill.id, user=actor.user_id)
        return waybill

    def find_person(
        self, actor: Actor, *, phone: str | None = None, name: str | None = None
    ) -> list[Waybill]:
        """The waybills for a person, newest first, at most 200, parties masked; exact, whatever the spelling of the phone.

        Of the store's own orders alone, also those that a factory shipped. Given both, both must fit. The search itself is
        written down, without whom it was for. Raises Invalid, Forbidden.
        """
        actor.require(Right.READ_WAYBILLS)
        check_person(phone, name)
        with self._database.transaction() as connection:
            self._audit.note(connection, actor, "waybill.find_person", searched_by(phone, name))
            ids = people_store.waybills_for(connection, actor.store_id, phone, name, _FOUND)
            found = rows.waybills_named(connection, ids, actor.store_id)
        return [waybill.masked() for waybill in found]

    def erasable(self, before: datetime) -> int:
        """How many waybills ``erase`` has to do with, made before a time."""
        with self._database.reading() as connection:
            return rows.count_erasable(connection, before)

    def erase(self, before: datetime, limit: int = 100) -> int:
        """Erase the personal data of up to ``limit`` waybills made before a time; how many were.

        For the daemon's rounds. Number, carrier, state, times, orders and division stay; what is still being asked of the
        network waits for its outcome; an update is given up.
        """
        with self._database.reading() as connection:
            if not rows.erasable(connection, before, 1):
                return 0
        with self._database.transaction("erasure") as connection:
            found = rows.erasable(connection, before, limit)
            ids, now = [id for id, _ in found], self._database.now()
            rows.erase_waybills(connection, ids, now)
            forget_updates(connection, ids, now)
            for owner_id, count in Counter(owner_id for _, owner_id in found).items():
                eraser = Actor("erasure", owner_id, "erasure", frozenset(), "daemon")
                self._audit.note(connection, eraser, "waybill.erase", f"{count} waybills")
        _log.info("waybill.erased", count=len(found))
        return len(found)


@dataclass(frozen=True)
class StorePreferences:
    """What a store chose for all its labels. 店铺设置"""

    store_id: str
    clear_labels: bool  #: recipients stand in clear on its labels, whoever prints them


class Preferences:
    """A store's choices; of a merchant's, its factories' printers take account too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._audit = Audit(database)

    def get(self, actor: Actor) -> StorePreferences:
        """What holds for the actor's store."""
        with self._database.reading() as connection:
            return StorePreferences(actor.store_id, people_store.clear_labels(connection, actor.store_id))

    def set(self, actor: Actor, *, clear_labels: bool) -> StorePreferences:
        """Choose what labels show of the recipient; the change is written down. Raises Forbidden, Invalid."""
        actor.require(Right.MANAGE_PREFERENCES)
        if not isinstance(clear_labels, bool):
            raise Invalid("must be true or false", field="clear_labels")
        with self._database.transaction() as connection:
            people_store.set_clear_labels(connection, actor.store_id, clear_labels, self._database.now())
            self._audit.note(
                connection, actor, "preferences.labels", "labels:clear" if clear_labels else "labels:masked"
            )
        return self.get(actor)


def erased() -> Gone:
    """What asking for an erased waybill's people, or for its label, answers."""
    return Gone("the personal data of this waybill were erased", code="waybill.erased")


def check_person(phone: str | None, name: str | None) -> None:
    """Raise Invalid unless something is given to look for."""
    if phone is None and name is None:
        raise Invalid("give a phone, a name or both", field="phone")
    if phone is not None and (text_fault(phone, 1, 40) or sum(char.isdigit() for char in phone) < 5):
        raise Invalid("must be a phone number", field="phone")
    if name is not None and (text_fault(name, 1, 60) or not name.strip()):
        raise Invalid("must be a name of 1 to 60 characters", field="name")


def searched_by(phone: str | None, name: str | None) -> str:
    """What the audit trail says of a search: by what, never for whom."""
    return "by:" + "+".join(word for word, given in (("phone", phone), ("name", name)) if given is not None)
