"""PNG of a label, one bit a dot, for seeing it on a screen and for printers driven by pictures.

Hides nothing but Pillow: the picture is ``raster``'s. The pixels-per-metre are set, so that it prints at its real size.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import BinaryIO

from labelsvc.errors import Invalid
from labelsvc.labels import DOTS_PER_MM, Page
from labelsvc.languages import raster
from labelsvc.languages.target import Target

name = "png"
media_type = "image/png"

#: zlib's level: 9 takes fifteen times as long for a tenth fewer bytes.
_EFFORT = 4


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """The label as a one-bit PNG at the page's own resolution."""
    out = io.BytesIO()
    per_inch = DOTS_PER_MM[page.dpi] * 25.4
    raster.image(page).save(out, "PNG", dpi=(per_inch, per_inch), compress_level=_EFFORT)
    return out.getvalue()


def write(pages: Iterable[Page], target: Target, out: BinaryIO, title: str = "") -> int:
    """The one page there is; Invalid ``page.several`` if there are more, ``page.none`` if there is none."""
    several = iter(pages)
    first = next(several, None)
    if first is None:
        raise Invalid("There is no page to write", code="page.none")
    if next(several, None) is not None:
        raise Invalid("A PNG holds one page only", code="page.several", field="language")
    out.write(encode(first, target, title))
    return 1
