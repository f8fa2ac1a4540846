"""Any data through every shipped template: a sound page or a plain refusal, and never a command in any language."""

from __future__ import annotations

import copy
import io
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.matrix import (
    cells,
    data_for,
    dot_faults,
    draw_stream,
    native_text_faults,
)
from support.readers import pdf_size
from support.recipients import recipients
from support.sound import assert_sound, flat, symbols

from labelsvc.errors import Invalid
from labelsvc.labels import Page, StandardTemplates, TextMark, compose_all
from labelsvc.languages import encode

NAMES = tuple(StandardTemplates().names())
#: Examples of all templates together: in ./dev test, and in ./dev sweep.
FEW, MANY = 500, 20_000

#: What printers obey, in every language that labelsvc speaks.
COMMANDS = (
    "^XZ", "^XA^JUF", "~JR", "^FS^FO0,0^GB800,800,800^FS", "_5E", "\\[\"]", "\\[R]", '"\r\nSELFTEST\r\n"', "\r\nPRINT\r\n", "! U1 do",
    "ENDQR\r\n", "\x1b@", "\x1b!R", "\x10\x14\x01\x00\x01", "\x1bp\x00\x19\xfa", "\x1dV\x00", "\x1c.", "{A", "!105", ">:", "~d034", "\x00",
    ") Tj ET", "endstream", "<%= 1 %>", "]]>", "&#0;", "\u202e", "\ufeff", "\x7f", "\x85", "\u2028",
)  # fmt: skip
TEXT = st.one_of(
    st.text(
        st.one_of(
            st.sampled_from('浙江省杭州㛃𠮷𬞞，（）·-ABCdefgjy 0123456789^~<&\n"\\{}!_>བསོئەخ🎂'),
            st.characters(),
        ),
        max_size=60,
    ),
    st.lists(st.one_of(st.sampled_from(COMMANDS), st.text(max_size=5)), max_size=4).map("".join),
    st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")),
)
NUMBER = st.one_of(
    st.from_regex(r"\A[0-9]{13,15}\Z"),
    st.from_regex(r"\A(YT|SF|JT|DPK)[0-9]{13}\Z"),
    st.from_regex(r"\AJDVA[0-9]{11}\Z"),
)
#: Paths that hold a barcode's data in one template or another.
NUMBERS = {"waybillCode", "orderNumbers", "batch", "number"}
#: The operator's picture, no one's data.
NOT_TEXT = {"carrierLogo"}
#: A label may be refused for these only: data that no barcode holds, or more than there is room for.
REFUSALS = {"label.does_not_fit", "barcode.does_not_fit", "barcode.empty", "barcode.data"}
#: What our ZPL is made of: all that stands between ^ and its parameters.
ZPL = re.compile(
    rb"\^(XA|XZ|CI|LH|LR|PW|LL|PQ|MD|PR|MM|FO|FT|FH|FD|FS|FR|FB|FW|GF|GB|GC|GE|GD|BY|BC|BQ|BX|B7|A[A-Z0-9@]|MC|PO|LS|LT|DF|XF|FN)"
)


