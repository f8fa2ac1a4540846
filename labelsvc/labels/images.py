"""A picture in a template becomes dots: fetched by who may, opened with bounds, scaled, and turned into black and white.

Hides the formats and the choice between a threshold and dithering: line art (logos, stamps, symbols) keeps sharp edges by a
threshold at half; a photo, where much lies between black and white, is dithered.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from labelsvc.errors import LabelsvcError
from labelsvc.labels.boxes import Box
from labelsvc.labels.element import Element, Value
from labelsvc.labels.page import ImageMark
from labelsvc.labels.plan import Piece, Sheet

if TYPE_CHECKING:
    from PIL import Image

#: The most a picture inside a template may unfold to.
MAX_IMAGE_PIXELS = 4_000_000
FORMATS = ("PNG", "JPEG", "GIF", "BMP")
#: A picture is a photo where more than this share of its dots is neither nearly black nor nearly white.
PHOTO_SHARE = 0.25
_NEARLY = 48

_DATA_URL = re.compile(
    r"data:image/(?:png|jpeg|jpg|gif|bmp|x-ms-bmp);base64,([A-Za-z0-9+/=\s]+)", re.ASCII | re.IGNORECASE
)


class ImagePiece(Piece):
    """An image whose box is known."""

    raw = True

    def __init__(
        self,
        element: Element,
        box: Box,
        paper: Box,
        value: Value,
        *,
        may_fail: bool,
        alpha: float,
    ) -> None:
        self.element = element
        self.value = value
        self.box = box
        self.paper = paper
        self.may_fail = may_fail
        self.alpha = alpha
        self.reach = (box,)
        # What stands elsewhere may change, and is for the caller to get.
        self.is_elsewhere = not "".join(map(str, value)).lstrip().startswith("data:")

    def draw(self, sheet: Sheet, value: str) -> None:
        """The picture stretched to its box; what leaves the page is cut off."""
        element, box = self.element, self.box
        if not value.strip() and element.wants("hideEmpty"):
            return
        shown = box.cut_to(self.paper)
        if shown.width <= 0 or shown.height <= 0:
            element.fail("the image has no size or leaves the page", code="label.off_page")
        source = value.strip()
        match = _DATA_URL.fullmatch(source)
        if not match and (sheet.pictures is None or not source or source.startswith("data:")):
            element.fail("src must be a PNG, JPEG, GIF or BMP as a data URL", code="image.source")
        try:
            if match:
                content = base64.b64decode(match[1], validate=False)
            else:
                assert sheet.pictures
                content = sheet.pictures(source)
            bits = one_bit(content, box.width, box.height, self.alpha)
        except (ValueError, LabelsvcError) as error:
            if self.may_fail:
                sheet.warn("image.failed", "The image can't be read and was left out", element.source)
                return
            reason = error.detail if isinstance(error, LabelsvcError) else str(error)
            element.fail(f"the image: {reason}", code="image.failed")
        if shown != box:
            sheet.warn("mark.off_page", "The image leaves the page", element.source)
            bits = _cropped(bits, box, shown)
        sheet.marks.append(
            ImageMark(shown.left, shown.top, shown.width, shown.height, bits, source=element.source)
        )


@lru_cache(maxsize=64)
def one_bit(content: bytes, width: int, height: int, alpha: float = 1.0) -> bytes:
    """The picture scaled to dots, rows of whole bytes with 1 for black; ValueError (no data in it) if it can't be read."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > MAX_IMAGE_PIXELS:
                raise ValueError("has too many pixels")
            picture.load()
    except (OSError, SyntaxError, binascii.Error, Warning, Image.DecompressionBombError) as error:
        raise ValueError("can't be read") from error
    rgba = picture.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, "white")
    if alpha < 1:
        rgba = Image.blend(paper, Image.alpha_composite(paper, rgba), alpha)
    grey = Image.alpha_composite(paper, rgba).convert("L")
    photo = is_photo(grey)
    grey = grey.resize((width, height), Image.Resampling.LANCZOS)
    # Pillow's one-bit rows are high bit left with 1 for white; a mark says 1 for black.
    negative = grey.point(lambda level: 255 - level)
    if photo:
        return negative.convert("1").tobytes()
    return negative.point(lambda level: 255 if level > 127 else 0).convert("1").tobytes()


def is_photo(grey: Image.Image) -> bool:
    """True if much of it is neither nearly black nor nearly white."""
    counts = grey.histogram()
    between = sum(counts[_NEARLY : 256 - _NEARLY])
    return between > PHOTO_SHARE * sum(counts)


def _cropped(bits: bytes, box: Box, shown: Box) -> bytes:
    from PIL import Image

    picture = Image.frombytes("1", (box.width, box.height), bits)
    left, top = shown.left - box.left, shown.top - box.top
    return picture.crop((left, top, left + shown.width, top + shown.height)).tobytes()
