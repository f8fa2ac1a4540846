"""Barcodes as modules, checked against encoders and decoders that aren't ours: bwip-js, python-barcode, segno, zxing-cpp."""

import itertools
import random
import re
import string

import barcode
import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import bwip

from labelsvc.errors import Invalid
from labelsvc.labels import symbols

ASCII = "".join(map(chr, range(32, 127)))
CODE39 = string.digits + string.ascii_uppercase + "-. $/+%"
LETTERS = string.digits + string.ascii_uppercase


def _rows(symbol):
    """A symbol's rows, each as often as it is modules high; bars as one row."""
    if isinstance(symbol, symbols.Bars):
        assert symbol.modules == sum(symbol.widths) and len(symbol.widths) % 2
        return ("".join("10"[at % 2] * width for at, width in enumerate(symbol.widths)),)
    if isinstance(symbol, symbols.Matrix):
        assert (len(symbol.rows), len(symbol.rows[0])) == (symbol.lines, symbol.columns)
    return tuple(symbol.rows)


def _picture(rows, quiet, scale=3):
    wide = len(rows[0]) + 2 * quiet
    blank = ["0" * wide] * quiet
    padded = blank + ["0" * quiet + row + "0" * quiet for row in rows] + blank
    image = Image.new("L", (wide, len(padded)))
    image.putdata([0 if cell == "1" else 255 for row in padded for cell in row])
    return image.resize((wide * scale, len(padded) * scale), Image.Resampling.NEAREST)


def _drawn(symbol):
    """A symbol as black on white, with its quiet zone."""
    kind = symbols.KINDS[symbol.kind]
    if isinstance(symbol, symbols.Picture):
        width, height, bits = symbol.bits(8)
        paper = Image.new("L", (width + 16, height + 16), 255)
        paper.paste(Image.frombytes("1", (width, height), bytes(byte ^ 255 for byte in bits)), (8, 8))
        return paper
    rows = _rows(symbol)
    if isinstance(symbol, symbols.Bars):
        rows *= 20
    else:
        shares = symbol.row_shares or (1,) * symbol.lines
        assert sum(shares) == symbol.height
        rows = [row for row, share in zip(rows, shares, strict=True) for _ in range(share)]
    return _picture(rows, max(kind.quiet_left, kind.quiet_right))


def _read(symbol):
    return zxingcpp.read_barcodes(_drawn(symbol))


def _digits(random_, low, high=None):
    return "".join(random_.choices(string.digits, k=random_.randint(low, high or low)))


def _some(random_, letters, low, high):
    return "".join(random_.choices(letters, k=random_.randint(low, high)))


def _gtin(random_):
    return symbols.encode("itf14", _digits(random_, 13)).readable


# ── Code 128 ──


@pytest.mark.parametrize("data", ["75312345678901", "7812345678", "abcdef", "A", "Zto-x", "^XZ~JR", "12345A"])
def test_code128_is_module_for_module_what_python_barcode_makes(data):
    """Where both take the same code sets, our bars are python-barcode's."""
    assert _rows(symbols.code128(data))[0] == barcode.get("code128", data).build()[0]


@pytest.mark.parametrize(
    ("data", "plan", "modules"),
    [
        ("75312345678901", (("C", "75312345678901"),), 112),
        ("781234567890123", (("C", "78123456789012"), ("B", "3")), 134),
        ("YT0012345678901", (("B", "YT"), ("C", "001234567890"), ("B", "1")), 156),
        ("EA123456785CN", (("B", "EA"), ("C", "12345678"), ("B", "5CN")), 156),
        ("12345A", (("C", "1234"), ("B", "5A")), 90),
        ("1A2345B678901", (("B", "1A"), ("C", "2345"), ("B", "B"), ("C", "678901")), 156),
        ("SF123", (("B", "SF123"),), 90),
        ("12", (("B", "12"),), 57),
        ("A\tb", (("A", "A\t"), ("B", "b")), 79),
        ("a\tb", (("B", "a"), ("A", "\t"), ("B", "b")), 90),
        ("\t1234a", (("A", "\t"), ("C", "1234"), ("B", "a")), 101),
        ("a\x7f", (("B", "a\x7f"),), 57),
    ],
)
def test_code128_takes_the_code_sets_of_printers_automatic_mode(data, plan, modules):
    """Four digits or more go to set C at once, an odd last one back to B; control characters to A."""
    symbol = symbols.code128(data)
    assert symbol.plan == plan
    assert symbol.modules == modules == sum(symbol.widths)


