"""Labels: a template and data become a Page of marks. Pure: no files but templates and fonts, no state.

Hides CNPL, fonts, line breaking and symbols. ``compose(parse(text), data, dpi)`` is the whole of it, ``compose_all`` where
a table may split over pages; ``fonts`` and ``symbols`` are for the printer languages, which draw the same characters and bars;
``quality.report(page)`` says how well the page's barcodes can be read.
"""

from labelsvc.labels import fonts, quality, symbols
from labelsvc.labels.element import Context
from labelsvc.labels.images import one_bit
from labelsvc.labels.layout import compose, compose_all
from labelsvc.labels.page import (
    DOTS_PER_MM,
    BarMark,
    EllipseMark,
    Fixed,
    Glyph,
    GroupMark,
    ImageMark,
    LineMark,
    Mark,
    MatrixMark,
    Media,
    Page,
    PageWarning,
    RectMark,
    Rotation,
    Run,
    TextMark,
)
from labelsvc.labels.plan import Pictures
from labelsvc.labels.quality import SymbolQuality
from labelsvc.labels.starter import sample_data, starter
from labelsvc.labels.template import StandardTemplates, Template, parse

__all__ = [
    "DOTS_PER_MM",
    "BarMark",
    "Context",
    "EllipseMark",
    "Fixed",
    "Glyph",
    "GroupMark",
    "ImageMark",
    "LineMark",
    "Mark",
    "MatrixMark",
    "Media",
    "Page",
    "PageWarning",
    "Pictures",
    "RectMark",
    "Rotation",
    "Run",
    "StandardTemplates",
    "SymbolQuality",
    "Template",
    "TextMark",
    "compose",
    "compose_all",
    "fonts",
    "one_bit",
    "parse",
    "quality",
    "sample_data",
    "starter",
    "symbols",
]
