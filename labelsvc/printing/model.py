"""The nouns of printing and the legal steps of a label; pure.

Hides nothing: the table ``STEPS`` is the drawing of a label's life, and ``derive`` is the only place that says what
a job's state is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from labelsvc.errors import Conflict

Lane = Literal["bench", "batch"]
LANES: tuple[Lane, ...] = ("bench", "batch")

#: What a held label waits for: "" a person who held it, ``second_copy`` the answer to P15's question, ``moved`` somebody who
#: says that this restored or copied database is to print (P14).
HeldFor = Literal["", "second_copy", "moved"]
#: The longest time after which a job may expire by itself.
MAX_EXPIRE_S = 30 * 24 * 3600

Letters = Literal["dots", "font"]
#: The font that labelsvc cuts and sends to a printer before the first label that needs it.
DOWNLOADED = "E:LABELSVC.TTF"
LETTERS: tuple[Letters, ...] = ("dots", "font")
Graphics = Literal["raw", "runs", "zip"]
Fit = Literal["shrink", "actual", "fill"]
Turning = Literal["auto", "0", "90", "180", "270"]
Dither = Literal["auto", "threshold", "diffusion"]
#: The longest side of paper that a picture may be printed on.
MAX_PAPER_MM = 1000
FITS: tuple[Fit, ...] = ("shrink", "actual", "fill")
TURNS: tuple[Turning, ...] = ("auto", "0", "90", "180", "270")
DITHERS: tuple[Dither, ...] = ("auto", "threshold", "diffusion")
#: A question that a printer answers: ZPL ~HS, ESC/POS DLE EOT and ASB, TSPL <ESC>!?, the port status of USB's printer class.
Status = Literal["none", "zpl-hs", "escpos", "tspl", "usb-port"]
#: ZPL's odometer, ESC/POS GS ( H, a TSPL counter of labels.
Proof = Literal["none", "odometer", "process-id", "label-count"]
Sensor = Literal["gap", "black-mark", "continuous"]
Coverage = Literal["gb2312", "gbk", "gb18030", "unicode"]

#: The URI of a store's built-in printer, which has no wire: its labels are opened as PDF in a browser (P6).
BROWSER_URI = "browser:"
#: The URI of a group: a place without a wire of its own, whose labels go to one of its printers.
GROUP_URI = "group:"
#: Which printer of a group takes its next label: the first that can, or whichever is free.
Mode = Literal["first", "spread"]
MODES: tuple[Mode, ...] = ("first", "spread")


class LabelState(StrEnum):
    """Where one label stands. 标签状态"""

    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"  #: the intent is committed; bytes may be on the wire
    PRINTED = "printed"  #: proved by the printer, or answered by a person
    SENT = "sent"  #: handed over to something that can't prove
    FAILED = "failed"
    UNCERTAIN = "uncertain"  #: 待确认: we don't know whether it came out
    CANCELLED = "cancelled"


class JobState(StrEnum):
    """What a job's labels say together; never stored. 任务状态"""

    QUEUED = "queued"
    HELD = "held"
    PRINTING = "printing"
    DONE = "done"
    ATTENTION = "attention"  #: some label is uncertain, a person must look
    FAILED = "failed"
    CANCELLED = "cancelled"


#: The legal steps. ``sending`` goes back to ``queued`` only when the very process that sent knows that no byte left;
#: ``queued`` fails when its template no longer renders at its turn, so that nothing was ever intended.
STEPS: Mapping[LabelState, frozenset[LabelState]] = {
    LabelState.QUEUED: frozenset(
        {LabelState.SENDING, LabelState.HELD, LabelState.CANCELLED, LabelState.FAILED}
    ),
    LabelState.HELD: frozenset({LabelState.QUEUED, LabelState.CANCELLED}),
    LabelState.SENDING: frozenset(
        {LabelState.PRINTED, LabelState.SENT, LabelState.FAILED, LabelState.UNCERTAIN, LabelState.QUEUED}
    ),
    LabelState.SENT: frozenset({LabelState.PRINTED}),
    LabelState.UNCERTAIN: frozenset({LabelState.PRINTED, LabelState.QUEUED}),
    LabelState.PRINTED: frozenset(),
    LabelState.FAILED: frozenset(),
    LabelState.CANCELLED: frozenset(),
}