def test_code128_in_one_set_only():
    """code128b stays in B for digits; code128a has no small letters and says so without quoting the data; C has pairs."""
    assert symbols.encode("code128b", "123456").plan == (("B", "123456"),)
    assert symbols.encode("code128a", "AB\t1234").plan == (("A", "AB\t1234"),)
    assert symbols.encode("code128c", "123456").plan == (("C", "123456"),)
    for kind, data in (("code128a", "abc"), ("code128b", "a\tbc"), ("code128c", "12345"), ("code128c", "ab")):
        with pytest.raises(Invalid, match="Code 128 set") as caught:
            symbols.encode(kind, data)
        assert caught.value.code == "barcode.data"
        assert data not in caught.value.detail


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(min_codepoint=0, max_codepoint=127), min_size=1, max_size=24))
def test_every_code128_is_read_back(data):
    """A reader that isn't ours gives back exactly the characters, and the plan holds them all in order."""
    symbol = symbols.code128(data)
    assert "".join(stretch for _, stretch in symbol.plan) == data
    assert all(a[0] != b[0] for a, b in itertools.pairwise(symbol.plan))
    assert [(found.format, found.bytes) for found in _read(symbol)] == [
        (zxingcpp.BarcodeFormat.Code128, data.encode())
    ]


@pytest.mark.parametrize("data", ["", "张三", "é", "\ud800", "1" * 257])
def test_code128_refuses_what_it_cannot_hold(data):
    """Empty, non-ASCII and endless data are Invalid."""
    with pytest.raises(Invalid, match="Code 128"):
        symbols.code128(data)


# ── every type against a second encoder ──


