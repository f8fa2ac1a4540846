"""The network's carriers and their points over the API. 快递公司, 网点"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.web.api.shape import Answer, Id, Line, Query
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("carriers", __name__, url_prefix="/api/v1", tag="carriers")

CarrierCode = Annotated[Line, Field(min_length=1, max_length=20, description="Such as YTO.")]


class CarrierOut(Answer):
    code: str
    name: str
    kind: Literal["direct", "franchise"]


class CarriersOut(Answer):
    items: list[CarrierOut]


class PointsQuery(Query):
    carrier: CarrierCode
    address: Id


class PointOut(Answer):
    carrier: str
    code: str
    name: str
    phone: str


class PointsOut(Answer):
    items: list[PointOut]


@api.get("/carriers")
@api.output(CarriersOut)
def listed() -> dict[str, Any]:
    """The carriers that the network knows."""
    found = rooms().subscriptions.carriers(actor())
    return {"items": [{"code": one.code, "name": one.name, "kind": one.kind.value} for one in found]}


@api.get("/network-points")
@api.input(PointsQuery, location="query")
@api.output(PointsOut)
def points(query_data: PointsQuery) -> dict[str, Any]:
    """A carrier's points that serve a sender address; none is an empty list (E3)."""
    return {"items": rooms().subscriptions.network_points(actor(), query_data.carrier, query_data.address)}
