r"""ZPL II: a Page as the commands of a Zebra (or a printer that speaks like one), and the printer's answers read.

Hides which marks the printer says by itself (lines, text, the symbols it draws module for module as laid out) and which
go as dots, all in one picture; the metrics of the printer's own font; and escaping: data reaches the stream through
``_field`` alone, so that no text can become a command. What is the same on every label is put into words once.

Choices that are not obvious:

- Code 128 in *automatic* mode with the plain data: ``labels.symbols`` plans as that mode does, so the modules are the layout's,
  and no reader can misunderstand a subset switch. A symbol planned otherwise goes as dots, which are exact everywhere.
- QR: printers shift ``^BQ`` down by the height last set with ``^BY``, hence the ``^BY`` of one dot before it.
- Text by ``^FT``, whose origin is the baseline: ``^FO`` would make the place depend on the printer's ascent.
- A font in the printer is named once, by ``^A@``, and stays named. No ``^CW``: it would outlive the label.
- Without such a font, stretches of ASCII in a Chinese line are the printer's too: they are a third of a label's dots.
- A printer only adds black: what a white mark lies on goes as dots, with the white taken out.
- No ``^PQ``: one copy is the default and every copy is a label of its own.

Source: Zebra Programming Guide (ZPL II, SGD), the pages of the commands named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple

from labelsvc.errors import Invalid
from labelsvc.labels import (
    BarMark,
    GroupMark,
    LineMark,
    Mark,
    MatrixMark,
    Page,
    RectMark,
    Run,
    TextMark,
    fonts,
    symbols,
)
from labelsvc.languages import graphics, raster
from labelsvc.languages.condition import Condition, all_true, first_true
from labelsvc.languages.target import Target

name = "zpl"
media_type = "application/vnd.zebra.zpl"

#: Font 0 at this height has capitals of 0.75 of it; the layout's faces have capitals of 0.733 em.
_FONT0_PER_EM = 0.733 / 0.75
#: The smallest font 0 that printers scale.
_FONT0_MIN = 10

#: Advance widths of font 0 by ASCII code, in 1/1000 of its width parameter: the widest of three renderings measured.
_FONT0_ADVANCE = (0,) * 32 + (
    281, 333, 469, 500, 500, 906, 667, 281, 333, 333, 500, 906, 333, 906, 333, 281,
    500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 281, 281, 1000, 906, 1000, 500,
    906, 562, 562, 556, 611, 500, 500, 611, 625, 281, 444, 562, 500, 778, 625, 611,
    562, 611, 611, 556, 500, 625, 556, 833, 562, 562, 500, 333, 469, 333, 500, 500,
    333, 500, 500, 444, 500, 500, 281, 500, 500, 278, 278, 444, 278, 778, 500, 500,
    500, 500, 344, 444, 281, 500, 444, 667, 444, 444, 389, 500, 500, 500, 1000, 0,
)  # fmt: skip

#: Characters that font 0 draws as wide as an em: a telephone number with hyphens would come out squeezed.
_FONT0_ODD = re.compile("[^ -~]|[-+<=>~]")
#: A line in pieces: stretches that font 0 can take over from the dots, not blank at the ends; full-width characters, each an
#: em; blanks; and what else there is.
_PIECES = re.compile(
    "(?P<plain>[!-*,./0-;?-}](?:[ !-*,./0-;?-}]*[!-*,./0-;?-}])?)"
    "|(?P<wide>[\u3001\u3002\u4e00-\u9fa5\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f]+)|(?P<blank> +)|(?P<other>.)",
    re.DOTALL,
)
#: From how many dots of size in all a stretch is worth a field: that takes some forty bytes, a character as dots one or two for
#: each of its rows.
_WORTH_A_FIELD = 40

#: Characters that don't stand in field data as they are: controls, what begins a command, and the backslash, which
#: some printers take for a sign of theirs. With ``^FH`` the underline is a sign too.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f^~\\\\\ud800-\udfff]")
_UNSAFE_OR_SIGN = re.compile(_UNSAFE.pattern[:-1] + "_]")

#: The guide allows ^GF 99 999 bytes; readers that we test with, and printers with little memory, take a quarter of that.
_MOST_GRAPHIC_BYTES = 24_960

_TURN = {0: "N", 90: "R", 180: "I", 270: "B"}
_EXTENSION_A = re.compile("[\u3400-\u4dbf]")
_EXCESS_PER_EM = 250
#: Other bar codes that printers draw as they are laid out: the command up to its turn, what stands before the height and after
#: it, and the data for which it is so. (EAN and UPC aren't: printers lengthen their guard bars.)
_BARS = {
    "code39": ("^B3", ",N", "N,N", re.compile("[0-9A-Z .$/+%-]+")),
    "code93": ("^BA", "", "N,N,N", re.compile("[0-9A-Z]+")),
    "c25inter": ("^B2", "", "N,N,N", re.compile("(?:[0-9][0-9])+")),
}


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """One label format, ``^XA`` to ``^XZ``; Invalid if the page was composed for another resolution."""
    target.require_dpi(page)
    fixed = page.fixed
    if fixed is not None:
        key = ("zpl", target, page.width, page.height)
        kept = fixed.kept.get(key)
        if kept is None:
            writing = _Format(page, target, _Kept(_opening(page, target), False))
            writing.marks(fixed.marks)
            kept = fixed.kept[key] = _Kept("".join(writing.said), writing.font_named)
        writing = _Format(page, target, kept)
        writing.say(page.own)
        if not any(map(_whitens, writing.dots)):
            return writing.end()
    writing = _Format(page, target, _Kept(_opening(page, target), False))
    writing.marks(page.marks)
    return writing.end()


def font_download(ttf: bytes, name: str, packing: str = "zip") -> bytes:
    """A TrueType font to be kept in the printer under a name such as ``E:NOTO.TTF``, for ``Target.font``; sent once.

    Its bytes go as letters, ``packing`` says how: ``zip`` is Z64, whose check sum the printer compares; else hexadecimal,
    which every printer reads. As they are (format B) they would be counted, and of a download that was cut the printer
    would take the rest out of the next labels; letters end at the next caret or tilde.

    Invalid if the name isn't a drive (R: is forgotten when power goes, E: stays), one to eight letters or digits, and
    ``.TTF``, or the bytes are no TrueType font. Source: Zebra, ZPL programming guide: ~DY, ^GF, ZB64 encoding.
    """
    named = _FONT_NAME.fullmatch(name)
    if named is None:
        raise Invalid(
            "A font in the printer is named like E:NOTO.TTF: a drive, one to eight letters or digits, .TTF",
            code="font.name",
            field="font",
        )
    if ttf[:4] not in {b"\0\1\0\0", b"true"}:
        raise Invalid("These bytes are no TrueType font", code="font.format", field="font")
    letters = graphics.z64(ttf) if packing == "zip" else ttf.hex().upper()
    return f"~DY{named[1]},A,T,{len(ttf)},,{letters}\r\n".encode("ascii")


_FONT_NAME = re.compile(r"([REBA]:[A-Z0-9]{1,8})\.TT[FE]")


class _Kept(NamedTuple):
    """The beginning of a format, and whether the printer's font is named in it."""

    said: str
    font_named: bool