def _compact_or_full(symbol, data):
    """Both forms that an Aztec code of this size may have."""
    side = symbol.columns
    forms = [{"format": "compact", "layers": (side - 11) // 4}] if side <= 27 else []
    return forms + [{"format": "full", "layers": layers} for layers in range(1, 3)]


#: Type -> (name in bwip-js, data from a random source, options of either encoder from the symbol that we made).
#: Where an encoder may choose how to pack, the data are such that the choice is no choice.
_SECOND = {
    "ean128": (
        "gs1-128",
        lambda r: f"(01){_gtin(r)}(17)261231(10){_some(r, string.ascii_uppercase, 1, 12)}",
        lambda s, d: [{}],
    ),
    "gs128Linear": ("gs1-128", lambda r: f"(01){_gtin(r)}(17)261231", lambda s, d: [{}]),
    "code39": ("code39", lambda r: _some(r, CODE39, 1, 24), lambda s, d: [{}]),
    "code93": ("code93ext", lambda r: _some(r, ASCII, 1, 20), lambda s, d: [{"includecheck": True}]),
    # Ten characters exactly are one check digit by some sources and two by others.
    "code11": (
        "code11",
        lambda r: _some(r, "0123456789-", *r.choice(((1, 9), (11, 24)))),
        lambda s, d: [{"includecheck": True}],
    ),
    "codabar": (
        "rationalizedCodabar",
        lambda r: r.choice("ABCD") + _some(r, "0123456789-$:/.+", 1, 20) + r.choice("ABCD"),
        lambda s, d: [{}],
    ),
    "c25inter": ("interleaved2of5", lambda r: _digits(r, 1, 20), lambda s, d: [{}]),
    "itf14": ("itf14", lambda r: _digits(r, 13), lambda s, d: [{}]),
    "ean13": ("ean13", lambda r: _digits(r, 12), lambda s, d: [{}]),
    "ean8": ("ean8", lambda r: _digits(r, 7), lambda s, d: [{}]),
    "upca": ("upca", lambda r: _digits(r, 11), lambda s, d: [{}]),
    "upce": (
        "upce",
        lambda r: r.choice("01") + _digits(r, 4) + r.choice(("00", "31", "94", "85", "19")),
        lambda s, d: [{}],
    ),
    "qrcode": (
        "qrcode",
        lambda r: _some(r, r.choice((string.digits, CODE39, string.ascii_lowercase, ASCII)), 1, 70),
        lambda s, d: [
            {
                "eclevel": s.level,
                "fixedeclevel": True,
                "version": str((s.columns - 17) // 4),
                "mask": _read(s)[0].extra["DataMask"] + 1,
            }
        ],
    ),
    "datamatrix": ("datamatrix", lambda r: _digits(r, 1, 60), lambda s, d: [{}]),
    "gs1Datamatrix": ("gs1datamatrix", lambda r: f"(01){_gtin(r)}(10){_digits(r, 2)}", lambda s, d: [{}]),
    "aztec": ("azteccode", lambda r: _some(r, string.ascii_uppercase, 1, 9), _compact_or_full),
    "hibcAztec": ("hibcazteccode", lambda r: _some(r, string.ascii_uppercase, 2, 5), _compact_or_full),
    "pdf417": (
        "pdf417",
        lambda r: _some(r, string.ascii_uppercase, 8, 40),
        lambda s, d: [
            {"columns": (s.columns - 69) // 17, "rows": s.lines, "eclevel": 2, "fixedeclevel": True}
        ],
    ),
    "postnet": ("postnet", lambda r: _digits(r, r.choice((5, 9, 11))), lambda s, d: [{}]),
    "rm4scc": ("royalmail", lambda r: _some(r, LETTERS, 1, 9), lambda s, d: [{}]),
    "maxicode": ("maxicode", lambda r: _some(r, ASCII, 1, 60), lambda s, d: [{"mode": 4}]),
}
#: Values at the edges, beside the random ones.
_EDGES = {
    "code39": ["0", CODE39],
    "code93": [ASCII[:40], ASCII[40:80], "~"],
    "code11": ["-", "0" * 9, "1-" * 6],
    "codabar": ["A0B", "C-$:/.+D"],
    "c25inter": ["0", "00", "99"],
    "ean13": ["000000000000", "999999999999", *(f"{digit}12345678901" for digit in range(10))],
    "ean8": ["0000000"],
    "upca": ["00000000000"],
    "upce": ["0000000", "1999999"],
    "qrcode": ["0", "A", "a", "0" * 41, "0" * 42],
    "datamatrix": ["0", "00", "0" * 200],
    "postnet": ["00000", "99999"],
    "maxicode": ["0", "123456789", "A" * 93],
}
#: The options that make our encoder's choice the same.
_OURS = {"pdf417": {"mode": "2"}}


def _wider(row):
    """bwip-js draws wide bars of interleaved 2 of 5 twice as wide as narrow ones, we three times."""
    return re.sub("11|00", lambda run: run[0][0] * 3, row)


@pytest.fixture(scope="module")
def second():
    """(type, data) -> the symbol here, and all that bwip-js makes of the same data."""
    if reason := bwip.missing():
        pytest.skip(reason)
    random_ = random.Random("second encoder")
    made, asked = [], []
    for kind, (name, data_of, options_of) in _SECOND.items():
        for data in [*_EDGES.get(kind, ()), *(data_of(random_) for _ in range(18))]:
            symbol = symbols.encode(kind, data, **_OURS.get(kind, {}))
            whole = (
                symbol.readable if kind in {"ean13", "ean8", "upca", "upce", "itf14", "c25inter"} else data
            )
            for options in options_of(symbol, data):
                made.append((kind, data, symbol))
                asked.append((name, whole, options))
    found = {}
    for (kind, data, symbol), rows in zip(made, bwip.rows(asked), strict=True):
        if rows and isinstance(symbol, symbols.Bars):
            # Some of its symbols end with the gap to a next character.
            rows = (rows[0].rstrip("0"),)
            rows = (_wider(rows[0]),) if kind in {"itf14", "c25inter"} else rows
        found.setdefault((kind, data), (symbol, []))[1].append(rows)
    return found


@pytest.mark.xdist_group("bwip")
@pytest.mark.parametrize(
    "kind", sorted(symbols.KINDS.keys() - {"code128", "code128a", "code128b", "code128c"})
)
def test_every_type_is_module_for_module_what_a_second_encoder_makes(second, kind):
    """bwip-js draws the same bars, cells and hexagons, for random data and those at the edges."""
    cases = {data: found for (of, data), found in second.items() if of == kind}
    assert len(cases) >= 18
    for data, (symbol, others) in cases.items():
        assert _rows(symbol) in others, data


@pytest.mark.parametrize("code_set", ["A", "B", "C"])
def test_code128_in_each_set_is_what_a_second_encoder_makes(code_set):
    """Start, data, check character and stop, given to bwip-js as symbol characters worked out here by hand."""
    if reason := bwip.missing():
        pytest.skip(reason)
    data = {"A": "AB 12\t", "B": "abC~12", "C": "00123499"}[code_set]
    values = {"A": [33, 34, 0, 17, 18, 73], "B": [65, 66, 35, 94, 17, 18], "C": [0, 12, 34, 99]}[code_set]
    start = {"A": 103, "B": 104, "C": 105}[code_set]
    said = "".join(f"^{value:03d}" for value in [start, *values])
    assert bwip.rows([("code128", said, {"raw": True})]) == [
        _rows(symbols.encode(f"code128{code_set.lower()}", data))
    ]


@pytest.mark.xdist_group("bwip")
def test_a_bar_moved_by_a_module_is_not_the_second_encoders(second):
    """Negative control: of every type of bars, one bar moved over its full height is noticed."""
    tried = 0
    for symbol, others in second.values():
        if not isinstance(symbol, symbols.Bars):
            continue
        widths = list(symbol.widths)
        at = next(place for place in range(2, len(widths) - 1, 2) if widths[place + 1] > 1)
        widths[at - 1] += 1
        widths[at + 1] -= 1
        assert _rows(symbol._replace(widths=tuple(widths))) not in others
        tried += 1
    assert tried > 200


@pytest.mark.parametrize(
    ("kind", "data"),
    [("code128", "YT0012345678901"), ("code93", "YT123"), ("ean128", "(01)09501101530003")],
)
def test_a_symbol_with_one_bar_moved_is_not_read_as_the_number(kind, data):
    """Negative control: whichever bar is moved by a module, the reader doesn't give the number back."""
    symbol = symbols.encode(kind, data)
    right = _read(symbol)[0].text
    moved = 0
    for at in range(2, len(symbol.widths) - 1, 2):
        if symbol.widths[at + 1] > 1:
            widths = list(symbol.widths)
            widths[at - 1] += 1
            widths[at + 1] -= 1
            assert right not in [found.text for found in _read(symbol._replace(widths=tuple(widths)))], at
            moved += 1
    assert moved >= 5


# ── every type by a reader ──

_FORMATS = zxingcpp.BarcodeFormat
#: Type -> (format of the reader, data, what the reader says).
_READABLE = [
    ("code128a", _FORMATS.Code128, "YT-001", "YT-001"),
    ("code128b", _FORMATS.Code128, "yt-0012345", "yt-0012345"),
    ("code128c", _FORMATS.Code128, "00123456", "00123456"),
    (
        "ean128",
        _FORMATS.Code128,
        "(01)09501101530003(10)AB-1(17)261231",
        "(01)09501101530003(10)AB-1(17)261231",
    ),
    ("gs128Linear", _FORMATS.Code128, "0109501101530003", "(01)09501101530003"),
    ("code39", _FORMATS.Code39, "YT-00 1", "YT-00 1"),
    ("code93", _FORMATS.Code93, "yt-00 1~", "yt-00 1~"),
    ("codabar", _FORMATS.Codabar, "C12-34$B", "C12-34$B"),
    ("codabar", _FORMATS.Codabar, "1234", "A1234A"),
    ("c25inter", _FORMATS.ITF, "1234567", "01234567"),
    ("itf14", _FORMATS.ITF, "0950110153000", "09501101530003"),
    ("ean13", _FORMATS.EAN13, "6901234567892", "6901234567892"),
    ("ean8", _FORMATS.EAN8, "1234567", "12345670"),
    ("upca", _FORMATS.EAN13, "036000291452", "0036000291452"),
    ("upce", _FORMATS.UPCE, "123456", "0012345000065"),
    ("upce", _FORMATS.UPCE, "012345000058", "0012345000058"),
    ("qrcode", _FORMATS.QRCode, "张三 𠮷㛃", "张三 𠮷㛃"),
    ("datamatrix", _FORMATS.DataMatrix, "张三 𠮷㛃", "张三 𠮷㛃"),
    (
        "gs1Datamatrix",
        _FORMATS.DataMatrix,
        "(01)09501101530003(10)AB-1(21)7",
        "(01)09501101530003(10)AB-1(21)7",
    ),
    ("aztec", _FORMATS.Aztec, "张三 𠮷㛃", "张三 𠮷㛃"),
    ("hibcAztec", _FORMATS.Aztec, "A123BJC5D6E71", "+A123BJC5D6E71G"),
    ("hibcAztec", _FORMATS.Aztec, "+A123BJC5D6E71G", "+A123BJC5D6E71G"),
    ("pdf417", _FORMATS.PDF417, "张三 𠮷㛃 YT0012345678901", "张三 𠮷㛃 YT0012345678901"),
    ("maxicode", _FORMATS.MaxiCode, "张三 𠮷㛃", "张三 𠮷㛃"),
]


@pytest.mark.parametrize(("kind", "format_", "data", "said"), _READABLE)
def test_every_type_that_a_reader_knows_is_read_back(kind, format_, data, said):
    """zxing-cpp reads the symbol, drawn with no more quiet zone than the standard asks, as what was meant."""
    (found,) = _read(symbols.encode(kind, data))
    assert found.text == said
    assert format_ in {found.format, found.symbology}


def test_the_types_that_no_reader_here_knows_are_few():
    """Code 11 and the postal codes stand against the second encoder alone."""
    known = {kind for kind, *_ in _READABLE} | {"code128"}
    assert symbols.KINDS.keys() - known == {"code11", "postnet", "rm4scc"}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(symbols.KINDS)),
    st.one_of(
        st.text(max_size=30),
        st.text(st.sampled_from(ASCII), max_size=30),
        st.text(st.sampled_from(LETTERS), max_size=20),
        st.text(st.sampled_from(string.digits), max_size=20),
        st.builds("(10){}(21){}".format, st.text(st.sampled_from(LETTERS)), st.text(st.sampled_from(ASCII))),
    ),
)
def test_any_data_become_a_symbol_or_a_clear_error(kind, data):
    """Every type, any data: a symbol that reads back, or Invalid with a code of its own and none of the data."""
    try:
        symbol = symbols.encode(kind, data)
    except Invalid as error:
        assert error.code in {"barcode.empty", "barcode.data", "barcode.check_digit"}
        assert len(data) < 5 or data not in error.detail
        return
    assert (symbol.kind, symbol.data) == (kind, data)
    if isinstance(symbol, symbols.Picture):
        return
    _rows(symbol)
    if kind in {"code128", "code128b", "code128a", "qrcode", "datamatrix", "aztec", "pdf417"}:
        assert [found.bytes for found in _read(symbol)] == [data.encode()]


# ── QR codes ──


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
def test_qrcode_keeps_its_level_and_is_read_back(level):
    """The level is the one asked for, never a better one; ASCII and Chinese come back exactly."""
    for data in ("YT0012345678901", "张三 𠮷㛃 https://example.invalid/a?b=1"):
        symbol = symbols.qrcode(data, level)
        assert len(symbol.rows) == len(symbol.rows[0]) == symbol.columns
        (found,) = _read(symbol)
        assert (found.text, found.ec_level) == (data, level)
        assert symbols.encode("qrcode", data, level=str("LMQH".index(level))) == symbol


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
@pytest.mark.parametrize(("letter", "mode"), [("7", "numeric"), ("A", "alphanumeric"), ("a", "byte")])
def test_a_qrcodes_size_is_known_before_its_cells(level, letter, mode):
    """The longest data of each version, and one more: the size is segno's; and the drawn symbol has that size."""
    bits = {"numeric": (10, 12, 14), "alphanumeric": (9, 11, 13), "byte": (8, 16, 16)}[mode]
    for version in range(1, 41):
        room = segno.consts.SYMBOL_CAPACITY[version][segno.consts.ERROR_MAPPING[level]]
        room -= 4 + bits[(version > 9) + (version > 26)]
        most = {"numeric": room // 10 * 3 + (room % 10 >= 4) + (room % 10 >= 7), "byte": room // 8}.get(
            mode, room // 11 * 2 + (room % 11 >= 6)
        )
        symbol = symbols.qrcode(letter * most, level)
        assert (symbol.columns, symbol.lines) == (17 + 4 * version,) * 2
        if version in {1, 9, 10, 26, 27, 40}:
            assert {len(row) for row in symbol.rows} == {symbol.columns}
            assert _read(symbol)[0].ec_level == level
        if version < 40:
            assert symbols.qrcode(letter * (most + 1), level).columns == symbol.columns + 4
        else:
            with pytest.raises(Invalid):
                symbols.qrcode(letter * (most + 1), level)


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(st.sampled_from(["1234567", "ABC", "abc", "张三", "点", "é"]), max_size=20).map("".join),
    ),
    st.sampled_from("LMQH"),
)
def test_a_drawn_qrcode_has_the_size_that_was_reserved(data, level):
    """Mixed text that the drawing library packs otherwise than the layout reckoned still fills the same square."""
    try:
        symbol = symbols.qrcode(data, level)
    except Invalid:
        return
    assert [len(row) for row in symbol.rows] == [symbol.columns] * symbol.columns
    (found,) = _read(symbol)
    assert (found.bytes, found.ec_level) == (data.encode(), level)


