"""PDFs and pictures that others made become Pages: one picture in black and white a page.

Hides PDFium and Pillow, which open such documents in a process of their own (``foreign``) with bounds on memory and time, and
how grey becomes black or white: letters and bars stay sharp, photographs are dithered.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labelsvc.errors import Invalid
from labelsvc.labels import DOTS_PER_MM, ImageMark, Media, Page, PageWarning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    #: Rows of grey, 0 = black; and rows of dots, True is black.
    Grey = NDArray[np.uint8]
    Dots = NDArray[np.bool_]

#: A document's bytes; its pages; a picture's pixels; what the pages may hold in dots, packed.
MAX_BYTES = 32 * 2**20
MAX_PAGES = 100
MAX_PIXELS = 50_000_000
MAX_PACKED = 96 * 2**20
#: Memory and processor time of the process that opens a document, and after what time it is ended in any case.
MAX_MEMORY = 2**30
MAX_SECONDS = 20
_PATIENCE = 3

Fit = Literal["shrink", "actual", "fill"]
Turn = Literal["auto", 0, 90, 180, 270]
Dither = Literal["auto", "threshold", "diffusion"]

_OPENER = Path(__file__).with_name("foreign.py")


def pages(
    content: bytes, media: Media, *, fit: Fit = "shrink", rotate: Turn = "auto", dither: Dither = "auto"
) -> tuple[Page, ...]:
    """Each page of a PDF, or each picture of a PNG, JPEG, GIF, BMP, WebP or TIFF, as a Page of the media's size.

    ``fit``: at its own size, made smaller only if it is too large (``shrink``); at its own size, cut off if too large
    (``actual``); as large as the media allow (``fill``). A picture that doesn't say how large it is has one pixel a dot. It
    lies in the middle. ``rotate``: clockwise, or by itself where it fits better turned (``auto``). ``dither``: black from half
    on, by what is round it (``threshold``); the same grey on average, by error diffusion (``diffusion``); or the
    former for letters and bars and the latter for photographs (``auto``).

    Invalid: ``picture.unreadable``, ``picture.encrypted``, ``picture.size`` (bytes or pixels), ``picture.pages``, ``picture.time``.
    """
    if len(content) > MAX_BYTES:
        raise Invalid(
            f"The document has more than {MAX_BYTES // 2**20} MB", code="picture.size", field="document"
        )
    per_mm = DOTS_PER_MM[media.dpi]
    width, height = max(1, round(media.width_mm * per_mm)), max(1, round(media.height_mm * per_mm))
    asked = {
        "width": width,
        "height": height,
        "per_mm": per_mm,
        "fit": fit,
        "rotate": rotate,
        "max_pages": min(MAX_PAGES, MAX_PACKED // max(1, (width + 7) // 8 * height)),
        "max_pixels": MAX_PIXELS,
        "max_memory": MAX_MEMORY,
        "max_seconds": MAX_SECONDS,
    }
    made = []
    for cut, grey in _opened(content, asked, width, height):
        warnings = (PageWarning("picture.cut", "the page is larger than the media"),) if cut else ()
        mark = _mark(_dots(grey, dither, per_mm))
        made.append(Page(width, height, media.dpi, (mark,) if mark else (), warnings))
    return tuple(made)


def _opened(content: bytes, asked: dict[str, Any], width: int, height: int) -> Iterator[tuple[bool, Grey]]:
    """(whether it is cut off, grey rows) of each page, from the process that opens the document."""
    import numpy as np

    # -I: nothing from the environment or the working directory is imported there.
    with subprocess.Popen(
        [sys.executable, "-I", str(_OPENER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        close_fds=True,
    ) as opener:
        assert opener.stdin is not None and opener.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            opener.kill()

        clock = threading.Timer(MAX_SECONDS * _PATIENCE, end)
        clock.start()
        try:
            # If it ended early, its answer or its end says why.
            with suppress(BrokenPipeError):
                opener.stdin.write(json.dumps(asked).encode() + b"\n" + content)
            with suppress(BrokenPipeError):
                opener.stdin.close()
            while True:
                said = _line(opener.stdout.readline(200))
                if "cut" not in said:
                    break
                rows = opener.stdout.read(width * height)
                if len(rows) < width * height:
                    said = {}
                    break
                yield bool(said["cut"]), np.frombuffer(rows, np.uint8).reshape(height, width)
            if "pages" not in said:
                # Without a word it crashed, or was ended: by the clock, or by the kernel for its processor time.
                ended = late.is_set() or -opener.wait() in {signal.SIGXCPU, signal.SIGKILL}
                raise _wrong("time" if ended else str(said.get("error")))
        finally:
            clock.cancel()
            opener.kill()


def _wrong(word: str) -> Invalid:
    """What the opener's word, or its silence, means."""
    match word:
        case "encrypted":
            return Invalid("The PDF is encrypted with a password", code="picture.encrypted", field="document")
        case "pages":
            return Invalid("The document has too many pages", code="picture.pages", field="document")
        case "pixels":
            return Invalid("The document has too many pixels", code="picture.size", field="document")
        case "time":
            return Invalid("The document takes too long to draw", code="picture.time", field="document")
        case _:
            return Invalid(
                "The document is no PDF or picture that can be read",
                code="picture.unreadable",
                field="document",
            )