def require_font(target: Target) -> None:
    """Raise Invalid ``font.name`` for a font in the printer that isn't named as ZPL names one."""
    if target.letters == "font" and not _FONT_NAME.fullmatch(target.font):
        raise Invalid("The printer's font must be named like E:SIMSUN.TTF", code="font.name", field="font")


def _opening(page: Page, target: Target) -> str:
    require_font(target)
    darkness = "" if target.darkness is None else f"~SD{min(30, max(0, target.darkness)):02d}"
    speed = "" if target.speed is None else f"^PR{target.speed}"
    cut = "^MMC" if target.cut else ""
    # What an earlier user of the printer may have left on is set back: origin, reversal, character set.
    return f"{darkness}^XA^CI28^LH0,0^LRN{cut}{speed}^PW{page.width}^LL{page.height}"


class _Format:
    """One label, or the part of it that is fixed, being written."""

    def __init__(self, page: Page, target: Target, kept: _Kept) -> None:
        self.page = page
        self.target = target
        self.said = [kept.said]
        self.font_named = kept.font_named
        self.by_font = target.letters == "font"
        self.codec = {"gb2312": "gb2312", "unicode": ""}.get(target.coverage, "gbk")
        self.dx, self.dy = target.offset_x, target.offset_y
        #: What goes as dots, in drawing order.
        self.dots: list[Mark] = []

    def marks(self, marks: Sequence[Mark]) -> None:
        """All of them, and what lies under white in the picture."""
        before = self.said[:], self.font_named
        self.say(marks)
        if any(map(_whitens, self.dots)):
            self.said, self.font_named = before
            self.dots = []
            self.say(marks, _under_white(marks))
        self.picture()

    def say(self, marks: Sequence[Mark], but: Container[int] = ()) -> None:
        """What the printer says by itself, without the marks at some places; the others are left in ``dots``."""
        says = self.says
        for place, mark in enumerate(marks):
            say = says.get(type(mark))
            if place in but or say is None or not say(self, mark):
                self.dots.append(mark)

    def picture(self) -> None:
        """What goes as dots."""
        if self.dots:
            self.graphic(self.dots)
            self.dots = []

    def end(self) -> bytes:
        """The whole format."""
        self.picture()
        self.said.append("^XZ\n")
        return "".join(self.said).encode()

    def at(self, command: str, x: int, y: int) -> str | None:
        """``^FO`` or ``^FT`` at a place of the page; None if the printer can't be told it (left of or above the paper)."""
        x, y = x + self.dx, y + self.dy
        return f"^{command}{x},{y}" if 0 <= x <= 32000 and 0 <= y <= 32000 else None

    # ── text ──

    def text(self, mark: TextMark) -> bool:
        (x, y, wanted, _, size, baseline, words, _, weight, rotation, inverse, spacing, underline, missing, _,
         italic) = mark  # fmt: skip
        if rotation or inverse or spacing or underline or missing or italic:
            return False
        if words.isascii():
            if not _FONT0_ODD.search(words):
                return self.font0(mark, words)
            if not self.by_font or not words.isprintable():
                return not self.by_font and self.partly(mark)
        elif not self.by_font:
            return self.partly(mark)
        elif not self.covers(words, mark):
            return False
        # By the printer's font, no wider than it was laid out: ASCII may be half an em wide there, where ours is narrower.
        width = size
        if plain := words.encode("ascii", "ignore"):
            excess = sum(plain.translate(_half_em_excess(weight)))
            if excess and wanted > 0:
                width = int(size * wanted / (wanted + excess * size / _EXCESS_PER_EM))
        x, y = x + self.dx, y + baseline + self.dy
        if not (0 <= x <= 32000 and 0 <= y <= 32000) or width < _FONT0_MIN:
            return False
        called = ""
        if not self.font_named:
            self.font_named = True
            called = f",{self.target.font}"
        self.said.append(f"^FT{x},{y}^A@N,{size},{width}{called}{_field(words)}")
        return True

    def covers(self, words: str, mark: TextMark) -> bool:
        """True if the printer's font has every character of a line, and needs no shaping for it."""
        codec = self.codec
        if codec:
            try:
                words.encode(codec)
            except UnicodeEncodeError:
                if self.target.coverage != "gb18030":
                    return False
                try:
                    _EXTENSION_A.sub("", words).encode(codec)
                except UnicodeEncodeError:
                    return False
            return True
        return words.isprintable() and not any(run.glyphs for run in mark.runs)

    def font0(self, mark: TextMark, words: str) -> bool:
        """An ASCII line by the printer's built-in font."""
        if len(mark.runs) != 1:
            return False
        bare = words.strip(" ")
        if not bare:
            return True
        run = mark.runs[0]
        if len(bare) == len(words) == len(run.text):
            return self.stretch(mark, words, run.x, mark.width)
        face = fonts.face(run.face)
        lead = face.width(run.text[: run.text.index(bare[0])], mark.size)
        return self.stretch(mark, bare, run.x + lead, face.width(bare, mark.size))

    def stretch(self, mark: TextMark, words: str, x: float, wanted: float) -> bool:
        """Plain ASCII in font 0, ``wanted`` dots wide from ``x`` on."""
        per_width = sum(map(_FONT0_ADVANCE.__getitem__, words.encode("ascii"))) / 1000
        height, width = round(mark.size * _FONT0_PER_EM), int(wanted / per_width)
        if height < _FONT0_MIN or width < _FONT0_MIN:
            return False
        # The width parameter is whole dots: what is left over is shared between both ends.
        left = round(mark.x + x + (wanted - width * per_width) / 2) + self.dx
        down = mark.y + mark.baseline + self.dy
        if not (0 <= left <= 32000 and 0 <= down <= 32000):
            return False
        self.said.append(f"^FT{left},{down}^A0N,{height},{width}{_field(words)}")
        return True

    def partly(self, mark: TextMark) -> bool:
        """A line of which font 0 takes the ASCII stretches; the others stay for the picture, where they were."""
        left: list[Run] = []
        size = mark.size
        for run in mark.runs:
            if run.glyphs:
                left.append(run)
                continue
            face = fonts.face(run.face)
            pen = float(run.x)
            for found in _PIECES.finditer(run.text):
                piece = found[0]
                if found.lastgroup == "wide":
                    left.append(Run(run.face, piece, int(pen + 0.5)))
                    pen += size * len(piece)
                    continue
                wanted = face.width(piece, size)
                if found.lastgroup == "plain" and not (
                    len(piece) * size >= _WORTH_A_FIELD
                    and all(map(face.has, piece))
                    and self.stretch(mark, piece, pen, wanted)
                ):
                    at = pen
                    for char in piece:
                        left.append(Run(run.face, char, int(at + 0.5)))
                        at += face.advance(char, size)
                elif found.lastgroup == "other":
                    left.append(Run(run.face, piece, int(pen + 0.5)))
                pen += wanted
        if left:
            self.dots.append(mark._replace(runs=tuple(left)))
        return True

    # ── symbols and lines ──

    def bars(self, mark: BarMark) -> bool:
        x, y, data, kind = mark.x + self.dx, mark.y + self.dy, mark.data, mark.kind
        if not (0 <= x <= 32000 and 0 <= y <= 32000) or mark.module > 10:
            return False
        height = mark.width if mark.rotation in {90, 270} else mark.height
        turn = _TURN[mark.rotation]
        if kind in {"code128", "code128b"}:
            # ">" introduces the subset codes of ^BC, in automatic mode too.
            plain = data.isascii() and data.isprintable() and ">" not in data and len(data) <= 80
            if not plain or symbols.code128(data).plan != mark.plan:
                return False
            said = f"^BY{mark.module}^BC{turn},{height},N,N,N,A"
        elif kind in _BARS:
            command, before, after, plainly = _BARS[kind]
            if not plainly.fullmatch(data):
                return False
            said = f"^BY{mark.module},3{command}{turn}{before},{height},{after}"
        else:
            return False
        self.said.append(f"^FO{x},{y}{said}{_field(data)}")
        return True

    def matrix(self, mark: MatrixMark) -> bool:
        x, y, data = mark.x + self.dx, mark.y + self.dy, mark.data
        if mark.kind != "qrcode" or mark.rotation or mark.module > 10 or mark.row_dots:
            return False
        if not (0 <= x <= 32000 and 0 <= y <= 32000) or not (data.isascii() and data.isprintable()):
            return False
        # The printer's packing is never worse than the layout's one mode for the whole text, so its symbol fits the box.
        self.said.append(f"^FO{x},{y}^BY2,3,1^BQN,2,{mark.module}{_field(f'{mark.level}A,{data}')}")
        return True

    def line(self, mark: LineMark) -> bool:
        boxes = raster.line_boxes(mark)
        return boxes is not None and self.boxes([(*box, min(box[2], box[3])) for box in boxes])

    def rect(self, mark: RectMark) -> bool:
        if mark.radius or mark.erase:
            return False
        thickness = min(mark.width, mark.height) if mark.fill else mark.thickness
        return self.boxes([(mark.x, mark.y, mark.width, mark.height, thickness)])

    def boxes(self, boxes: list[tuple[int, int, int, int, int]]) -> bool:
        """Boxes (x, y, width, height, thickness of the side) by ``^GB``; empty ones are left out."""
        said = []
        for x, y, width, height, thickness in boxes:
            if min(width, height, thickness) <= 0:
                continue
            origin = self.at("FO", x, y)
            if origin is None:
                return False
            said.append(f"{origin}^GB{width},{height},{thickness}^FS")
        self.said += said
        return True

    says: ClassVar[dict[type, Callable[[_Format, Any], bool]]] = {
        TextMark: text,
        BarMark: bars,
        MatrixMark: matrix,
        LineMark: line,
        RectMark: rect,
    }

    # ── what goes as dots ──

    def graphic(self, marks: Sequence[Mark]) -> None:
        """Marks as one drawing, in as few pictures as the limit of ``^GF`` allows, cropped to black dots and the paper."""
        for patch in raster.draw_bands(marks, self.page, _MOST_GRAPHIC_BYTES):
            x, y = patch.x + self.dx, patch.y + self.dy
            rows, stride = patch.bits, (patch.width + 7) // 8
            if y < 0:
                rows = rows[-y * stride :]
                y = 0
            if x < 0:
                rows, stride = _cut_left(rows, stride, patch.width, -x)
                x = 0
            if rows and stride:
                data = graphics.packed(rows, stride, self.target.graphics, self.target.slow_link)
                self.said.append(f"^FO{x},{y}^GFA,{len(rows)},{len(rows)},{stride},{data}^FS")