def test_a_qrcodes_cells_are_made_when_asked_for(monkeypatch):
    """A printer that draws the symbol itself costs no drawing here."""
    drawn = []
    real = symbols.qr.draw
    monkeypatch.setattr(symbols.qr, "draw", lambda *said, **more: drawn.append(said) or real(*said, **more))
    symbol = symbols.qrcode("not drawn yet", "Q")
    assert (symbol.columns, len(symbol.rows), symbol.level, drawn) == (21 + 4, 25, "Q", [])
    assert symbol.rows[0].startswith("1111111")
    assert symbol.rows[1:3] == tuple(symbol.rows)[1:3]
    assert len(drawn) == 1
    assert symbol.rows == tuple(symbol.rows) and hash(symbol.rows) == hash(tuple(symbol.rows))
    assert symbol.rows != symbols.qrcode("not drawn yet", "L").rows


def test_qrcode_refuses_what_does_not_go_in():
    """Empty, broken and far too long data are Invalid, without the data."""
    for data, code in (("", "barcode.empty"), ("x" * 3000, "barcode.data"), ("\ud800", "barcode.data")):
        with pytest.raises(Invalid) as caught:
            symbols.qrcode(data, "H")
        assert caught.value.code == code


# ── check digits, character sets, options ──


@pytest.mark.parametrize(
    ("kind", "wrong", "expected"),
    [
        ("ean13", "6901234567890", "2"),
        ("ean8", "12345678", "0"),
        ("upca", "036000291450", "2"),
        ("upce", "01234560", "5"),
        ("itf14", "09501101530004", "3"),
        ("postnet", "123456", "5"),
        ("hibcAztec", "+A123BJC5D6E71A", "G"),
        ("ean128", "(01)09501101530004", "3"),
        ("gs1Datamatrix", "(00)095011015300000014(10)A", "0"),
    ],
)
def test_a_wrong_check_digit_says_which_is_right(kind, wrong, expected):
    """And the right one is taken."""
    with pytest.raises(Invalid) as caught:
        symbols.encode(kind, wrong)
    assert caught.value.code == "barcode.check_digit"
    assert caught.value.facts["expected"] == expected
    assert expected in caught.value.detail and wrong not in caught.value.detail
    head, end = (
        (wrong[:-1], "") if kind not in {"gs1Datamatrix"} else (wrong[: wrong.index("(10)") - 1], "(10)A")
    )
    assert symbols.encode(kind, head + expected + end).kind == kind


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("code39", "abc"),
        ("code39", "张三"),
        ("code93", "é"),
        ("code11", "1A"),
        ("codabar", "A12"),
        ("codabar", "1E2"),
        ("c25inter", "1A"),
        ("c25inter", "１２"),
        ("itf14", "123"),
        ("ean13", "69012345678"),
        ("ean13", "69012345678９"),
        ("ean8", "123456"),
        ("upca", "1234"),
        ("upce", "212345"[:5]),
        ("upce", "2123456"),
        ("upce", "0001003"[:7]),
        ("upce", "612345678901"[:11]),
        ("postnet", "1234567"),
        ("postnet", "1234A"),
        ("rm4scc", "EC1A-1BB"),
        ("hibcAztec", "abc"),
        ("ean128", "hello"),
        ("ean128", "(02)"),
        ("ean128", "(05)12345"),
        ("ean128", "(17)991332"),
        ("ean128", "x(01)09501101530003"),
        ("gs1Datamatrix", "\x1d"),
        ("maxicode", "A" * 200),
        ("datamatrix", "a" * 3000),
        ("datamatrix", "\ud800"),
        ("aztec", "a" * 4000),
        ("pdf417", "a" * 2000),
    ],
)
def test_data_that_a_type_cannot_hold_are_refused(kind, data):
    """With one code and no word of the data, be it a character, the length or a GS1 field."""
    with pytest.raises(Invalid) as caught:
        symbols.encode(kind, data)
    assert caught.value.code == "barcode.data"
    assert data not in caught.value.detail


