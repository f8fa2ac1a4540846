r"""ZPL II: a Page as the commands of a Zebra (or a printer that speaks like one), and the printer's answers read.

Hides which marks the printer says by itself (Code 128, QR, lines, ASCII text) and which go as dots (Chinese, slanted,
turned, inverse); the metrics of the printer's own font; run-length compression; and escaping: data reaches the stream
through ``_field`` alone, so that no text can become a command.

Choices that are not obvious:

- Code 128 in *automatic* mode with the plain data: ``labels.symbols`` plans as that mode does, so the modules are the layout's,
  and no reader can misunderstand a subset switch. A symbol planned otherwise goes as dots, which are exact everywhere.
- QR: printers shift ``^BQ`` down by the height last set with ``^BY``, hence the ``^BY`` of one dot before it.
- Text by ``^FT``, whose origin is the baseline: ``^FO`` would make the place depend on the printer's ascent.
- No ``^PQ``: one copy is the default and every copy is a label of its own.

Source: Zebra Programming Guide (ZPL II, SGD), the pages of the commands named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labelsvc.errors import Invalid
from labelsvc.labels import BarMark, LineMark, Mark, MatrixMark, Page, RectMark, TextMark, symbols
from labelsvc.languages import raster
from labelsvc.languages.target import Target

name = "zpl"
media_type = "application/vnd.zebra.zpl"

#: Font 0 at this height has capitals of 0.75 of it; the layout's faces have capitals of 0.733 em.
_FONT0_PER_EM = 0.733 / 0.75
#: Text from this size and weight on goes as dots: what a sorter reads from two metres must look as designed, and font 0,
#: a bold condensed face, stretched to such a size doesn't.
_DISPLAY_SIZE_MM, _DISPLAY_WEIGHT = 5.0, 700
#: The smallest font 0 that printers scale.
_FONT0_MIN = 10

#: Advance widths of font 0 from space to tilde, in 1/1000 of its width parameter: the widest of three renderings measured.
_FONT0_ADVANCE = (
    281, 333, 469, 500, 500, 906, 667, 281, 333, 333, 500, 906, 333, 906, 333, 281,
    500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 281, 281, 1000, 906, 1000, 500,
    906, 562, 562, 556, 611, 500, 500, 611, 625, 281, 444, 562, 500, 778, 625, 611,
    562, 611, 611, 556, 500, 625, 556, 833, 562, 562, 500, 333, 469, 333, 500, 500,
    333, 500, 500, 444, 500, 500, 281, 500, 500, 278, 278, 444, 278, 778, 500, 500,
    500, 500, 344, 444, 281, 500, 444, 667, 444, 444, 389, 500, 500, 500, 1000,
)  # fmt: skip

#: Characters that font 0 draws as wide as an em: a telephone number with hyphens would come out squeezed.
_FONT0_ODD = frozenset("+-<=>~")

_TURN = {0: "N", 90: "R", 180: "I", 270: "B"}
#: Characters that may stand in field data as they are.
_PLAIN = frozenset(chr(code) for code in range(0x20, 0x7F)) - frozenset("^~_\\")


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """One label format, ``^XA`` to ``^XZ``; Invalid if the page was composed for another resolution."""
    if page.dpi != target.dpi:
        raise Invalid(
            f"The page was composed for {page.dpi} dpi, the printer has {target.dpi}",
            code="page.dpi",
            field="dpi",
        )
    return _Format(page, target).bytes()


class _Format:
    """One label being written."""

    def __init__(self, page: Page, target: Target) -> None:
        self.page = page
        self.target = target
        self.lines: list[str] = []

    def bytes(self) -> bytes:
        if self.target.darkness is not None:
            self.lines.append(f"~SD{min(30, max(0, self.target.darkness)):02d}")
        speed = "" if self.target.speed is None else f"^PR{self.target.speed}"
        # What an earlier user of the printer may have left on is set back: origin, reversal, character set.
        self.lines.append(f"^XA^CI28^LH0,0^LRN{speed}^PW{self.page.width}^LL{self.page.height}")
        marks = self.page.marks
        for place, mark in enumerate(marks):
            if isinstance(mark, TextMark) and mark.inverse:
                continue  # drawn with the black box that it stands on
            if isinstance(mark, RectMark) and mark.fill:
                on_it = tuple(later for later in marks[place + 1 :] if _stands_on(later, mark))
                if on_it:
                    # A printer only adds dots: the box and the white text on it must come as one picture.
                    self.graphic((mark, *on_it), (mark.x, mark.y, mark.width, mark.height))
                    continue
            self.mark(mark)
        self.lines.append("^XZ")
        return ("\n".join(self.lines) + "\n").encode("ascii")

    def mark(self, mark: Mark) -> None:
        said = False
        match mark:
            case TextMark():
                said = self.text(mark)
            case BarMark():
                said = self.bars(mark)
            case MatrixMark():
                said = self.matrix(mark)
            case LineMark():
                said = self.line(mark)
            case RectMark():
                said = self.rect(mark)
        if not said:
            self.graphic((mark,))

    def at(self, command: str, x: int, y: int) -> str | None:
        """``^FO`` or ``^FT`` at a place of the page; None if the printer can't be told it (left of or above the paper)."""
        x, y = x + self.target.offset_x, y + self.target.offset_y
        return f"^{command}{x},{y}" if 0 <= x <= 32000 and 0 <= y <= 32000 else None

    # ── what the printer says by itself ──

    def text(self, mark: TextMark) -> bool:
        bare = mark.text.strip(" ")
        display = mark.weight >= _DISPLAY_WEIGHT and mark.size >= _DISPLAY_SIZE_MM * self.page.dpi / 25.4
        plain = bare.isascii() and bare.isprintable() and not mark.missing and _FONT0_ODD.isdisjoint(bare)
        if display or not plain or mark.rotation or mark.underline or mark.letter_spacing:
            return False
        if not bare:
            return True
        first = bare[0]
        parts = list(raster.stretches(mark))
        if len(parts) != 1 or parts[0].face is None:
            return False
        part, face = parts[0], parts[0].face
        lead = face.width(part.text[: part.text.index(first)], mark.size)
        wanted = face.width(bare, mark.size)
        per_width = sum(_FONT0_ADVANCE[ord(char) - 32] for char in bare) / 1000
        height = round(mark.size * _FONT0_PER_EM)
        width = int(wanted / per_width)
        if min(height, width) < _FONT0_MIN:
            return False
        # The width parameter is whole dots: what is left over is shared between both ends.
        x = part.x + lead + (wanted - width * per_width) / 2
        origin = self.at("FT", round(mark.x + x), mark.y + mark.baseline)
        if origin is None:
            return False
        self.lines.append(f"{origin}^A0N,{height},{width}{_field(bare)}")
        return True

    def bars(self, mark: BarMark) -> bool:
        origin = self.at("FO", mark.x, mark.y)
        data = mark.data
        # ">" introduces the subset codes of ^BC, in automatic mode too.
        plain = data.isascii() and data.isprintable() and ">" not in data and len(data) <= 80
        if origin is None or not plain or mark.module > 10 or symbols.code128(data).plan != mark.plan:
            return False
        height = mark.width if mark.rotation in {90, 270} else mark.height
        self.lines.append(
            f"{origin}^BY{mark.module},3.0,{height}^BC{_TURN[mark.rotation]},{height},N,N,N,A{_field(data)}"
        )
        return True

    def matrix(self, mark: MatrixMark) -> bool:
        origin = self.at("FO", mark.x, mark.y)
        plain = mark.data.isascii() and mark.data.isprintable()
        if origin is None or not plain or mark.rotation or mark.module > 10:
            return False
        # The printer's packing is never worse than the layout's one mode for the whole text, so its symbol fits the box.
        self.lines.append(f"{origin}^BY2,3.0,1^BQN,2,{mark.module}{_field(f'{mark.level}A,{mark.data}')}")
        return True

    def line(self, mark: LineMark) -> bool:
        boxes = raster.line_boxes(mark)
        return boxes is not None and self.boxes([(*box, min(box[2], box[3])) for box in boxes])

    def rect(self, mark: RectMark) -> bool:
        if mark.radius:
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
        self.lines += said
        return True

    # ── what goes as dots ──

    def graphic(self, marks: tuple[Mark, ...], within: raster.Box | None = None) -> None:
        """Marks as one picture, cropped to its black dots and to the paper."""
        patch = raster.draw_marks(marks, self.page, within)
        if patch is None:
            return
        x, y = patch.x + self.target.offset_x, patch.y + self.target.offset_y
        rows, stride = patch.bits, (patch.width + 7) // 8
        if y < 0:
            rows = rows[-y * stride :]
            y = 0
        if x < 0:
            rows, stride = _cut_left(rows, stride, patch.width, -x)
            x = 0
        if rows and stride:
            self.lines.append(
                f"^FO{x},{y}^GFA,{len(rows)},{len(rows)},{stride},{_compressed(rows, stride)}^FS"
            )