def _whitens(mark: Mark) -> bool:
    """True if a mark takes black away."""
    if isinstance(mark, TextMark):
        return mark.inverse
    if isinstance(mark, RectMark):
        return mark.erase
    return isinstance(mark, GroupMark) and any(map(_whitens, mark.marks))


def _under_white(marks: Sequence[Mark]) -> set[int]:
    """The places of marks on which a later one lays white, and of those that lay it."""
    whitening = [place for place, mark in enumerate(marks) if _whitens(mark)]
    boxes = [_box(mark) for mark in marks]
    found = set(whitening)
    for place in whitening:
        found.update(before for before in range(place) if _meet(boxes[before], boxes[place]))
    return found


def _box(mark: Mark) -> raster.Box:
    """A box that holds the mark's dots, with the room that letters may take beyond their line."""
    if isinstance(mark, LineMark):
        half = mark.thickness
        left, right = sorted((mark.x1, mark.x2))
        top, bottom = sorted((mark.y1, mark.y2))
        return left - half, top - half, right - left + 2 * half, bottom - top + 2 * half
    if isinstance(mark, GroupMark):
        return -32000, -32000, 64000, 64000
    room = mark.size if isinstance(mark, TextMark) else 0
    return mark.x - room, mark.y - room, mark.width + 2 * room, mark.height + 2 * room