def test_gs1_data_may_be_written_in_each_usual_way():
    """In brackets round or square, plain with ASCII 29, with what a reader puts in front: the same bars."""
    same = [
        "(01)09501101530003(10)AB-1(3103)000123(8005)000123",
        "[01]09501101530003[10]AB-1[3103]000123[8005]000123",
        "010950110153000310AB-1\x1d31030001238005000123",
        "]C1010950110153000310AB-1\x1d31030001238005000123",
        "\x1d010950110153000310AB-1\x1d31030001238005000123\x1d",
    ]
    made = [symbols.encode("ean128", data) for data in same]
    assert {(symbol.widths, symbol.readable) for symbol in made} == {(made[0].widths, same[0])}
    cells = {tuple(symbols.encode("gs1Datamatrix", data).rows) for data in same}
    assert len(cells) == 1


def test_upce_is_the_same_however_it_is_given():
    """Six, seven or eight digits, or the UPC-A that they stand for."""
    same = {
        symbols.encode("upce", data).widths
        for data in ("123456", "0123456", "01234565", "01234500006", "012345000065")
    }
    assert len(same) == 1
    for short, whole in {"0252310": "02500000231", "0123453": "01230000045"}.items():
        assert symbols.encode("upce", short).readable == symbols.encode("upce", whole).readable


