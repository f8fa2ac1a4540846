"""Every label scans and reads: each template × language × resolution × letters, drawn by others than us, spoilt, and read back."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from support.matrix import (
    Cell,
    Drawn,
    cells,
    dot_faults,
    draw,
    draw_stream,
    faults,
    likeness,
    native_text_faults,
    pages_for,
    read_shares,
    text_faults,
    with_a_bar_moved,
)
from support.recipients import recipients
from support.sound import symbols

from labelsvc.labels import BarMark
from labelsvc.languages import LANGUAGES, encode

#: OCR must reach this on the average of name and address.
READABLE_SHARE = 0.97


def judge(cell: Cell, chosen: Iterable[int]) -> list[float]:
    """Draw and read the cell's labels of these recipients; returns what OCR made of the first two plain ones."""
    shares: list[float] = []
    read = 0
    found: list[str] = []
    for at in chosen:
        recipient = recipients()[at]
        drawn: list[Drawn] = []
        pages = pages_for(cell, recipient, at)
        for page in pages:
            stream = encode(page, cell.target, "WAYBILL")
            drawn = draw_stream(stream, page, cell, second=at == 0)
            for each in drawn:
                found += faults(page, each, f"{cell}{at}")
                if each.paper is not None:
                    found += native_text_faults(page, each.paper)
                    if cell.letters == "dots":
                        found += dot_faults(page, each)
            if cell.language == "pdf":
                found += text_faults(stream, page)
        if recipient.plain and read < 2 and len(pages) == 1:
            read += 1
            shares += read_shares(pages[0], drawn[0], recipient)
        if len(found) > 10:
            break
    assert not found, "\n".join([f"{cell}: {len(found)} faults", *found[:10]])
    return shares


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_each_cell_scans_and_reads(cell: Cell):
    """A plain recipient and the hardest one: every barcode decodes as it is, blurred, turned and noisy; OCR reads the plain
    one's name and address to 97 %. The long form has 300."""
    shares = judge(cell, (0, 2))
    assert not shares or sum(shares) / len(shares) >= READABLE_SHARE, shares


@pytest.mark.sweep
@pytest.mark.parametrize("cell", cells(), ids=str)
def test_each_cell_scans_for_three_hundred(cell: Cell):
    """The long form: 300 recipients a cell."""
    begun = time.perf_counter()
    shares = judge(cell, range(300))
    share = f", OCR {sum(shares) / len(shares):.4f}" if shares else ""
    print(f"\n{cell}: 300 labels, {time.perf_counter() - begun:.0f} s{share}")
    assert not shares or sum(shares) / len(shares) >= READABLE_SHARE, shares


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_label_with_a_moved_bar_is_not_accepted(language: str):
    """Negative control, in each language's picture: any one bar moved by a module over its full height is found out."""
    cell = next(cell for cell in cells() if cell.language == language and cell.template == "waybill-76x130")
    (page,) = pages_for(cell, recipients()[0], 0)
    (drawn,) = draw(page, cell)
    assert faults(page, drawn) == []
    mark = next(mark for mark in symbols(page) if isinstance(mark, BarMark))
    # Bars with two or more modules of space on their right: else the bar would only grow together with the next.
    bars = [i for i in range(2, len(mark.widths) - 2, 2) if mark.widths[i + 1] > 1]
    assert len(bars) > 5
    for bar in bars[:: len(bars) // 5]:
        moved = Drawn(drawn.by, with_a_bar_moved(drawn.picture, mark, bar))
        assert f"{drawn.by}: {mark.source} bars aren't the second encoder's" in faults(page, moved), bar


def test_the_recipients_are_three_hundred_distinct_ones():
    """Names of 2 to 60 characters, addresses up to 120, rare characters, Tibetan, Uyghur, emoji."""
    pool = recipients()
    assert len({(each.name, each.address) for each in pool}) == 300
    assert {min(len(each.name) for each in pool), max(len(each.name) for each in pool)} == {2, 60}
    assert 110 <= max(len(each.address) for each in pool) <= 120
    words = "".join(each.name + each.address + each.note for each in pool)
    assert set("𠮷㛃䶮𬭎（）Ａ🎂བئ") <= set(words)


def test_likeness_counts_edits():
    assert likeness("张三丰", "张三丰") == 1
    assert likeness("abxd", "abcd") == 0.75
    assert likeness("acd", "abcd") == 0.75
    assert likeness("(东门)", "（东门）") == 1
