"""Readers that this project did not write: they draw, decode and read what its languages produced.

Hides how each is called (zplkit, zpl-renderer-js through node, pypdfium2, zxing-cpp, RapidOCR) and that some may be missing.
"""

from __future__ import annotations

import atexit
import base64
import io
import json
import logging
import shutil
import subprocess
import threading
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

#: The renderer's remark that its font is not the printer's to the last dot: no fault of the ZPL.
_FONT_REMARK = "Resident fonts use captured bitmap strikes"
_NODE = Path(__file__).parent / "node"


def zpl_to_image(
    zpl: bytes, size: tuple[int, int], dpi: int = 203, profile: str = "specification", fonts: bytes = b""
) -> Image.Image:
    """The one label of a ZPL stream drawn by zplkit, black on white; ``size`` in dots.

    Strict: a command or parameter that it doesn't know raises ValueError, and so does any warning but the one on its fonts.
    ``profile`` may also be ``zd621``, which follows that printer's firmware. ``fonts`` are ~DY commands of fonts that the
    printer holds already, as ``resident_font`` makes them.
    """
    import zplkit
    from zplkit.rendering import Limits

    options = zplkit.Options(profile=profile, width=size[0], height=size[1], dpi=dpi)
    # Whole labels of dots at 600 dpi are larger than what it takes by default.
    limits = Limits().replace(graphic_bytes=1 << 24, font_bytes=1 << 24, input_bytes=1 << 26)
    document = zplkit.render(fonts + zpl, options, limits=limits)
    warnings = [warning for warning in document.warnings if not warning.startswith(_FONT_REMARK)]
    if warnings:
        raise ValueError(f"zplkit warns: {warnings}")
    if len(document.labels) != 1:
        raise ValueError(f"the stream holds {len(document.labels)} labels")
    drawn = document.labels[0].rasterize()
    return Image.frombytes("L", (drawn.width, drawn.height), drawn.pixels)


def resident_font(name: str, characters: str) -> bytes:
    """ZPL that puts a font with some Chinese characters (Noto Sans SC) into a printer, as its maker does: ``name`` such as
    ``E:SIMSUN.TTF``."""
    stem, _, kind = name.partition(".")
    if kind.upper() != "TTF":
        raise ValueError(f"{name} is no TrueType font")
    font = _font_with("".join(sorted(set(characters))))
    return f"~DY{stem},A,T,{len(font)},,".encode() + font.hex().upper().encode()


@lru_cache(4)
def _font_with(characters: str) -> bytes:
    from fontTools import subset
    from fontTools.ttLib import TTFont
    from fontTools.varLib.instancer import instantiateVariableFont

    font = TTFont(str(files("justmytype_intl_cjk") / "fonts" / "ofl" / "notosanssc" / "NotoSansSC[wght].ttf"))
    options = subset.Options(notdef_outline=True, layout_features=[])
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters)
    cutter.subset(font)
    made = io.BytesIO()
    instantiateVariableFont(font, {"wght": 500}).save(made)
    return made.getvalue()


def missing_js() -> str | None:
    """Why zpl-renderer-js can't be used here; None if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (_NODE / "node_modules" / "zpl-renderer-js").is_dir():
        return "zpl-renderer-js is not installed: run npm ci in tests/support/node"
    return None


def zpl_to_image_js(
    zpl: bytes, size: tuple[int, int], dpi: int = 203
) -> tuple[Image.Image | None, str | None]:
    """(the label drawn by zpl-renderer-js, None), or (None, the reason) if node or the package is missing.

    ``size`` is in dots. ValueError if it refuses the ZPL.
    """
    reason = missing_js()
    if reason:
        return None, reason
    # The size is given in mm at a whole number of dots a mm; only the dots that come out matter.
    per_mm = {203: 8, 300: 12, 600: 24}[dpi]
    asked = {
        "zpl": base64.b64encode(zpl).decode(),
        "width": size[0] / per_mm,
        "height": size[1] / per_mm,
        "density": per_mm,
    }
    answer = _Renderer.running().ask(asked)
    if "error" in answer:
        raise ValueError(f"zpl-renderer-js refuses: {answer['error'][-300:]}")
    picture = Image.open(io.BytesIO(base64.b64decode(answer["png"]))).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("L"), None


class _Renderer:
    """zpl-renderer-js in a Node of its own, kept for all labels of this process."""

    _one: _Renderer | None = None

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", str(_NODE / "draw.cjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        atexit.register(self.process.kill)

    @classmethod
    def running(cls) -> _Renderer:
        if cls._one is None or cls._one.process.poll() is not None:
            cls._one = cls()
        return cls._one

    def ask(self, asked: dict[str, Any]) -> dict[str, str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        late = threading.Timer(60, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(json.dumps(asked).encode() + b"\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        finally:
            late.cancel()
        return json.loads(answer) if answer else {"error": "it ended"}


def pdf_to_image(pdf: bytes, dpi: float = 203.2) -> Image.Image:
    """The first page of a PDF drawn by PDFium, in grey."""
    import pypdfium2

    document = pypdfium2.PdfDocument(pdf)
    try:
        return document[0].render(scale=dpi / 72, grayscale=True).to_pil()
    finally:
        document.close()


def pdf_text(pdf: bytes) -> str:
    """The text of a PDF's first page as PDFium extracts it, lines ended by ``\\n``."""
    import pypdfium2

    document = pypdfium2.PdfDocument(pdf)
    try:
        return document[0].get_textpage().get_text_range().replace("\r\n", "\n")
    finally:
        document.close()


def pdf_size(pdf: bytes) -> tuple[float, float]:
    """(width, height) of a PDF's first page in points, as written in the file."""
    import pypdf

    box = pypdf.PdfReader(io.BytesIO(pdf)).pages[0].mediabox
    return float(box.width), float(box.height)


def pypdf_text(pdf: bytes) -> str:
    """The text of a PDF's first page as pypdf extracts it."""
    import pypdf

    return pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text()


def decode(image: Image.Image) -> list[tuple[str, str]]:
    """(format, text) of every barcode that zxing-cpp finds, such as ``("Code 128", "YT0012345678901")``."""
    import zxingcpp

    return [(str(found.format), found.text) for found in zxingcpp.read_barcodes(image.convert("L"))]


def ocr_line(image: Image.Image, box: tuple[int, int, int, int]) -> str:
    """What RapidOCR's recognition reads in one line's box (left, top, right, bottom); nothing is searched for."""
    import numpy

    piece = image.convert("L").crop(box)
    height = 48  # what its model works on
    piece = piece.resize(
        (max(1, round(piece.width * height / piece.height)), height), Image.Resampling.LANCZOS
    )
    found = _ocr()(numpy.asarray(piece.convert("RGB")), use_det=False, use_cls=False, use_rec=True)
    return "".join(found.txts or ())


@cache
def _ocr():
    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    # One thread: other tests run beside.
    threads = {f"EngineConfig.onnxruntime.{name}_op_num_threads": 1 for name in ("intra", "inter")}
    engine = RapidOCR(params={"Global.log_level": "error", **threads})
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return engine