def _meet(one: raster.Box, other: raster.Box) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


@cache
def _half_em_excess(weight: int) -> bytes:
    """By ASCII code, how much narrower than half an em the layout's character is, in shares of ``_EXCESS_PER_EM``."""
    face = fonts.face_for("A", weight)
    assert face is not None
    return bytes(
        max(0, math.ceil(_EXCESS_PER_EM * (0.5 - face.advance(chr(code), 1)))) if 32 <= code < 127 else 0
        for code in range(256)
    )


def _field(data: str) -> str:
    """Field data that prints exactly as given: with ``^FH`` before it where a character must be said in hexadecimal.

    The only way for data into the stream.
    """
    if _UNSAFE.search(data):
        escaped = _UNSAFE_OR_SIGN.sub(
            lambda found: "".join(f"_{byte:02X}" for byte in found[0].encode("utf-8", "replace")), data
        )
        return f"^FH_^FD{escaped}^FS"
    return f"^FD{data}^FS"


def _cut_left(rows: bytes, stride: int, width: int, dots: int) -> tuple[bytes, int]:
    """The picture without its first columns: (rows, bytes a row)."""
    left = width - dots
    if left <= 0:
        return b"", 0
    new_stride = (left + 7) // 8
    cut = []
    for at in range(0, len(rows), stride):
        value = int.from_bytes(rows[at : at + stride], "big") >> (stride * 8 - width)
        value = (value & ((1 << left) - 1)) << (new_stride * 8 - left)
        cut.append(value.to_bytes(new_stride, "big"))
    return b"".join(cut), new_stride


