"""The tray that labels fall into, and the odometer that counts them for life.

Hides how a label and its count become one fact: a label is out when its file has its name, and the name
carries the odometer, so that a program killed at any moment never has the one without the other.

    000001-17.zpl    the first label in this tray, the printer's 17th, its bytes; named after the language
    cut-0001.zpl     a label that was cut off within and does not count
    odometer         labels printed in all; survives when the labels are taken out of the tray
    mileage          millimetres of labels printed in all; may lag behind by the last one
"""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

_LABEL = re.compile(r"(\d{6,9})-(\d{1,12})\.[a-z]+")
_CUT = re.compile(r"cut-(\d{4,9})\.[a-z]+")


class TrayInUse(RuntimeError):
    """Another printer drops its labels there."""


class Tray:
    """One directory, made if missing; held by one printer at a time (raises TrayInUse, OSError).  Not safe
    for several threads."""

    def __init__(self, directory: Path, suffix: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._suffix = suffix
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
        self._cuts = max((_cut_number(name) for name in self.cut_labels()), default=0)
        self.odometer = max([self._stored("odometer"), *(count for _, count in labels)])
        self.length_mm = self._stored("mileage")

    def drop(self, raw: bytes, length_mm: float) -> str:
        """A label has come out.  Returns its file's name; the odometer has risen by one."""
        name = f"{self._order + 1:06d}-{self.odometer + 1}.{self._suffix}"
        self._write(name, raw)
        self._order += 1
        self.odometer += 1
        self.length_mm += round(length_mm)
        self._write("odometer", f"{self.odometer}\n".encode("ascii"))
        self._write("mileage", f"{self.length_mm}\n".encode("ascii"))
        return name

    def drop_cut(self, raw: bytes) -> None:
        """A label that ended half way; the odometer stays."""
        self._cuts += 1
        self._write(f"cut-{self._cuts:04d}.{self._suffix}", raw)

    def labels(self) -> list[str]:
        """Names of the labels in the tray, in the order they came out."""
        return sorted((p.name for p in self._directory.iterdir() if _LABEL.fullmatch(p.name)), key=_parts)

    def cut_labels(self) -> list[str]:
        return sorted(
            (p.name for p in self._directory.iterdir() if _CUT.fullmatch(p.name)),
            key=_cut_number,
        )

    def read(self, name: str) -> bytes | None:
        """The bytes of a label, cut or whole; None if there is none of that name."""
        if not (_LABEL.fullmatch(name) or _CUT.fullmatch(name)):
            return None
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def _stored(self, name: str) -> int:
        try:
            return int((self._directory / name).read_text("ascii"))
        except FileNotFoundError:
            return 0

    def _write(self, name: str, content: bytes) -> None:
        # No fsync: the file must outlive this process, not the machine's power.
        temporary = self._directory / f".{name}.tmp"
        temporary.write_bytes(content)
        temporary.replace(self._directory / name)


def _parts(name: str) -> tuple[int, int]:
    order, count = name.partition(".")[0].split("-")
    return int(order), int(count)


def _cut_number(name: str) -> int:
    return int(name.partition(".")[0].removeprefix("cut-"))
