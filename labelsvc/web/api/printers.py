"""Printers and their models over the API. 打印机"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from pydantic import Field

from labelsvc.printing import Printer, Proposal
from labelsvc.web.api.shape import Answer, Body, Line, Name, Reference, moment
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

api = APIBlueprint("printers", __name__, url_prefix="/api/v1/printers", tag="printers")

Uri = Annotated[
    Line,
    Field(
        min_length=1,
        max_length=300,
        pattern=r"^\S+$",
        description="tcp://HOST:PORT, usb://VID:PID/SERIAL, serial:///dev/ttyUSB0?baud=9600, cups://QUEUE or file:///DIR",
    ),
]


Letters = Literal["dots", "font"]
Font = Annotated[Line, Field(max_length=40)]
_LETTERS = "How characters beyond ASCII come on paper: as dots, or by a font in the printer."
_FONT = "That font's name in the printer; E:LABELSVC.TTF is one that is sent there first."


_NODE = "The machine that it hangs on, of several on PostgreSQL."
Node = Annotated[Line, Field(max_length=64, description=_NODE)]


class PrinterIn(Body):
    name: Name
    uri: Uri
    profile: Name = Field(description="A name from /printers/profiles.")
    darkness: int | None = Field(None, ge=0, le=30)
    speed: int | None = Field(None, ge=1, le=14)
    offset_x: int = Field(0, ge=-400, le=400, description="Dots.")
    offset_y: int = Field(0, ge=-400, le=400, description="Dots.")
    letters: Letters | None = Field(None, description=_LETTERS)
    font: Font | None = Field(None, description=_FONT)
    node: Node | None = Field(
        None, description=f"{_NODE} Null: this one, if no other can reach the printer, else any."
    )


class PrinterEdit(Body):
    """Only what changes."""

    name: Name | None = None
    uri: Uri | None = None
    profile: Name | None = None
    darkness: int | None = Field(None, ge=0, le=30)
    speed: int | None = Field(None, ge=1, le=14)
    offset_x: int | None = Field(None, ge=-400, le=400)
    offset_y: int | None = Field(None, ge=-400, le=400)
    letters: Letters | Literal[""] | None = Field(None, description=f"{_LETTERS} Empty: as its model.")
    font: Font | Literal[""] | None = Field(None, description=f"{_FONT} Empty: as its model.")
    node: Node | None = Field(None, description=f"{_NODE} Empty: any may drive it.")


class Aliases(Body):
    aliases: list[Name] = Field(max_length=20, description="All of them; empty: none.")


class Swap(Body):
    uri: Uri
    profile: Name = Field(description="A name from /printers/profiles.")


Mode = Literal["first", "spread"]
_MODE = "first: the first that can print takes the next label; spread: whichever is free."
_MEMBERS = "Ids, names or aliases of printers, in the order of their turn."


class GroupIn(Body):
    name: Name
    members: list[Reference] = Field(min_length=1, max_length=50, description=_MEMBERS)
    mode: Mode = Field("first", description=_MODE)


class GroupEdit(Body):
    """Only what changes."""

    name: Name | None = None
    members: Annotated[list[Reference], Field(min_length=1, max_length=50)] | None = Field(
        None, description=_MEMBERS
    )
    mode: Mode | None = Field(None, description=_MODE)


class StateOut(Answer):
    value: Literal["ready", "not_ready", "unknown"]
    reason: str
    source: str
    at: str | None


class PrinterOut(Answer):
    id: str
    name: str
    uri: str
    profile: str
    dpi: int
    darkness: int | None
    speed: int | None
    offset_x: int
    offset_y: int
    letters: Letters | None
    font: str | None
    node: str | None = Field(description=_NODE)
    driven_by: str | None = Field(description="The machine that drives it now; null on SQLite.")
    mode: Mode | None = Field(description="Of a group, which has no device of its own; else null.")
    members: list[str] = Field(description="Ids of a group's printers, in the order of their turn.")
    aliases: list[str] = Field(description="What else it is called; each is as good as its name.")
    paused_at: str | None
    created_at: str
    state: StateOut


class PrintersOut(Answer):
    items: list[PrinterOut]


class SourceOut(Answer):
    document: str
    claims: list[str] = Field(description="The profile's fields that it is the source of.")


class ProfileOut(Answer):
    name: str
    maker: str
    model: str
    language: str
    dpi: int
    head_width_mm: float | None
    max_length_mm: float | None
    proof: Literal["none", "odometer", "process-id", "label-count"] = Field(
        description="What proves that a label came out."
    )
    status: Literal["none", "zpl-hs", "escpos", "tspl", "usb-port"] = Field(
        description="Which question about its state it answers."
    )
    verified: Literal["manual", "emulator", "hardware"]
    speeds: list[float] = Field(description="Inches a second.")
    darkness_range: list[int] | None = Field(description="Least and most, on the language's scale.")
    sensors: list[Literal["gap", "black-mark", "continuous"]] = Field(description="How it finds a label.")
    graphics: Literal["raw", "runs", "zip"] = Field(description="How dots are packed for its wire.")
    letters: Letters
    font: str
    fonts: list[str] = Field(description="Fonts of Chinese in the printer.")
    coverage: Literal["gb2312", "gbk", "gb18030", "unicode"] = Field(
        description="Which characters its font has."
    )
    cutter: bool = Field(description="It cuts after each label.")
    peeler: bool = Field(description="It waits until a label is taken.")
    options: list[Literal["cutter", "peeler"]] = Field(description="What can be fitted to it.")
    quirks: list[str]
    sources: list[SourceOut]


class ProfilesOut(Answer):
    items: list[ProfileOut]


class ProbeIn(Body):
    uri: Uri


class ProposalOut(Answer):
    """A printer that was found or asked, and the profile that it should have; nothing is stored."""

    uri: str
    name: str = Field(description="What it calls itself.")
    maker: str
    model: str
    languages: list[str]
    dpi: int | None
    profile: str | None = Field(description="Null: nothing is known of it.")
    known: bool = Field(
        description="Whether the profile is of its model, not the generic one of its language."
    )
    said: list[str] = Field(description="What told it: IEEE 1284, ~HI, SGD, ~!T, GS I, mDNS.")
    added_as: str | None = Field(description="The store's printer at this address.")


class FoundOut(Answer):
    items: list[ProposalOut]


def printer_out(printer: Printer) -> dict[str, Any]:
    """A printer as the API shows it."""
    state = printer.state
    return {
        **{name: getattr(printer, name) for name in PrinterOut.model_fields},
        "paused_at": moment(printer.paused_at),
        "created_at": moment(printer.created_at),
        "state": {
            "value": state.value,
            "reason": state.reason,
            "source": state.source,
            "at": moment(state.at),
        },
    }


@api.get("/profiles")
@api.output(ProfilesOut)
def profiles() -> dict[str, Any]:
    """The models of printers that are known."""
    return {"items": rooms().printers.profiles()}


@api.get("")
@api.output(PrintersOut)
def listed() -> dict[str, Any]:
    """The store's printers and groups, and what is known of their state."""
    return {"items": [printer_out(printer) for printer in rooms().printers.list(actor())]}