# ── what a cut label leaves behind ──


def finish(length: int) -> bytes:
    """What follows a label that may have been cut anywhere, so that the next bytes are understood: a new format, with nothing on it.

    The half of the other one is dropped. Without it a query would be taken for its text.
    """
    return b"^XA^XZ"


# ── the printer's answers ──

#: Asks for the host status: three frames in answer. Never to be sent inside a format.
STATUS_QUERY = b"~HS\r\n"
#: Asks what is wrong; answered where ``~HS`` may be silent, by printers that know it.
ERRORS_QUERY = b"~HQES\r\n"
#: Asks for the number of labels printed since the printer was made.
COUNTER_QUERY = b'! U1 getvar "odometer.total_label_count"\r\n'

#: An answer longer than this without being whole is no answer.
_MAX_REPLY = 4096
_MAX_FRAME = 64
_STX, _ETX = 0x02, 0x03
_FIELDS = (12, 11, 2)


@dataclass(frozen=True)
class HostStatus:
    """What a printer says of itself (``~HS``). 打印机状态

    ``formats_waiting`` counts formats received and not begun, ``labels_left`` those left in the batch being printed,
    ``print_mode`` is the digit of the guide (0 rewind, 1 peel, 2 tear off, 3 cutter, ...).
    """

    paper_out: bool
    paused: bool
    label_length_dots: int
    formats_waiting: int
    buffer_full: bool
    diagnostic_mode: bool
    partial_format: bool
    memory_lost: bool
    under_temperature: bool
    over_temperature: bool
    head_open: bool
    ribbon_out: bool
    print_mode: int
    label_waiting: bool
    labels_left: int

    @property
    def condition(self) -> Condition:
        """The same in the words of every language. *Paused* is also what an open head or missing paper leaves behind."""
        return Condition(
            blocked=first_true(
                {
                    "head_open": self.head_open,
                    "paper_out": self.paper_out,
                    "ribbon_out": self.ribbon_out,
                    "over_temperature": self.over_temperature,
                    "under_temperature": self.under_temperature,
                    "diagnostic_mode": self.diagnostic_mode,
                    "paused": self.paused,
                }
            ),
            quiet=not (self.formats_waiting or self.labels_left),
            partial=self.partial_format,
            warnings=all_true({"buffer_full": self.buffer_full, "label_waiting": self.label_waiting}),
        )


