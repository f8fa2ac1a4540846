"""Sender addresses, and the divisions that they are picked from, over the API. 发货地址"""

from __future__ import annotations

from typing import Annotated, Any

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.waybills import SenderAddress
from labelsvc.web.api.shape import Answer, Body, Line, Look, PartyIn, PartyOut, Query, moment
from labelsvc.web.rooms import divisions, rooms
from labelsvc.web.session import actor

api = APIBlueprint("addresses", __name__, url_prefix="/api/v1", tag="addresses")


class AddressIn(Body):
    party: PartyIn
    default: bool = False


class AddressEdit(Body):
    party: PartyIn


class AddressOut(Answer):
    id: str
    party: PartyOut
    is_default: bool
    in_use: bool = Field(description="Whether a subscription stands on it (E7).")
    created_at: str


class AddressesOut(Answer):
    items: list[AddressOut]


class Place(Query):
    province: Annotated[Line, Field(max_length=40)] = ""
    city: Annotated[Line, Field(max_length=40)] = ""


class NamesOut(Answer):
    items: list[str]


def address_out(address: SenderAddress) -> dict[str, Any]:
    """An address as the room gave it."""
    return {
        "id": address.id,
        "party": address.party,
        "is_default": address.is_default,
        "in_use": address.in_use,
        "created_at": moment(address.created_at),
    }


@api.get("/addresses")
@api.input(Query, location="query")
@api.output(AddressesOut)
def listed(query_data: Query) -> dict[str, Any]:
    """The store's sender addresses, at most 100 (E4), always masked."""
    return {"items": [address_out(found) for found in rooms().addresses.list(actor())]}


@api.post("/addresses")
@api.input(AddressIn)
@api.output(AddressOut, status_code=201)
def create(json_data: AddressIn) -> dict[str, Any]:
    """Add a sender address; the first becomes the default."""
    found = rooms().addresses.create(actor(), json_data.party.party(), default=json_data.default)
    return address_out(found)


@api.get("/addresses/<ident:address_id>")
@api.input(Query, location="query")
@api.output(AddressOut)
def one(address_id: str, query_data: Query) -> dict[str, Any]:
    """One sender address, masked."""
    return address_out(rooms().addresses.get(actor(), address_id))


@api.post("/addresses/<ident:address_id>/clear")
@api.input(Look)
@api.output(AddressOut)
def clear(address_id: str, json_data: Look) -> dict[str, Any]:
    """One sender address in clear, by right, and written down (R1)."""
    return address_out(rooms().addresses.clear(actor(), address_id, json_data.reason))


@api.put("/addresses/<ident:address_id>")
@api.input(AddressEdit)
@api.output(AddressOut)
def edit(address_id: str, json_data: AddressEdit) -> dict[str, Any]:
    """Change an address; of one in use not its province, city and district (E7)."""
    return address_out(rooms().addresses.edit(actor(), address_id, json_data.party.party()))


@api.delete("/addresses/<ident:address_id>")
@api.output({}, status_code=204)
def delete(address_id: str) -> str:
    """Delete an address that isn't in use (E7)."""
    rooms().addresses.delete(actor(), address_id)
    return ""


@api.post("/addresses/<ident:address_id>/default")
@api.output(AddressOut)
def make_default(address_id: str) -> dict[str, Any]:
    """Make an address the default."""
    return address_out(rooms().addresses.make_default(actor(), address_id))


@api.get("/divisions")
@api.input(Place, location="query")
@api.output(NamesOut)
def places(query_data: Place) -> dict[str, Any]:
    """Provinces; with a province its cities; with a city too its districts, none where a city has none."""
    found = divisions()
    if query_data.city:
        return {"items": found.districts(query_data.province, query_data.city)}
    if query_data.province:
        return {"items": found.cities(query_data.province)}
    return {"items": found.provinces()}