@api.post("")
@api.input(PrinterIn)
@api.output(PrinterOut, status_code=201)
def add(json_data: PrinterIn) -> dict[str, Any]:
    """Add a printer."""
    return printer_out(rooms().printers.add(actor(), **json_data.model_dump()))


@api.get("/found")
@api.output(FoundOut)
def found() -> dict[str, Any]:
    """Printers that announce themselves, on this machine's USB bus or, if switched on, on the network; nothing is stored."""
    return {"items": rooms().discovery.found(actor())}


@api.post("/probe")
@api.input(ProbeIn)
@api.output(ProposalOut)
def probe(json_data: ProbeIn) -> Proposal:
    """Ask an idle printer what it is, and propose its profile; a silent receipt printer may print three letters."""
    return rooms().printers.probe(actor(), json_data.uri)


@api.get("/<ident:printer_id>")
@api.output(PrinterOut)
def one(printer_id: str) -> dict[str, Any]:
    """One printer."""
    return printer_out(rooms().printers.get(actor(), printer_id))


@api.patch("/<ident:printer_id>")
@api.input(PrinterEdit)
@api.output(PrinterOut)
def edit(printer_id: str, json_data: PrinterEdit) -> dict[str, Any]:
    """Change a printer; its queue stays."""
    changes = json_data.model_dump(exclude_none=True)
    return printer_out(rooms().printers.edit(actor(), printer_id, **changes))


@api.delete("/<ident:printer_id>")
@api.output({}, status_code=204)
def remove(printer_id: str) -> str:
    """Remove a printer that has no open or uncertain label."""
    rooms().printers.remove(actor(), printer_id)
    return ""


@api.put("/<ident:printer_id>/aliases")
@api.input(Aliases)
@api.output(PrinterOut)
def set_aliases(printer_id: str, json_data: Aliases) -> dict[str, Any]:
    """What else a printer, or a group, is called: the names that other programs stored for it (P13)."""
    return printer_out(rooms().printers.set_aliases(actor(), printer_id, json_data.aliases))


@api.post("/<ident:printer_id>/swap")
@api.input(Swap)
@api.output(PrinterOut)
def swap(printer_id: str, json_data: Swap) -> dict[str, Any]:
    """Another device stands in the printer's place: name, aliases, offsets and queue stay, what waits is made anew (P13)."""
    return printer_out(rooms().printers.swap(actor(), printer_id, json_data.uri, json_data.profile))


@api.post("/groups")
@api.input(GroupIn)
@api.output(PrinterOut, status_code=201)
def add_group(json_data: GroupIn) -> dict[str, Any]:
    """Make a group of printers; jobs name it like a printer. It is paused, seen and removed like one, too."""
    return printer_out(rooms().printers.add_group(actor(), **json_data.model_dump()))


@api.patch("/groups/<ident:group_id>")
@api.input(GroupEdit)
@api.output(PrinterOut)
def edit_group(group_id: str, json_data: GroupEdit) -> dict[str, Any]:
    """Change a group; the labels that wait for it stay."""
    changes = json_data.model_dump(exclude_none=True)
    return printer_out(rooms().printers.edit_group(actor(), group_id, **changes))


@api.post("/<ident:printer_id>/pause")
@api.output(PrinterOut)
def pause(printer_id: str) -> dict[str, Any]:
    """Send nothing more after the label in hand."""
    return printer_out(rooms().printers.pause(actor(), printer_id))


@api.post("/<ident:printer_id>/send-fonts-again")
@api.output(PrinterOut)
def send_fonts_again(printer_id: str) -> dict[str, Any]:
    """The printer lost its downloaded font (a reset, a repair): send it before the next label."""
    return printer_out(rooms().printers.send_fonts_again(actor(), printer_id))


@api.post("/<ident:printer_id>/resume")
@api.output(PrinterOut)
def resume(printer_id: str) -> dict[str, Any]:
    """Go on after a pause."""
    return printer_out(rooms().printers.resume(actor(), printer_id))