def read_status(reply: bytes) -> HostStatus | None:
    """The newest whole answer to ``STATUS_QUERY`` in what was received so far; None if none is whole yet.

    The bytes come from the network and are believed nothing: Invalid (code ``reply.garbage``) as soon as they can't be, or
    become, such an answer. Source: Zebra ``~HS``.
    """
    newest: HostStatus | None = None
    frames: list[list[str]] = []
    at = 0
    while at < len(reply):
        byte = reply[at]
        if byte in b"\r\n":
            at += 1
            continue
        if byte != _STX:
            raise _garbage("a byte outside the frames")
        end = reply.find(_ETX, at, at + _MAX_FRAME)
        if end < 0:
            if len(reply) - at >= _MAX_FRAME:
                raise _garbage("a frame without an end")
            if not set(reply[at + 1 :]) <= set(b"0123456789,"):
                raise _garbage("a character that no frame has")
            break
        frames.append(_fields(reply[at + 1 : end], _FIELDS[len(frames)]))
        at = end + 1
        if len(frames) == 3:
            newest = _host_status(frames)
            frames = []
    if newest is None and len(reply) > _MAX_REPLY:
        raise _garbage("no end")
    return newest


#: Flags of ``~HQES``, what a person must mend first coming first.
_ERRORS = {
    0x00000004: "head_open",
    0x00000001: "paper_out",
    0x00000002: "ribbon_out",
    0x00000008: "cutter",
    0x00001000: "jam",
    0x00002000: "fault",  # presenter
    0x00004000: "fault",  # feed
    0x00008000: "jam",  # the paper's way isn't clear
    0x00020000: "fault",  # retraction
    0x00040000: "fault",  # the black mark can't be calibrated
    0x00080000: "fault",  # the black mark isn't found
    0x00010000: "paused",
}
_WARNINGS = {
    0x00000001: "calibrate",
    0x00000002: "clean_head",
    0x00000004: "replace_head",
    0x00000008: "paper_low",
}
_ERROR_FRAME = re.compile(
    rb"\x02\s*PRINTER STATUS\s+"
    rb"ERRORS:\s*([01])\s+[0-9A-F]{8}\s+([0-9A-F]{8})\s+"
    rb"WARNINGS:\s*([01])\s+[0-9A-F]{8}\s+([0-9A-F]{8})\s*\x03"
)
_MAX_ERROR_FRAME = 256


