"""Barcodes as a printer draws them itself, by other encoders than ours where there are any: Zint, for QR codes segno.

Hides their calls and Zint's packing of modules. Nothing of labelsvc is imported here.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

import numpy as np
import segno
import zint

#: Names of linear types as the printer languages' manuals give them, to Zint's.
LINEAR = {
    "128": "CODE128",
    "EAN128": "GS1_128",
    "39": "CODE39",
    "39C": "CODE39",
    "39S": "EXCODE39",
    "93": "CODE93",
    "25": "C25INTER",
    "25C": "C25INTER",
    "25S": "C25STANDARD",
    "CODA": "CODABAR",
    "EAN13": "EANX",
    "EAN8": "EANX",
    "UPCA": "UPCA",
    "UPCE": "UPCE",
    "ITF14": "ITF14",
    "MSI": "MSI_PLESSEY",
    "PLESSEY": "PLESSEY",
    "TELEPEN": "TELEPEN",
    "11": "CODE11",
}


def _symbol(kind: str, data: bytes | str, mode: zint.InputMode | None = None, **options: int) -> zint.Symbol:
    symbol = zint.Symbol()
    symbol.symbology = getattr(zint.Symbology, kind)
    if mode is not None:
        symbol.input_mode = mode
    for name, value in options.items():
        setattr(symbol, name, value)
    symbol.encode(data)
    return symbol


def _rows(symbol: zint.Symbol) -> np.ndarray:
    """Modules as an array of bool, True where dark."""
    packed = np.array(symbol.encoded_data)[: symbol.rows]
    return np.unpackbits(packed, axis=1, bitorder="little")[:, : symbol.width].astype(bool)


@lru_cache(512)
def bars(kind: str, data: str) -> tuple[int, ...]:
    """Widths in modules, bar and space in turn, of a linear type named as in ``LINEAR`` or by Zint's own name."""
    row = _rows(_symbol(LINEAR.get(kind, kind), data))[0]
    return tuple(len(list(run)) for _, run in groupby(row.tolist()))


@lru_cache(512)
def code128(stretches: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
    """Code 128 with its code sets given: (("B", "YT"), ("C", "0012")); widths as ``bars`` gives them."""
    escaped = "".join(f"\\^{code_set}" + data.replace("\\^", "\\^^") for code_set, data in stretches)
    row = _rows(_symbol("CODE128", escaped, zint.InputMode.UNICODE | zint.InputMode.EXTRA_ESCAPE))[0]
    return tuple(len(list(run)) for _, run in groupby(row.tolist()))


@lru_cache(512)
def qrcode(data: bytes, level: str = "M", mask: int | None = None) -> np.ndarray:
    """A QR code, model 2, of the smallest version; ``level`` L, M, Q or H. Bytes are taken as UTF-8 without ECI."""
    symbol = segno.make(data, error=level, mask=mask, micro=False, boost_error=False)
    return np.array([list(row) for row in symbol.matrix], bool)


@lru_cache(128)
def datamatrix(data: bytes) -> np.ndarray:
    """A square Data Matrix of the smallest size."""
    return _rows(_symbol("DATAMATRIX", data, zint.InputMode.DATA, option_3=100))


@lru_cache(128)
def pdf417(data: bytes, columns: int = 0, level: int = -1) -> np.ndarray:
    """PDF417, a row of modules for each of its rows; ``columns`` 0 and ``level`` -1 leave the choice to the encoder."""
    return _rows(_symbol("PDF417", data, zint.InputMode.DATA, option_1=level, option_2=columns))
