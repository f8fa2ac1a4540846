"""What a printer says it is: the questions of each language, and their answers as an Identity. Pure.

Hides that every language says it otherwise, and that an answer may be cut, garbled, or another question's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: DLE EOT 1: control bytes that print nothing anywhere, answered by ESC/POS printers (Epson, DLE EOT).
ESCPOS_QUERY = b"\x10\x04\x01"
#: GS I 66 and 67: maker and model, as text (Epson, GS I).
ESCPOS_MAKER_QUERY = b"\x1dI\x42"
ESCPOS_MODEL_QUERY = b"\x1dI\x43"
#: <ESC>!?: no line of text, answered by one byte even in an error (TSC, TSPL/TSPL2 Programming).
TSPL_QUERY = b"\x1b!?"
#: ~!T: the model, as text (the same). Ends the line first that the control bytes before it may have begun.
TSPL_MODEL_QUERY = b"\r\n~!T\r\n"
#: ~HI: model, firmware, dots a mm, memory (Zebra, ZPL programming guide). On a receipt printer it is text.
ZPL_QUERY = b"~HI\r\n"
#: The model alone (Zebra, SGD device.product_name).
ZPL_MODEL_QUERY = b'! U1 getvar "device.product_name"\r\n'

_HOST = re.compile(rb"\x02([^\x02\x03,]{1,60}),([^\x02\x03,]{0,40}),([0-9]{1,2}),[^\x02\x03]{0,60}\x03")
_DPI = {6: 152, 8: 203, 12: 300, 24: 600}
_SAID_DPI = re.compile(r"(?<![0-9])([0-9]{3}) ?dpi", re.IGNORECASE)
_SPOKEN = {
    "zpl": re.compile(r"(?<![A-Z])ZPL", re.IGNORECASE),
    "tspl": re.compile(r"(?<![A-Z])TSPL", re.IGNORECASE),
    "escpos": re.compile(r"ESC ?/? ?POS|(?<![A-Z])EPSON", re.IGNORECASE),
    "cpcl": re.compile(r"(?<![A-Z])CPCL", re.IGNORECASE),
}


@dataclass(frozen=True)
class Identity:
    """What is known of a printer's kind; empty: not known. ``languages`` are keys of ``LANGUAGES``, as it names them."""

    maker: str = ""
    model: str = ""
    languages: tuple[str, ...] = ()
    dpi: int | None = None

    def merged(self, other: Identity) -> Identity:
        """This one, its gaps filled from ``other``."""
        return Identity(
            self.maker or other.maker,
            self.model or other.model,
            self.languages or other.languages,
            self.dpi or other.dpi,
        )


def read_device_id(text: str) -> Identity:
    """An IEEE 1284 device id: ``MFG:…;MDL:…;CMD:…;`` or the long keys; also an empty one."""
    fields: dict[str, str] = {}
    for part in text[:1024].split(";"):
        key, _, value = part.partition(":")
        fields.setdefault(key.strip().upper(), _plain(value))
    model = fields.get("MDL") or fields.get("MODEL", "")
    commands = fields.get("CMD") or fields.get("COMMAND SET", "")
    return Identity(
        fields.get("MFG") or fields.get("MANUFACTURER", ""), model, spoken(commands), said_dpi(model)
    )


def described(maker: str, model: str) -> Identity:
    """What a descriptor or an announcement calls it; says nothing of its language."""
    model = _plain(model)
    return Identity(_plain(maker), model, (), said_dpi(model))


def spoken(text: str) -> tuple[str, ...]:
    """The languages that a list of command sets names, in its order."""
    found = {
        name: match.start() for name, pattern in _SPOKEN.items() if (match := pattern.search(text[:1024]))
    }
    return tuple(sorted(found, key=lambda name: found[name]))


def said_dpi(text: str) -> int | None:
    """The resolution in a model's name such as ``ZTC ZD421-203dpi ZPL``."""
    match = _SAID_DPI.search(text)
    # Zebra's heads of 8 dots a mm are called 200 dpi in some names (ZTC ZT230-200dpi ZPL).
    return {200: 203}.get(int(match[1]), int(match[1])) if match else None


def is_escpos(reply: bytes) -> bool | None:
    """Whether what came is the answer to ``ESCPOS_QUERY``: bits 1 and 4 set, 0 and 7 clear; None while nothing came."""
    return reply[-1] & 0x93 == 0x12 if reply else None


def is_tspl(reply: bytes) -> bool | None:
    """Whether what came is the answer to ``TSPL_QUERY``, one byte; None while nothing came."""
    return len(reply) == 1 if reply else None


def read_escpos_text(reply: bytes) -> str | None:
    """The text of ``GS I``: an underscore, text, NUL; None while it isn't whole."""
    start, end = reply.find(b"_"), reply.find(b"\0")
    return _text(reply[start + 1 : end]) if 0 <= start < end else None


def read_tspl_model(reply: bytes) -> str | None:
    """The model of ``~!T``, up to the end of its line; None while it isn't whole."""
    line, end, _ = reply.lstrip(b"\r\n").partition(b"\r")
    return _text(line) if end else None


def read_host_identity(reply: bytes) -> Identity | None:
    """The answer to ``~HI``; None while it isn't whole."""
    match = _HOST.search(reply)
    if match is None:
        return None
    model = _text(match[1])
    return Identity("", model, ("zpl",), _DPI.get(int(match[3])) or said_dpi(model))


def read_zpl_model(reply: bytes) -> str | None:
    """The answer to ``ZPL_MODEL_QUERY``, in quotes; empty if the printer doesn't know; None while it isn't whole."""
    match = re.search(rb'"([^"]{0,80})"', reply)
    return None if match is None else _text(match[1]).strip("?")


def _text(raw: bytes) -> str:
    return _plain(raw.decode("ascii", "replace"))


def _plain(text: str) -> str:
    """At most 60 printable characters: a device's words are shown to people and must not be more than words."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:60]