def read_errors(reply: bytes) -> Condition | None:
    """The first whole answer to ``ERRORS_QUERY`` in what was received so far; None if it isn't whole yet.

    It says nothing of what is left to print. An error without a word is *fault*. Invalid (``reply.garbage``) as soon as it
    can't be such an answer. Source: Zebra ``~HQ``; the flags as LPrint's ``lprint-zpl.c`` has them.
    """
    reply = reply.lstrip(b"\r\n")
    if not reply:
        return None
    if reply[0] != _STX:
        raise _garbage("a byte outside the frames")
    end = reply.find(_ETX, 0, _MAX_ERROR_FRAME)
    if end < 0:
        if len(reply) >= _MAX_ERROR_FRAME:
            raise _garbage("a frame without an end")
        return None
    found = _ERROR_FRAME.fullmatch(reply[: end + 1])
    if found is None:
        raise _garbage("a frame with other fields")
    errors, warnings = int(found[2], 16), int(found[4], 16)
    word = next((word for flag, word in _ERRORS.items() if errors & flag), "")
    return Condition(
        blocked=word or ("fault" if errors or found[1] == b"1" else ""),
        warnings=tuple(word for flag, word in _WARNINGS.items() if warnings & flag),
    )


def read_counter(reply: bytes) -> int | None:
    """The newest whole answer to ``COUNTER_QUERY`` in what was received so far; None if none is whole yet.

    Invalid (code ``reply.garbage``) if it can't be one, ``reply.unknown`` if the printer has no such counter (``"?"``).
    """
    newest: int | None = None
    at = 0
    while at < len(reply):
        if reply[at] in b"\r\n\0 ":
            at += 1
            continue
        if reply[at] != ord('"'):
            raise _garbage("a byte outside the quotes")
        end = reply.find(b'"', at + 1, at + _MAX_FRAME)
        inside = reply[at + 1 : end if end >= 0 else len(reply)]
        if inside == b"?":
            if end < 0:
                break
            raise Invalid("The printer has no such counter", code="reply.unknown")
        # The longest counter is far below 2**63.
        if not set(inside) <= set(b"0123456789") or len(inside) > 18 or (end >= 0 and not inside):
            raise _garbage("no number between the quotes")
        if end < 0:
            break
        newest = int(inside)
        at = end + 1
    if newest is None and len(reply) > _MAX_REPLY:
        raise _garbage("no end")
    return newest


def _fields(frame: bytes, count: int) -> list[str]:
    if not set(frame) <= set(b"0123456789,"):
        raise _garbage("a character that no frame has")
    fields = frame.decode("ascii").split(",")
    if len(fields) != count or not all(fields):
        raise _garbage("a frame with other fields")
    return fields


def _host_status(frames: list[list[str]]) -> HostStatus:
    first, second, _ = ([int(field) for field in frame] for frame in frames)
    return HostStatus(
        paper_out=bool(first[1]),
        paused=bool(first[2]),
        label_length_dots=first[3],
        formats_waiting=first[4],
        buffer_full=bool(first[5]),
        diagnostic_mode=bool(first[6]),
        partial_format=bool(first[7]),
        memory_lost=bool(first[9]),
        under_temperature=bool(first[10]),
        over_temperature=bool(first[11]),
        head_open=bool(second[2]),
        ribbon_out=bool(second[3]),
        print_mode=second[5],
        label_waiting=bool(second[7]),
        labels_left=second[8],
    )


def _garbage(what: str) -> Invalid:
    return Invalid(f"The printer's answer has {what}", code="reply.garbage")
