"""Carriers' logos for labels: the operator's own pictures, for none is shipped with labelsvc.

Hides the folder, and what is wrong with a file in it: a label that can't have its carrier's logo shows the name.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from labelsvc.labels import one_bit
from labelsvc.log import get_logger

#: The most that a logo's file may weigh: it is stored with every label.
MAX_LOGO_BYTES = 64 * 1024
_CODE = re.compile(r"[A-Za-z0-9_-]{1,20}")
_PNG = b"\x89PNG\r\n\x1a\n"

_log = get_logger("waybills")


class CarrierLogos:
    """The logos in a folder, a file ``CODE.png`` a carrier; without a folder there are none. 快递公司标志"""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int], str]] = {}

    def of(self, carrier: str) -> str:
        """The logo of a carrier's code as a data URL; empty if there is none or its file is no good.

        A file is read again once it has changed. What is wrong with it goes to the log, once.
        """
        # A code comes from the network: only what can be no path is looked for.
        if self._folder is None or not _CODE.fullmatch(carrier):
            return ""
        file = self._folder / f"{carrier}.png"
        try:
            seen = file.stat()
            stamp = (seen.st_mtime_ns, seen.st_size)
        except OSError:
            stamp = (0, -1)
        known = self._read.get(carrier)
        if known and known[0] == stamp:
            return known[1]
        url, fault = _data_url(file, stamp[1])
        if fault:
            _log.warning("carrier.no_logo", carrier=carrier, reason=fault)
        self._read[carrier] = stamp, url
        return url


def _data_url(file: Path, size: int) -> tuple[str, str]:
    """The picture's data URL, or why there is none."""
    if size < 0:
        return "", "missing"
    if size > MAX_LOGO_BYTES:
        return "", "too_large"
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_LOGO_BYTES + 1)
        if not content.startswith(_PNG):
            return "", "not_png"
        one_bit(content, 8, 8)  # as a label would
    except (OSError, ValueError):
        return "", "unreadable"
    return f"data:image/png;base64,{base64.b64encode(content).decode()}", ""