def test_options_are_kept_or_refused():
    """Error correction, mode, size and primary message reach the symbol; one that a type hasn't got is named."""
    assert symbols.encode("datamatrix", "1", size="24x24").columns == 24
    assert symbols.encode("datamatrix", "1", size="3").columns == 14
    wide = symbols.encode("datamatrix", "1", size="8x32")
    assert (wide.lines, wide.columns) == (8, 32)
    plain, strong = (_read(symbols.encode("aztec", "A" * 60, mode=mode))[0].ec_level for mode in ("1", "4"))
    assert int(plain[:-1]) < 30 and int(strong[:-1]) >= 50
    assert symbols.encode("aztec", "A", size="4").columns == 27
    for mode in ("0", "5"):
        (found,) = _read(symbols.encode("pdf417", "A" * 40, mode=mode))
        assert found.text == "A" * 40
    assert symbols.encode("pdf417", "A" * 40, size="5").columns == 17 * 5 + 69
    carrier = symbols.encode("maxicode", "hello", mode="2", primary="999999999840012")
    assert "999999999" in _read(carrier)[0].text and carrier.mode == "2"
    letters = symbols.encode("maxicode", "hello", primary="B1050A056999")
    assert "B1050A" in _read(letters)[0].text and letters.mode == "3"
    for kind, options in (
        ("qrcode", {"level": "X"}),
        ("datamatrix", {"size": "25x25"}),
        ("datamatrix", {"size": "99"}),
        ("aztec", {"mode": "5"}),
        ("aztec", {"size": "x"}),
        ("pdf417", {"mode": "9"}),
        ("pdf417", {"size": "31"}),
        ("maxicode", {"mode": "1"}),
        ("maxicode", {"mode": "2"}),
        ("maxicode", {"primary": "x"}),
    ):
        with pytest.raises(Invalid) as caught:
            symbols.encode(kind, "A1", **options)
        assert caught.value.code == "barcode.option", (kind, options)
    with pytest.raises(Invalid) as caught:
        symbols.encode("code", "1")
    assert caught.value.code == "barcode.type"


