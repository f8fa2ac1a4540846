"""PNG of a label, one bit a dot, for seeing it on a screen and for printers driven by pictures.

Hides nothing but Pillow: the picture is ``raster``'s. The pixels-per-metre are set, so that it prints at its real size.
"""

from __future__ import annotations

import io

from labelsvc.labels import DOTS_PER_MM, Page
from labelsvc.languages import raster
from labelsvc.languages.target import Target

name = "png"
media_type = "image/png"


def encode(page: Page, target: Target, title: str = "") -> bytes:
    """The label as a one-bit PNG at the page's own resolution."""
    out = io.BytesIO()
    per_inch = DOTS_PER_MM[page.dpi] * 25.4
    raster.image(page).save(out, "PNG", dpi=(per_inch, per_inch), optimize=False)
    return out.getvalue()