#: Nothing further happens to these by itself. An uncertain label waits for a person, not for the spooler.
SETTLED = frozenset(
    {
        LabelState.PRINTED,
        LabelState.SENT,
        LabelState.FAILED,
        LabelState.UNCERTAIN,
        LabelState.CANCELLED,
    }
)
#: The label is, or may be, on paper.
ON_PAPER = frozenset({LabelState.PRINTED, LabelState.SENT})


def require_step(before: LabelState, after: LabelState) -> None:
    """Raise Conflict ``label.step``, naming the present state, unless a label may go from ``before`` to ``after``."""
    if after not in STEPS[before]:
        raise Conflict(
            f"the label is {before.value} and can't become {after.value}",
            code="label.step",
            state=before.value,
        )


def derive(states: Collection[LabelState]) -> JobState:
    """A job's state from its labels' (at least one): what needs a person first, then what is still to come."""
    found = set(states)
    if LabelState.UNCERTAIN in found:
        return JobState.ATTENTION
    begun = bool(found & {LabelState.PRINTED, LabelState.SENT, LabelState.FAILED})
    if LabelState.SENDING in found or (LabelState.QUEUED in found and begun):
        return JobState.PRINTING
    if LabelState.QUEUED in found:
        return JobState.QUEUED
    if LabelState.HELD in found:
        return JobState.HELD
    if LabelState.FAILED in found:
        return JobState.FAILED
    if found == {LabelState.CANCELLED}:
        return JobState.CANCELLED
    return JobState.DONE


@dataclass(frozen=True)
class Source:
    """Where a profile's claims stand written. 出处"""

    document: str  #: a manual or data sheet, with page or chapter where it has one
    claims: tuple[str, ...]  #: names of the profile's fields


@dataclass(frozen=True)
class Profile:
    """What a model of printer understands and can prove; one TOML file each. 机型

    Whatever no ``sources`` name isn't claimed: None, or empty, is "not known", and ``status`` or ``proof`` "none" is "is not
    asked".
    """

    name: str
    maker: str
    model: str
    language: str  #: a key of ``labelsvc.languages.LANGUAGES``
    dpi: int
    proof: Proof = "none"  #: what proves that a label came out
    status: Status = "none"  #: which question it answers
    head_width_mm: float | None = None  #: None: any width
    max_length_mm: float | None = None
    speed: int | None = None  #: what is chosen for it, in inches a second
    speeds: tuple[float, ...] = ()  #: what it can do, in inches a second, slowest first
    darkness: int | None = None  #: what is chosen for it, on the language's scale
    darkness_range: tuple[int, int] | None = None
    sensors: tuple[Sensor, ...] = ()  #: what it can find the next label by
    graphics: Graphics = "runs"  #: how dots are packed for its wire
    letters: Letters = "dots"  #: how characters beyond ASCII come on paper
    font: str = ""  #: the printer's own name of the font that ``letters`` asks for
    fonts: tuple[str, ...] = ()  #: fonts of Chinese that are in the printer, by its own names
    coverage: Coverage = "gb2312"  #: which characters that font has
    cutter: bool = False  #: it cuts after each label
    peeler: bool = False  #: it waits until the label is taken
    options: tuple[Literal["cutter", "peeler"], ...] = ()  #: what can be fitted to it
    quirks: tuple[str, ...] = ()  #: names from ``profiles.QUIRKS``
    matches: tuple[str, ...] = ()  #: what it calls itself, case aside: ``profiles.propose``
    verified: Literal["manual", "emulator", "hardware"] = "manual"  #: what it was tried on, if at all
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """A printer that was found or asked, and the profile that it should have; nothing is stored. 建议"""

    uri: str
    name: str  #: what its device calls itself, for people; may be empty
    maker: str
    model: str
    languages: tuple[str, ...]
    dpi: int | None
    profile: str | None  #: None: nothing is known of it
    known: bool  #: whether the profile is of its model, not the generic one of its language
    said: tuple[str, ...]  #: what told it: "IEEE 1284", "~HI", "mDNS" …
    added_as: str | None = None  #: the name of the store's printer that is already at this address