def _line(line: bytes) -> dict[str, Any]:
    """What the opener said; nothing if it isn't to be understood, for a document may have taken it over."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


# ── grey to black and white ──

#: Greys nearer than this to their surroundings are a ground, not an edge.
_CONTRAST = 64
#: The lightest grey that may become black, where a stroke is thinner than a dot; the darkest that may become white: modules that
#: were drawn one by one have seams of three quarters black between them.
_LIGHTEST, _DARKEST = 208, 96


def _dots(grey: Grey, dither: Dither, per_mm: float) -> Dots:
    """Rows of dots of a grey page."""
    if dither == "diffusion":
        return _diffused(grey)
    low, high = _surroundings(grey)
    black = _sharp(grey, low, high)
    if dither == "auto":
        photographs = _photographs(grey, low, high, per_mm)
        if photographs.any():
            import numpy as np

            # Outside of them there is nothing left over that could spill into them.
            settled = np.where(photographs, grey, np.where(black, 0, 255)).astype(np.uint8)
            black = np.where(photographs, _diffused(settled), black)
    return black


def _surroundings(grey: Grey) -> tuple[Grey, Grey]:
    """The darkest and the lightest grey within two dots of each dot."""
    import numpy as np

    def spread(take: Any) -> Grey:
        rows = np.pad(grey, 2, mode="edge")
        rows = take(take(rows[:-4], rows[1:-3]), take(take(rows[2:-2], rows[3:-1]), rows[4:]))
        across = take(take(rows[:, :-4], rows[:, 1:-3]), take(rows[:, 2:-2], rows[:, 3:-1]))
        made: Grey = take(across, rows[:, 4:])
        return made

    return spread(np.minimum), spread(np.maximum)


def _sharp(grey: Grey, low: Grey, high: Grey) -> Dots:
    """Black is what is nearer to the darkest than to the lightest around: edges fall where the drawing has them, to half a
    dot, and strokes thinner than a dot survive; on an even ground black is what is darker than middle grey."""
    import numpy as np

    middle = (low.astype(np.uint16) + high + 1) >> 1
    threshold = np.where(high - low >= _CONTRAST, np.clip(middle, _DARKEST, _LIGHTEST), 128)
    black: Dots = grey < threshold
    return black


def _photographs(grey: Grey, low: Grey, high: Grey, per_mm: float) -> Dots:
    """Where photographs are, in fields of two millimetres.

    A field is toned if many of its dots are of a middle grey that is neither the soft edge of a letter or bar nor an even ground.
    A photograph is three by three toned fields that differ, and all toned fields that hang together with them; the fields
    beside it belong to it if they have any grey: they are its rim; and small holes are filled.
    """
    import numpy as np

    side = max(8, round(2 * per_mm))
    rows, columns = -(-grey.shape[0] // side), -(-grey.shape[1] // side)

    def total(dots: NDArray[Any]) -> NDArray[np.float64]:
        """The sum of each field."""
        padded = np.pad(dots, ((0, rows * side - grey.shape[0]), (0, columns * side - grey.shape[1])))
        made: NDArray[np.float64] = padded.reshape(rows, side, columns, side).sum(axis=(1, 3), dtype=float)
        return made

    def beside(fields: NDArray[Any], take: Any, around: float) -> NDArray[Any]:
        """The least or the greatest of each field and the eight round it."""
        edged = np.pad(fields, 1, constant_values=around)
        down = take(take(edged[:-2], edged[1:-1]), edged[2:])
        made: NDArray[Any] = take(take(down[:, :-2], down[:, 1:-1]), down[:, 2:])
        return made

    middle = (grey > 32) & (grey < 224)
    toned = middle & (high - low < 128) & (high > low)
    count = total(toned)
    fields = count > 0.3 * side * side
    level = total(np.where(toned, grey, 0)) / np.maximum(count, 1)
    differ = beside(level, np.maximum, 0) - beside(level, np.minimum, 255) >= 4
    found = beside(beside(fields, np.minimum, False) & differ, np.maximum, False)
    while True:
        grown = found | (beside(found, np.maximum, False) & fields)
        if (grown == found).all():
            break
        found = grown
    found = found | beside(beside(found, np.maximum, False), np.minimum, True)
    found = found | (beside(found, np.maximum, False) & (total(middle) > 0.02 * side * side))
    spread = np.repeat(np.repeat(found, side, axis=0), side, axis=1)
    made: Dots = spread[: grey.shape[0], : grey.shape[1]].astype(np.bool_)
    return made


def _diffused(grey: Grey) -> Dots:
    """The same grey on average: Floyd and Steinberg's error diffusion, by Pillow."""
    import numpy as np
    from PIL import Image

    return ~np.asarray(Image.fromarray(grey).convert("1"), np.bool_)


def _mark(black: Dots) -> ImageMark | None:
    """The dots as a picture cropped to its black; None if there is none."""
    import numpy as np

    down, across = np.flatnonzero(black.any(axis=1)), np.flatnonzero(black.any(axis=0))
    if not down.size:
        return None
    x, y = int(across[0]), int(down[0])
    inked = black[y : int(down[-1]) + 1, x : int(across[-1]) + 1]
    return ImageMark(
        x, y, inked.shape[1], inked.shape[0], np.packbits(inked, axis=1).tobytes(), source="picture"
    )
