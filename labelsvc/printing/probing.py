"""Asks a printer what it is, in an order that does no harm to one of another kind; hides queries and patience.

1. Its IEEE 1284 id, where the wire has one: no byte reaches the printer's language.
2. ``DLE EOT 1``: control bytes, which print nothing anywhere. Whoever answers is ESC/POS, and is asked no text.
3. ``<ESC>!?``: no line, so that a label printer of another kind drops it. Whoever answers is TSPL.
4. ``~HI``: nothing to a label printer; a receipt printer that was silent so far prints these three letters with its next line.

Only when a person asks, and only of an idle printer: in the middle of a label any of these may spoil it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from labelsvc.languages import identity
from labelsvc.languages.identity import Identity
from labelsvc.printing.transports import Link

_LONGEST_REPLY = 1024

Answer = TypeVar("Answer")


@runtime_checkable
class Named(Protocol):
    """A link that knows the IEEE 1284 id of its device."""

    def device_id(self) -> str: ...


def ask(link: Link, answer_s: float = 0.5) -> tuple[Identity, tuple[str, ...]]:
    """What the printer at ``link`` says it is, and by which answers. Takes up to four times ``answer_s`` of silence.

    Raises TransportBroken.
    """
    if isinstance(link, Named):
        text = link.device_id()
        known = identity.read_device_id(text)
        if known.model and known.languages:
            return known, ("IEEE 1284",)
        said: tuple[str, ...] = ("IEEE 1284",) if text else ()
    else:
        known, said = Identity(), ()
    answer, answered = _by_language(link, answer_s)
    return known.merged(answer), said + answered


def _by_language(link: Link, answer_s: float) -> tuple[Identity, tuple[str, ...]]:
    def put(query: bytes, read: Callable[[bytes], Answer | None]) -> Answer | None:
        return _put(link, query, read, answer_s)

    if put(identity.ESCPOS_QUERY, identity.is_escpos):
        maker = put(identity.ESCPOS_MAKER_QUERY, identity.read_escpos_text) or ""
        model = put(identity.ESCPOS_MODEL_QUERY, identity.read_escpos_text) or ""
        return Identity(maker, model, ("escpos",)), ("DLE EOT", *(["GS I"] if maker or model else []))
    if put(identity.TSPL_QUERY, identity.is_tspl):
        model = put(identity.TSPL_MODEL_QUERY, identity.read_tspl_model) or ""
        return Identity("", model, ("tspl",), identity.said_dpi(model)), (
            "<ESC>!?",
            *(["~!T"] if model else []),
        )
    host = put(identity.ZPL_QUERY, identity.read_host_identity)
    if host is not None:
        model = put(identity.ZPL_MODEL_QUERY, identity.read_zpl_model) or ""
        said = Identity("", model).merged(host)
        return said, ("~HI", *(["SGD"] if model else []))
    return Identity(), ()


def _put(link: Link, query: bytes, read: Callable[[bytes], Answer | None], answer_s: float) -> Answer | None:
    for _ in range(16):  # what was said before the question isn't its answer
        if not link.read(0):
            break
    link.write(query, "")
    reply, end = b"", time.monotonic() + answer_s
    while (left := end - time.monotonic()) > 0 and len(reply) < _LONGEST_REPLY:
        reply += link.read(left)
        answer = read(reply)
        if answer is not None:
            return answer
    return None