@dataclass(frozen=True)
class PrinterState:
    """What is known of a printer: three-valued, with age and source. Silence is ``unknown``, never ``ready``."""

    value: Literal["ready", "not_ready", "unknown"] = "unknown"
    reason: str = ""  #: one word: paper_out, head_open, paused, unreachable, no_permission, busy, silent ...
    source: str = ""  #: who says so: the status query's name, "connection", or "" before the first look
    at: datetime | None = None


@dataclass(frozen=True)
class Printer:
    """A printer of one store: a place such as bench 7, behind which one device after the other may stand (P13); or a group
    of them. 打印机"""

    id: str
    store_id: str
    name: str
    uri: str
    profile: str
    dpi: int
    created_at: datetime
    darkness: int | None = None
    speed: int | None = None
    offset_x: int = 0  #: dots
    offset_y: int = 0  #: dots
    letters: Letters | None = None  #: None: as its profile says, like ``darkness`` and ``speed``
    font: str | None = None
    paused_at: datetime | None = None
    answered_at: datetime | None = None  #: when the device first answered a status query; None: never yet
    node: str | None = None  #: the machine that it hangs on; None: any of them may drive it
    state: PrinterState = PrinterState()
    driven_by: str | None = None  #: the machine that drives it now, on PostgreSQL
    device_no: int = 0  #: how many devices stood here before this one
    mode: Mode | None = None  #: of a group
    members: tuple[
        str, ...
    ] = ()  #: ids of a group's printers, in the order of their turn; as ``Printers`` shows it
    aliases: tuple[str, ...] = ()  #: the names that other programs stored for it; as ``Printers`` shows it

    @property
    def is_browser(self) -> bool:
        """Whether this is the built-in one, whose labels open as PDF (P6)."""
        return self.uri == BROWSER_URI

    @property
    def is_group(self) -> bool:
        """Whether it is a group of printers."""
        return self.mode is not None


@dataclass(frozen=True)
class Driven:
    """Who drives a printer on PostgreSQL, or did last."""

    node: str
    now: bool  #: whether that machine lives and has not given the printer back
    seen_at: datetime  #: when it was heard of last


@dataclass(frozen=True)
class NodeSeen:
    """A machine that drives printers of a PostgreSQL database, or did once. 节点"""

    name: str
    alive: bool
    started_at: datetime
    seen_at: datetime  #: by the server's clock
    printers: int  #: how many it drives now


@dataclass(frozen=True)
class Picture:
    """A finished PDF or picture, to be printed as it is on paper of ``width_mm`` × ``height_mm``. 图片

    What the words mean stands at ``labelsvc.languages.pictures.pages``.
    """

    content: bytes = field(repr=False)
    width_mm: float
    height_mm: float
    fit: Fit = "shrink"
    rotate: Turning = "auto"
    dither: Dither = "auto"


@dataclass(frozen=True)
class DocumentRequest:
    """One document to print: a template, its data, and how often; or a picture, and how often. 文档

    ``template`` names a standard template; with ``template_text`` (a shop's own CNPL) it is only that text's name. With a
    ``picture`` it is the picture's name, and there are no data.
    ``subject`` is what the label belongs to, such as ``waybill:<id>``; blocks and reprint counts hold on to it.
    ``title`` is what lists show (a waybill number): never a person's name. Documents of one job with the same
    ``group`` leave in a row, with nothing in between (P8: the parcels of one order). The data of a ``private`` one are
    another store's: they go on paper, and nobody of this store may look at them otherwise (D7).
    ``number`` is the waybill number on it, where neither the data nor a barcode name it, as of a picture; labels of the
    subjects that it ``replaces`` are void, so that it is no second copy of them (W6, P15).
    """

    template: str
    data: Mapping[str, Any]
    copies: int = 1
    subject: str | None = None
    title: str = ""
    template_text: str | None = None
    group: str | None = None
    private: bool = False
    picture: Picture | None = None
    number: str | None = None
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class PrintRequest:
    """What a door hands over. ``printer`` is an id or a name of the store's; ``key`` makes the request idempotent.

    With ``expire_s`` labels that haven't left so many seconds after the job was accepted are cancelled.

    ``origin`` says from where it came (P9): a door's word such as ``api`` or ``page``, not part of the content.
    """

    printer: str
    documents: tuple[DocumentRequest, ...]
    key: str
    lane: Lane = "bench"
    hold: bool = False
    origin: str = ""
    expire_s: int | None = None