def test_a_pdf417_takes_the_shape_of_its_place():
    """A wide place has wide symbols, a high one narrow ones, and each is read."""
    data = "YT0012345678901 " * 6
    wide, high = (symbols.encode("pdf417", data, aspect=aspect) for aspect in (6.0, 0.8))
    assert wide.columns / wide.height > 3
    assert high.columns / high.height < 1.2
    for symbol in (wide, high):
        assert _read(symbol)[0].text == data


def test_every_type_of_the_template_language_is_there():
    """CNPL's list, and what each needs on paper: a module, quiet zones, a family."""
    listed = (
        "code128 code128a code128b ean128 qrcode code11 postnet pdf417 code39 code93 upca upce ean8 ean13 itf14 c25inter "
        "maxicode datamatrix aztec hibcAztec rm4scc gs1Datamatrix gs128Linear codabar"
    )
    assert set(listed.split()) | {"code128c"} == set(symbols.KINDS)
    for kind in symbols.KINDS.values():
        assert kind.smallest_mm >= 0.249 and kind.quiet_left >= 1 and kind.quiet_right >= 1
        assert (kind.bar_height_share > 0) == (kind.family == "bars")
        assert (kind.fixed_mm > 0) == (kind.family in {"postal", "picture"})


@pytest.mark.parametrize("dots_per_mm", [8, 300 / 25.4, 600 / 25.4])
def test_maxicode_has_its_one_size_at_every_resolution(dots_per_mm):
    """26.4 by 25.4 mm without quiet zone (ISO/IEC 16023: 28.14 by 26.91 with it), and it is read."""
    symbol = symbols.encode("maxicode", "YT0012345678901")
    width, height, bits = symbol.bits(dots_per_mm)
    assert len(bits) == (width + 7) // 8 * height
    assert abs(width / dots_per_mm - 26.4) < 0.1 and abs(height / dots_per_mm - 25.4) < 0.1
    paper = Image.new("L", (width + 40, height + 40), 255)
    paper.paste(Image.frombytes("1", (width, height), bytes(byte ^ 255 for byte in bits)), (20, 20))
    assert [found.text for found in zxingcpp.read_barcodes(paper)] == ["YT0012345678901"]
