"""Looks for traces of texts in bytes: in the encodings that programs write, and inside what they pack.

Hides the encodings (UTF-8, UTF-16, GB18030; base64 at its three alignments, hex, URL, ``\\u``) and the unpacking (zlib, gzip,
raw deflate, base64, hex, also within each other).
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import quote_from_bytes

_TEXT_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "gb18030")
#: A shorter pattern would turn up in random bytes now and then.
_SHORTEST = 6
_LARGEST_UNPACKED = 8 << 20
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_HEX = re.compile(rb"[0-9a-fA-F]{16,}")
#: The first bytes of a gzip or (if the two are divisible by 31) a zlib stream.
_PACKED = re.compile(rb"\x1f\x8b\x08|[\x08\x18\x28\x38\x48\x58\x68\x78].", re.DOTALL)


def patterns(text: str) -> set[bytes]:
    """The byte strings as which ``text`` may stand somewhere; those too short to tell from chance are left out."""
    found: set[bytes] = set()
    for encoding in _TEXT_ENCODINGS:
        plain = text.encode(encoding)
        found |= {plain, plain.hex().encode(), plain.hex().upper().encode()}
        url = quote_from_bytes(plain, safe="").encode()
        found |= {url, re.sub(rb"%..", lambda hit: hit[0].lower(), url)}
        found.add("".join(f"_{byte:02X}" for byte in plain).encode())  # as ZPL's ^FH writes
        for shift in range(3):
            packed = base64.b64encode(b"\0" * shift + plain)
            # What hangs together with the neighbours is cut off: it depends on them.
            cut = (0, 3, 2)[(shift + len(plain)) % 3]
            piece = packed[(0, 2, 3)[shift] : len(packed) - cut]
            found |= {piece, piece.translate(bytes.maketrans(b"+/", b"-_"))}
    units = text.encode("utf-16-be")
    escaped = "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)).encode()
    mixed = "".join(
        c if c.isascii() else c.encode("ascii", "backslashreplace").decode() for c in text
    ).encode()
    found |= {escaped, escaped.replace(b"\\u", b"\\U"), mixed}
    found |= {re.sub(rb"(?<=\\u)[0-9a-f]{4}", lambda hit: hit[0].upper(), form) for form in (escaped, mixed)}
    return {pattern for pattern in found if len(pattern) >= _SHORTEST}


def find(texts: Iterable[str], data: bytes) -> set[str]:
    """Which of ``texts`` left a trace in ``data`` or in anything packed in it."""
    haystack = b"\n".join(dict.fromkeys(layers(data)))
    return {text for text in texts if any(form in haystack for form in patterns(text))}


def layers(data: bytes, depth: int = 3) -> Iterator[bytes]:
    """``data``, and what is packed in it, and in that."""
    yield data
    if depth:
        for inner in _unpacked(data):
            if len(inner) >= _SHORTEST:
                yield from layers(inner, depth - 1)


def _unpacked(data: bytes) -> Iterator[bytes]:
    # A run may begin with letters that belong to what stands before it: every alignment is tried.
    for run in _RUN.finditer(data):
        text = run[0]
        for at in range(2 if _HEX.fullmatch(text) else 0):
            yield bytes.fromhex(text[at : len(text) - (len(text) - at) % 2].decode())
        for at in range(0 if _HEX.fullmatch(text) else 4):
            whole = text[at : len(text) - (len(text) - at) % 4]
            yield base64.b64decode(whole.translate(bytes.maketrans(b"-_", b"+/")))
        for hex_run in _HEX.finditer(text) if not _HEX.fullmatch(text) else ():
            yield bytes.fromhex(hex_run[0][: len(hex_run[0]) // 2 * 2].decode())
    for head in _PACKED.finditer(data):
        at = head.start()
        if head[0][:1] == b"\x1f":
            yield _inflated(data[at:], 31)
        elif int.from_bytes(data[at : at + 2]) % 31 == 0:
            yield _inflated(data[at:], 15)
    # Raw deflate has no head to know it by: it is looked for where a value, a run or a member of an archive begins.
    yield _inflated(data, -15)
    for member in re.finditer(rb"PK\x03\x04.{22}(..)(..)", data, re.DOTALL):
        yield _inflated(
            data[member.end() + sum(int.from_bytes(part, "little") for part in member.groups()) :], -15
        )


def _inflated(data: bytes, kind: int) -> bytes:
    """What inflates from the start of ``data`` on, up to where it ends or breaks."""
    machine = zlib.decompressobj(kind)
    plain, at, piece = bytearray(), 0, 32
    try:
        while at < len(data) and not machine.eof and len(plain) < _LARGEST_UNPACKED:
            plain += machine.decompress(data[at : at + piece])
            at, piece = at + piece, piece * 2  # a small first bite tells most false starts apart cheaply
    except zlib.error:
        pass  # what came before the break still counts
    return bytes(plain)