@dataclass(frozen=True)
class Label:
    """One document × copy on one piece of paper: the unit of state, proof, block and question. 标签"""

    id: str
    job_id: str
    store_id: str
    printer_id: str
    document_no: int  #: from 1
    copy_no: int  #: from 1
    state: LabelState
    lane: Lane
    title: str
    subject: str | None
    reason: str  #: why it is in this state; "" if that speaks for itself
    queued_at: datetime
    sent_at: datetime | None = None  #: when its bytes were last committed for sending
    settled_at: datetime | None = None
    bytes_count: int | None = None
    attempt: int = 0
    reprint_of: str | None = None  #: id of the first label that this one repeats
    reprint_count: int = 0  #: 0: the original; 2: its second reprint
    pages: int = 1  #: pieces of paper that it comes out on: a list may take several
    sent_no: int | None = None  #: rises on each printer: which label was sent last, whatever the clock says
    number: str | None = None  #: the waybill number on it, as it is compared (P15)
    held_for: HeldFor = ""
    expires_at: datetime | None = None  #: if it still waits then, it is cancelled


@dataclass(frozen=True)
class CustomArea:
    """What a store prints in the place that a standard template leaves it; ``text`` is CNPL. 自定义区"""

    template: str
    text: str
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True)
class JobWarning:
    """A page's warning, with the number of its document (from 1)."""

    document_no: int
    code: str
    detail: str
    source: str = ""


@dataclass(frozen=True)
class DocumentGrade:
    """The lowest grade of a document's (from 1) barcodes, by their geometry; ``PrintJobs.quality`` says more. 条码质量"""

    document_no: int
    grade: str


@dataclass(frozen=True)
class PrintJob:
    """A durably stored request and its labels, in printing order. 打印任务"""

    id: str
    store_id: str
    printer_id: str
    state: JobState
    key: str
    lane: Lane
    origin: str
    created_by: str
    created_at: datetime
    labels: tuple[Label, ...]
    expires_at: datetime | None = None
    warnings: tuple[JobWarning, ...] = field(default=())
    grades: tuple[DocumentGrade, ...] = field(default=())

    @property
    def settled(self) -> bool:
        """Whether nothing further happens by itself."""
        return all(label.state in SETTLED for label in self.labels)


@dataclass(frozen=True)
class Change:
    """One step of one label, numbered: the feed that rooms above read from a cursor, and a job's history (P9)."""

    seq: int
    at: datetime
    label_id: str
    job_id: str
    store_id: str
    subject: str | None
    before: LabelState | None  #: None: it was just stored
    after: LabelState
    actor: str  #: a user's id, or "spooler", "counter"
    reason: str


@dataclass(frozen=True)
class Document:
    """One stored document: what is rendered again for each label. It holds personal data; only this room sees it. 文档"""

    id: str
    template: str
    template_text: str
    data: Mapping[str, Any]
    title: str
    subject: str | None
    private: bool
    started_at: datetime
    no: int = 1  #: its number in the job, from 1
    count: int = 1  #: how many documents the job has
    area_text: str | None = None  #: the store's custom area as it was when the job was taken
    picture: Picture | None = None
    images: Mapping[str, bytes] = field(
        default_factory=dict, repr=False
    )  #: by the address that the template names
    erased: bool = False


@dataclass(frozen=True)
class Turn:
    """The label whose turn it is on a printer, and its document."""

    label: Label
    document: Document


@dataclass(frozen=True)
class Unproven:
    """A printer's newest label, uncertain, and what the printer's counter said before it was sent, if it was asked."""

    label: Label
    counter_before: int | None

    @property
    def counter_after(self) -> int | None:
        """What the counter says once all of the label came out."""
        return None if self.counter_before is None else self.counter_before + self.label.pages
