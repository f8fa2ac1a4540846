"""Where waybills are looked up by the room's own activities: by id, by number, with all that is filed of them.

Hides how a store's own waybill is found by either name, and whose labels printing keeps under it.
"""

from __future__ import annotations

from collections.abc import Sequence

from labelsvc.db import Database
from labelsvc.errors import Invalid, NotFound
from labelsvc.printing import Label, PrintJobs
from labelsvc.security import Actor
from labelsvc.waybills import store as rows
from labelsvc.waybills import subscription_store
from labelsvc.waybills.model import Filed, Waybill, text_fault


class Register:
    """The filed waybills, and printing's labels of them."""

    def __init__(self, database: Database, jobs: PrintJobs) -> None:
        self._database = database
        self._jobs = jobs

    def filed(self, id: str) -> Filed:
        """A waybill of any store. Raises NotFound."""
        with self._database.reading() as connection:
            found = rows.filed(connection, id)
        if found is None:
            raise NotFound("no such waybill", code="waybill.not_found")
        return found

    def own(self, actor: Actor, id_or_number: str) -> Filed:
        """A waybill of the actor's store, by id or number. Raises NotFound."""
        with self._database.reading() as connection:
            found = rows.filed(connection, id_or_number, actor.store_id)
            if found is None:
                found = rows.filed_by_number(connection, id_or_number, actor.store_id)
        if found is None:
            raise NotFound("no such waybill", code="waybill.not_found")
        return found

    def token(self, store_id: str, network: str) -> str | None:
        """A store's access to a network: the token of its account there; offline networks know it by its id."""
        if network == "offline":
            return store_id
        with self._database.reading() as connection:
            return subscription_store.access_token(connection, store_id)

    def labels(self, waybill: Waybill) -> Sequence[Label]:
        """Every label in force of a waybill, oldest first: those that an update made void aren't (W6)."""
        return self._jobs.labels(Actor.operator(waybill.store_id, via="waybills"), subject=waybill.subject)

    def all_labels(self, waybill: Waybill) -> Sequence[Label]:
        """Every label that carries the waybill's number, also those that an update made void."""
        operator = Actor.operator(waybill.store_id, via="waybills")
        return [label for subject in waybill.subjects for label in self._jobs.labels(operator, subject)]


def check_key(key: str) -> None:
    """Raise Invalid unless ``key`` can be an idempotency key."""
    if reason := text_fault(key, 1, 200):
        raise Invalid(reason, field="key")
