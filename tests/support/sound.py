"""What holds for every page of a shipped template, whatever the data: nothing overlaps, nothing leaves the paper, every barcode scans.

Hides the geometry. Rules are taken from the issue and the standards; only the boxes of ink come from the layout.
"""

from __future__ import annotations

from collections.abc import Iterator

from labelsvc.labels import DOTS_PER_MM, BarMark, GroupMark, LineMark, Mark, MatrixMark, Page, RectMark
from labelsvc.labels.boxes import Box, ink, quiet_zone

#: The narrowest bar and cell that scanners read from thermal paper, in mm, less what rounding to whole dots takes.
NARROWEST_MM = {"bars": 0.25, "cells": 0.33}


def flat(marks: tuple[Mark, ...]) -> Iterator[Mark]:
    """The marks with those inside groups."""
    for mark in marks:
        if isinstance(mark, GroupMark):
            yield from flat(mark.marks)
        else:
            yield mark


def symbols(page: Page) -> list[BarMark | MatrixMark]:
    """The barcodes of a page."""
    return [mark for mark in flat(page.marks) if isinstance(mark, BarMark | MatrixMark)]


def assert_sound(page: Page, margin_mm: float = 2) -> None:
    """Everything is on the paper inside the margin, no two things share a dot, quiet zones are quiet, no barcode is too small."""
    margin = round(margin_mm * DOTS_PER_MM[page.dpi])
    paper = Box(margin - 2, margin - 2, page.width - margin + 2, page.height - margin + 2)
    boxes = [(mark, box) for mark in page.marks for box in ink(mark)]
    for mark, box in boxes:
        assert paper.left <= box.left <= box.right <= paper.right, mark
        assert paper.top <= box.top <= box.bottom <= paper.bottom, mark
    solid = [(mark, box) for mark, box in boxes if not isinstance(mark, RectMark | LineMark)]
    for at, (mark, box) in enumerate(solid):
        for other, its in solid[at + 1 :]:
            assert not box.meets(its), (mark, other)
        for other, its in boxes:
            if isinstance(other, LineMark) or (isinstance(other, RectMark) and not other.fill):
                assert not box.meets(its), (mark, other)
            elif isinstance(other, RectMark):
                inside = (
                    its.left <= box.left
                    and box.right <= its.right
                    and its.top <= box.top
                    and box.bottom <= its.bottom
                )
                assert inside or not box.meets(its), (mark, other)
    for symbol in symbols(page):
        zone = quiet_zone(symbol)
        assert not [other for other, box in boxes if other is not symbol and box.meets(zone)], symbol
        assert_scannable(symbol, page.dpi)


def assert_scannable(symbol: BarMark | MatrixMark, dpi: int) -> None:
    """Whole dots, no module under its minimum, bars at least 15 % of their length high."""
    family = "bars" if isinstance(symbol, BarMark) else "cells"
    assert symbol.module >= 1
    # Whole dots: 2 at 203 dpi are 0.25 mm, 4 at 300 dpi 0.339 mm, 3 at 300 dpi 0.254 mm.
    assert symbol.module / DOTS_PER_MM[dpi] >= NARROWEST_MM[family] - 1e-9, symbol
    if isinstance(symbol, BarMark):
        long, high = max(symbol.width, symbol.height), min(symbol.width, symbol.height)
        if symbol.rotation in (0, 180):
            long, high = symbol.width, symbol.height
        elif symbol.rotation in (90, 270):
            long, high = symbol.height, symbol.width
        assert sum(symbol.widths) * symbol.module == long, symbol
        assert high >= 0.15 * long - 1, symbol