def leaves(data: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to every text and number of the data."""
    if isinstance(data, dict):
        for key, inner in data.items():
            yield from leaves(inner, (*way, key))
    elif isinstance(data, list):
        for at, inner in enumerate(data):
            yield from leaves(inner, (*way, at))
    elif way[-1] not in NOT_TEXT:
        yield way


def changed(data: dict[str, Any], changes: dict[tuple[Any, ...], str]) -> dict[str, Any]:
    made = copy.deepcopy(data)
    for way, value in changes.items():
        inner = made
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = value
    return made


def plain(text: str) -> str:
    """For comparing what was printed with what a line says: blanks and forms of width apart."""
    return "".join(char for char in unicodedata.normalize("NFKC", text) if not char.isspace())


def zpl_faults(stream: bytes, page: Page) -> list[str]:
    """Commands that our ZPL doesn't use, and fields whose text no line and no barcode of the page says."""
    found = []
    if b"~" in stream or stream.count(b"^XA") != 1 or stream.count(b"^XZ") != 1:
        found.append("a command of its own, or a second label")
    begun = len(ZPL.findall(stream))
    if begun != stream.count(b"^"):
        found.append(f"{stream.count(b'^') - begun} unknown commands")
    said = [plain(mark.text) for mark in flat(page.marks) if isinstance(mark, TextMark)]
    for head, escape, raw in re.findall(
        rb"(\^(?:F[OT])[^\^]*(?:\^(?!FD|FH)[^\^]*)*)(\^FH[^\^]*)?\^FD([^\^]*)", stream
    ):
        mark = escape[3:4] or b"_"
        if escape:
            raw = re.sub(
                re.escape(mark) + rb"([0-9A-Fa-f]{2})", lambda hit: bytes.fromhex(hit[1].decode()), raw
            )
        text = plain(raw.decode("utf-8"))
        if re.search(rb"\^B[CQX7]", head):
            if not any(
                plain(symbol.data) in re.sub(r">[0-9:;<=]|^[LMQHA-Z0-9]*A,", "", text)
                for symbol in symbols(page)
            ):
                found.append(f"a barcode of {text!r}")
        elif not any(text in line for line in said):
            found.append(f"a field {text!r}")
    return found


def check(name: str, changes: dict[tuple[Any, ...], str], number: str, at: int) -> None:
    """One example: the data changed, composed, and said in one of the template's cells."""
    chosen = [cell for cell in cells() if cell.template == name]
    cell = chosen[at % len(chosen)]
    base = data_for(name, recipients()[at % 300], at % 300)
    if "waybillCode" in base:
        changes = {("waybillCode",): number, **changes}
    try:
        pages = compose_all(StandardTemplates().get(name), changed(base, changes), cell.dpi)
    except Invalid as refused:
        assert refused.code in REFUSALS, refused.code
        return
    for page in pages:
        assert_sound(page, 2 if name.startswith("waybill-") else 0)
        stream = encode(page, cell.target, "WAYBILL")
        drawn = draw_stream(stream, page, cell)[0]
        if cell.language == "zpl":
            assert zpl_faults(stream, page) == []
        elif cell.language == "pdf":
            points = [side * 72 / 25.4 for side in (page.width_mm, page.height_mm)]
            assert pdf_size(stream) == pytest.approx(points, abs=0.02)
        elif cell.language == "png":
            assert Image.open(io.BytesIO(stream)).size == (page.width, page.height)
        else:
            assert drawn.paper is not None
            assert native_text_faults(page, drawn.paper) == []
            assert cell.letters == "font" or dot_faults(page, drawn) == []
            assert {each.text for each in drawn.paper.symbols()} <= {symbol.data for symbol in symbols(page)}


def examples(total: int):
    """The test of one template, with its share of all examples."""

    def run(name: str) -> None:
        ways = sorted(leaves(data_for(name, recipients()[0], 0)), key=str)
        changes = st.dictionaries(
            st.sampled_from([way for way in ways if way[-1] not in NUMBERS]), TEXT, max_size=8
        )
        numbers = [way for way in ways if way[-1] in NUMBERS]
        spoilt = st.one_of(st.just({}), st.dictionaries(st.sampled_from(numbers), TEXT, max_size=1))

        @settings(
            max_examples=-(-total // len(NAMES)),
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(changes, spoilt, NUMBER, st.integers(0, 10_000))
        def any_data(
            given_changes: dict[Any, str], given_spoilt: dict[Any, str], number: str, at: int
        ) -> None:
            check(name, {**given_changes, **given_spoilt}, number, at)

        any_data()

    return run


@pytest.mark.parametrize("name", NAMES)
def test_any_data_gives_sound_labels_and_no_command(name: str):
    """No mark leaves the page, no texts overlap, no barcode is under its minimum, no command escapes: 500 examples in all."""
    examples(FEW)(name)


@pytest.mark.sweep
@pytest.mark.parametrize("name", NAMES)
def test_any_data_gives_sound_labels_and_no_command_at_length(name: str):
    """The long form: 20,000 examples in all."""
    examples(MANY)(name)


def test_the_checks_find_an_escaped_command():
    """Negative control: a field's text that became a ZPL command, and one that no line says, are found."""
    cell = next(cell for cell in cells() if (cell.language, cell.letters) == ("zpl", "dots"))
    (page,) = compose_all(
        StandardTemplates().get(cell.template), data_for(cell.template, recipients()[0], 0)
    )[:1]
    stream = encode(page, cell.target)
    assert zpl_faults(stream, page) == []
    assert zpl_faults(stream.replace(b"^XZ", b"~JR^XZ"), page)
    assert zpl_faults(stream.replace(b"^XZ", b"^JUF^XZ"), page)
    assert zpl_faults(stream.replace(b"^XZ", b"^FO1,1^A0N,20,20^FDnobody^FS^XZ"), page)


@pytest.mark.parametrize(
    ("name", "way", "value"),
    [
        ("delivery-note-100x150", ("count",), "000000000000000000000AAAGGGGM"),
        ("delivery-note-100x150", ("storeName",), "云" * 60),
    ],
)
def test_what_any_data_has_found(name: str, way: tuple[str, ...], value: str):
    """Once found, always tried: a heading that ran into the barcode's quiet zone."""
    pages = compose_all(
        StandardTemplates().get(name), changed(data_for(name, recipients()[0], 0), {way: value})
    )
    for page in pages:
        assert_sound(page, 0)