def _stands_on(mark: Mark, box: RectMark) -> bool:
    """True for white text that reaches into a black box."""
    return (
        isinstance(mark, TextMark)
        and mark.inverse
        and mark.x < box.x + box.width
        and box.x < mark.x + mark.width
        and mark.y < box.y + box.height
        and box.y < mark.y + mark.height
    )


def _field(data: str) -> str:
    """Field data that prints exactly as given: ``^FH`` with every character that isn't plain as hex.

    The only way for data into the stream.
    """
    escaped = "".join(
        char if char in _PLAIN else "".join(f"_{byte:02X}" for byte in char.encode()) for char in data
    )
    return f"^FH_^FD{escaped}^FS"


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


#: Three or more of one digit: shorter runs stand as they are, so that finding them would only cost time.
_RUN = re.compile(r"(.)\1\1+")
_ONES = " GHIJKLMNOPQRSTUVWXY"
_TWENTIES = " ghijklmnopqrstuvwxyz"


def _compressed(rows: bytes, stride: int) -> str:
    """Rows in ZPL's alternative data compression: counted hex digits, ``,`` for zeros to the end, ``:`` for the row before.

    (``!``, ones to the end, is left out: zpl-renderer-js takes it for the digit 1.) Clones that lack Z64 read this.
    """
    said = []
    before = b""
    for at in range(0, len(rows), stride):
        row = rows[at : at + stride]
        if row == before:
            said.append(":")
            continue
        before = row
        digits = row.hex().upper()
        bare = digits.rstrip("0")
        said.append(_RUN.sub(_counted, bare))
        if len(bare) < len(digits):
            said.append(",")
    return "".join(said)


def _counted(run: re.Match[str]) -> str:
    """A run of one hex digit: a count (g to z twenties, G to Y ones) and the digit."""
    count = len(run[0])
    code = "z" * (count // 400)
    count %= 400
    return code + _TWENTIES[count // 20].strip() + _ONES[count % 20].strip() + run[1]


# ── the printer's answers ──

#: Asks for the host status: three frames in answer. Never to be sent inside a format.
STATUS_QUERY = b"~HS\r\n"
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
    def blocked(self) -> str | None:
        """Why the printer can't print now, in one word; None if nothing stands in the way.

        What a person must mend first comes first: *paused* is also what an open head or missing paper leaves behind.
        """
        reasons = {
            "head_open": self.head_open,
            "paper_out": self.paper_out,
            "ribbon_out": self.ribbon_out,
            "over_temperature": self.over_temperature,
            "under_temperature": self.under_temperature,
            "diagnostic_mode": self.diagnostic_mode,
            "paused": self.paused,
        }
        return next((reason for reason, true in reasons.items() if true), None)

    @property
    def idle(self) -> bool:
        """True if nothing is left to print: no format waits, none is half received, no label is left of a batch."""
        return not (self.formats_waiting or self.labels_left or self.partial_format)


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
