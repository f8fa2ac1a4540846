"""Dots packed for the wire as ZPL takes them: hexadecimal, run lengths, deflate (Z64).

Hides the deflate library, the check sum, and how run lengths are found without looking at each dot by itself. Which packing serves
is the printer's profile's to say: every printer reads hexadecimal, nearly every one run lengths, Zebra's own and good copies Z64.

Source: Zebra Programming Guide, ^GF, "ZB64 Encoding and Compression", "Alternative Data Compression Scheme for ~DG".
"""

from __future__ import annotations

from base64 import b64encode
from binascii import crc_hqx
from typing import Literal

Packing = Literal["raw", "runs", "zip"]

#: Deflate's effort (libdeflate's levels). Beyond 9 it takes ten times as long for a twentieth fewer bytes, which pays
#: on a wire that carries some ten kB a second.
_EFFORT, _SLOW_LINK_EFFORT = 8, 11
#: Run lengths are cut after so many digits, so that a count is at most two letters.
_LONGEST_RUN = 400


def packed(bits: bytes, stride: int, packing: Packing, slow_link: bool = False) -> str:
    """Rows of ``stride`` bytes as the data of a ``^GF`` field. ``slow_link`` spends time to save bytes."""
    if packing == "zip":
        return z64(bits, _SLOW_LINK_EFFORT if slow_link else _EFFORT)
    return runs(bits, stride) if packing == "runs" else bits.hex().upper()


def z64(content: bytes, effort: int = _EFFORT) -> str:
    """``:Z64:``, the bytes deflated in base 64, and the CRC-16 of that text."""
    import deflate

    text = b64encode(deflate.zlib_compress(content, effort))
    return f":Z64:{text.decode('ascii')}:{crc_hqx(text, 0):04X}"


def runs(bits: bytes, stride: int) -> str:
    """Counted hexadecimal digits (g to z are twenties, G to Y ones), ``,`` for zeros to a row's end, ``:`` for the row before.

    (``!``, ones to the end, is left out: zpl-renderer-js takes it for the digit 1.)
    """
    import numpy as np

    rows = np.frombuffer(bits, np.uint8).reshape(-1, stride)
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    kept = rows[new]
    width = 2 * stride
    digits = np.empty((len(kept), width), np.uint8)
    digits[:, ::2] = kept >> 4
    digits[:, 1::2] = kept & 15
    flat = digits.reshape(-1)
    begins = np.ones(len(flat), np.bool_)
    begins[1:] = flat[1:] != flat[:-1]
    begins.reshape(-1, width)[:, ::_LONGEST_RUN] = True
    start = np.flatnonzero(begins)
    length = np.diff(start, append=len(flat))
    value = flat[start]
    # A run is up to four signs: twenties, ones, the digit, and the digit again where two are shorter than a count.
    signs = np.zeros((len(start), 4), np.uint8)
    counted = length > 2
    twenties, ones = np.divmod(length, 20)
    signs[:, 0] = np.where(counted & (twenties > 0), twenties + ord("f"), 0)
    signs[:, 1] = np.where(counted & (ones > 0), ones + ord("F"), 0)
    signs[:, 2] = np.frombuffer(b"0123456789ABCDEF", np.uint8)[value]
    signs[:, 3] = np.where(length == 2, signs[:, 2], 0)
    last = np.append(start[1:] % width == 0, True)
    blank = last & (value == 0)
    signs[blank] = (0, 0, ord(","), 0)
    # A long run of zeros at the end was cut into several: the comma stands for all of them.
    before = np.append(blank[1:] & (value[:-1] == 0) & ~last[:-1], False)
    while before.any():
        signs[before] = 0
        before = np.append(before[1:] & (value[:-1] == 0) & ~last[:-1], False)
    said = signs.reshape(-1)
    shown = said > 0
    # Where each kept row ends, and how many rows like it follow.
    ends = np.cumsum(shown.reshape(-1, 4).sum(axis=1))[last]
    follow = np.diff(np.flatnonzero(new), append=len(rows)) - 1
    text = np.insert(said[shown], np.repeat(ends, follow), ord(":"))
    return text.tobytes().decode("ascii")
