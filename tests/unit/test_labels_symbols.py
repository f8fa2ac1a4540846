"""Barcodes as modules, checked against encoders and decoders that aren't ours."""

import itertools

import barcode
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labelsvc.errors import Invalid
from labelsvc.labels import symbols


def _modules(symbol):
    return "".join("10"[at % 2] * width for at, width in enumerate(symbol.widths))


def _picture(rows, quiet, scale=3):
    wide = len(rows[0]) + 2 * quiet
    blank = ["0" * wide] * quiet
    padded = blank + ["0" * quiet + row + "0" * quiet for row in rows] + blank
    image = Image.new("L", (wide, len(padded)))
    image.putdata([0 if cell == "1" else 255 for row in padded for cell in row])
    return image.resize((wide * scale, len(padded) * scale), Image.Resampling.NEAREST)


def _read(rows, quiet):
    return [(found.format, found.text) for found in zxingcpp.read_barcodes(_picture(rows, quiet))]


@pytest.mark.parametrize("data", ["75312345678901", "7812345678", "abcdef", "A", "Zto-x", "^XZ~JR", "12345A"])
def test_code128_is_module_for_module_what_python_barcode_makes(data):
    """Where both take the same code sets, our bars are python-barcode's."""
    assert _modules(symbols.code128(data)) == barcode.get("code128", data).build()[0]


@pytest.mark.parametrize(
    ("data", "plan", "modules"),
    [
        ("75312345678901", (("C", "75312345678901"),), 112),
        ("781234567890123", (("C", "78123456789012"), ("B", "3")), 134),
        ("YT0012345678901", (("B", "YT"), ("C", "001234567890"), ("B", "1")), 156),
        ("EA123456785CN", (("B", "EA"), ("C", "12345678"), ("B", "5CN")), 156),
        ("SF123", (("B", "SF123"),), 90),
        ("12", (("B", "12"),), 57),
        ("A\tb", (("A", "A\t"), ("B", "b")), 79),
        ("a\tb", (("B", "a"), ("A", "\t"), ("B", "b")), 90),
    ],
)
def test_code128_takes_the_code_sets_of_printers_automatic_mode(data, plan, modules):
    """Four digits or more go to set C at once, an odd last one back to B; control characters to A."""
    symbol = symbols.code128(data)
    assert symbol.plan == plan
    assert symbol.modules == modules == sum(symbol.widths)


def test_code128_in_one_set_only():
    """code128b stays in B for digits; code128a has no small letters and says so without quoting the data."""
    assert symbols.code128("123456", "B").plan == (("B", "123456"),)
    with pytest.raises(Invalid) as caught:
        symbols.code128("abc", "A")
    assert caught.value.code == "barcode.data"
    assert "abc" not in caught.value.detail


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=24))
def test_every_code128_is_read_back(data):
    """A reader that isn't ours gives back exactly the characters, and the plan holds them all in order."""
    symbol = symbols.code128(data)
    assert "".join(stretch for _, stretch in symbol.plan) == data
    assert all(a[0] != b[0] for a, b in itertools.pairwise(symbol.plan))
    assert _read([_modules(symbol)] * 20, 10) == [(zxingcpp.BarcodeFormat.Code128, data)]


def test_a_code128_with_one_bar_moved_is_not_read_as_the_number():
    """Negative control: widths changed by one module don't decode to the same text."""
    widths = list(symbols.code128("YT0012345678901").widths)
    widths[8] += 1
    widths[9] += 1
    row = "".join("10"[at % 2] * width for at, width in enumerate(widths))
    assert "YT0012345678901" not in [text for _, text in _read([row] * 20, 10)]


@pytest.mark.parametrize("data", ["", "张三", "é", "\ud800"])
def test_code128_refuses_what_it_cannot_hold(data):
    """Empty and non-ASCII data are Invalid."""
    with pytest.raises(Invalid, match="Code 128"):
        symbols.code128(data)


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
def test_qrcode_keeps_its_level_and_is_read_back(level):
    """The level is the one asked for, never a better one; ASCII and Chinese come back exactly."""
    for data in ("YT0012345678901", "张三 𠮷㛃 https://example.invalid/a?b=1"):
        symbol = symbols.qrcode(data, level)
        assert len(symbol.rows) == len(symbol.rows[0]) == symbol.columns
        read = zxingcpp.read_barcodes(_picture(symbol.rows, 4))
        assert [found.text for found in read] == [data]
        assert read[0].ec_level == level


def test_qrcode_refuses_what_does_not_go_in():
    """Empty and far too long data are Invalid, without the data."""
    for data, code in (("", "barcode.empty"), ("x" * 3000, "barcode.data")):
        with pytest.raises(Invalid) as caught:
            symbols.qrcode(data, "H")
        assert caught.value.code == code
