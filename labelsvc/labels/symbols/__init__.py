"""Barcodes as modules: every type that CNPL names, checked before a bar is drawn.

Hides the encoders and their tables: ``encode(kind, data)`` is the whole of it, ``KINDS`` says what each type needs on paper.
``code128`` and ``qrcode`` are the two that every label has. Nothing here knows of dots, MaxiCode's picture apart: a
symbol is its modules, without the quiet zone.
"""

from labelsvc.labels.symbols.code_128 import CodeSet, code128
from labelsvc.labels.symbols.encoding import encode
from labelsvc.labels.symbols.gs1 import SEPARATOR as GS1_SEPARATOR
from labelsvc.labels.symbols.kinds import (
    BAR_HEIGHT_SHARE,
    KINDS,
    Bars,
    Family,
    Kind,
    Level,
    Matrix,
    Plan,
)
from labelsvc.labels.symbols.maxicode import Picture
from labelsvc.labels.symbols.qr import qrcode

#: Modules that must stay free left and right of a Code 128 symbol, and all round a QR code.
CODE128_QUIET = KINDS["code128"].quiet_left
QRCODE_QUIET = KINDS["qrcode"].quiet_around

__all__ = [
    "BAR_HEIGHT_SHARE",
    "CODE128_QUIET",
    "GS1_SEPARATOR",
    "KINDS",
    "QRCODE_QUIET",
    "Bars",
    "CodeSet",
    "Family",
    "Kind",
    "Level",
    "Matrix",
    "Picture",
    "Plan",
    "code128",
    "encode",
    "qrcode",
]
