"""Whether the service lives, and who the caller is to it."""

from __future__ import annotations

from typing import Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

import labelsvc
from labelsvc.web.api.shape import Answer, moment
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("api", __name__, url_prefix="/api/v1", tag="system")


class Health(Answer):
    status: Literal["ok"]
    version: str
    node: str = Field(description="This machine's name.")


class NodeOut(Answer):
    name: str
    alive: bool = Field(description="Whether its last heartbeat is young enough.")
    started_at: str
    seen_at: str
    printers: int = Field(description="How many printers it drives now.")


class NodesOut(Answer):
    items: list[NodeOut]


class Me(Answer):
    user_id: str
    name: str
    store_id: str
    store_name: str
    store_kind: Literal["merchant", "factory"]
    rights: list[str]


@api.get("/health")
@api.output(Health)
def health() -> dict[str, Any]:
    """Whether the service and its database answer."""
    rooms().database.revision()
    return {"status": "ok", "version": labelsvc.__version__, "node": rooms().printers.node}


@api.get("/nodes")
@api.output(NodesOut)
def nodes() -> dict[str, Any]:
    """The machines that drive printers of this PostgreSQL database; none on SQLite."""
    return {
        "items": [
            {
                "name": node.name,
                "alive": node.alive,
                "started_at": moment(node.started_at),
                "seen_at": moment(node.seen_at),
                "printers": node.printers,
            }
            for node in rooms().printers.nodes(actor())
        ]
    }


@api.get("/me")
@api.output(Me)
def me() -> dict[str, Any]:
    """Who the caller is and what they may do."""
    who = actor()
    store = rooms().accounts.store(who.store_id)
    return {
        "user_id": who.user_id,
        "name": who.name,
        "store_id": store.id,
        "store_name": store.name,
        "store_kind": store.kind.value,
        "rights": sorted(right.value for right in who.rights),
    }
