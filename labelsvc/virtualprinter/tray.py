"""The tray that labels fall into, and the odometer that counts them for life.

Hides how a label and its count become one fact: a label is out when its file has its name, and the name
carries the odometer, so that a program killed at any moment never has the one without the other.

    000001-17.zpl    the first label in this tray, the printer's 17th, its bytes
    cut-0001.zpl     a label that was cut off within and does not count
    odometer         labels printed in all; survives when the labels are taken out of the tray
"""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

_LABEL = re.compile(r"(\d{6,9})-(\d{1,12})\.zpl")
_CUT = re.compile(r"cut-(\d{4,9})\.zpl")


class TrayInUse(RuntimeError):
    """Another printer drops its labels there."""


class Tray:
    """One directory, made if missing; held by one printer at a time (raises TrayInUse, OSError).  Not safe
    for several threads."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._lock = (directory / "in-use").open("w")  # kept open: closing it gives the tray away
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise TrayInUse("another printer uses this tray") from None
        for left_over in directory.glob(".*.tmp"):
            left_over.unlink()
        labels = [_parts(name) for name in self.labels()]
        self._order = max((order for order, _ in labels), default=0)
        self._cuts = max((int(name[4:-4]) for name in self.cut_labels()), default=0)
        self.odometer = max([self._stored_odometer(), *(count for _, count in labels)])

    def drop(self, raw: bytes) -> str:
        """A label has come out.  Returns its file's name; the odometer has risen by one."""
        name = f"{self._order + 1:06d}-{self.odometer + 1}.zpl"
        self._write(name, raw)
        self._order += 1
        self.odometer += 1
        self._write("odometer", f"{self.odometer}\n".encode("ascii"))
        return name

    def drop_cut(self, raw: bytes) -> None:
        """A label that ended half way; the odometer stays."""
        self._cuts += 1
        self._write(f"cut-{self._cuts:04d}.zpl", raw)

    def labels(self) -> list[str]:
        """Names of the labels in the tray, in the order they came out."""
        return sorted((p.name for p in self._directory.iterdir() if _LABEL.fullmatch(p.name)), key=_parts)

    def cut_labels(self) -> list[str]:
        return sorted(
            (p.name for p in self._directory.iterdir() if _CUT.fullmatch(p.name)),
            key=lambda name: int(name[4:-4]),
        )

    def read(self, name: str) -> bytes | None:
        """The bytes of a label, cut or whole; None if there is none of that name."""
        if not (_LABEL.fullmatch(name) or _CUT.fullmatch(name)):
            return None
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def _stored_odometer(self) -> int:
        try:
            return int((self._directory / "odometer").read_text("ascii"))
        except FileNotFoundError:
            return 0

    def _write(self, name: str, content: bytes) -> None:
        # No fsync: the file must outlive this process, not the machine's power.
        temporary = self._directory / f".{name}.tmp"
        temporary.write_bytes(content)
        temporary.replace(self._directory / name)


def _parts(name: str) -> tuple[int, int]:
    order, count = name.removesuffix(".zpl").split("-")
    return int(order), int(count)
