"""A directory that takes one file per label: ``file:///DIR``.

Hides how a file comes to be whole or not at all, also at a power cut: written beside, synced, then renamed.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote

from labelsvc.errors import Invalid
from labelsvc.printing.transports.link import Guarded, TransportBroken

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


def parse(parts: SplitResult) -> Directory:
    """``file:///DIR``, absolute. Raises Invalid on field ``uri``."""
    path = Path(unquote(parts.path))
    if parts.netloc or parts.query or parts.fragment or not path.is_absolute() or ".." in path.parts:
        raise Invalid("must be file:///DIR with an absolute path", code="uri.invalid", field="uri")
    return Directory(path)


@dataclass(frozen=True)
class Directory:
    """A directory as a printer."""

    path: Path
    answers: bool = False
    local: bool = True

    def require(self) -> None:
        """Raise Invalid on field ``uri`` unless it exists on this machine."""
        if not self.path.is_dir():
            raise Invalid("names a directory that doesn't exist", code="uri.invalid", field="uri")

    def connect(self) -> DirectoryLink:
        """Look whether it is there. Raises TransportBroken ``unreachable``."""
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise TransportBroken("the directory can't be written to", reason="unreachable")
        return DirectoryLink(self.path)


class DirectoryLink(Guarded):
    """The directory, in use."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def write(self, data: bytes, name: str) -> None:
        """Leave ``data`` as the file ``name``, whole; before the rename nothing has left."""
        if not _NAME.fullmatch(name):
            raise ValueError("not a plain file name")
        draft = self._path / f".{name}.part"
        sent = 0
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self.require_leave(0)
            sent = len(data)  # a rename that reports a fault may have been done
            draft.rename(self._path / name)
            folder = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except TransportBroken:
            with suppress(OSError):
                draft.unlink()
            raise
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            if sent and not (self._path / name).exists():
                sent = 0
            raise TransportBroken(
                f"the file can't be written ({type(error).__name__})", reason="broken", sent=sent
            ) from None

    def flush(self) -> None:
        """A written file is synced."""

    def read(self, timeout_s: float) -> bytes:
        """A directory says nothing."""
        return b""

    def close(self) -> None:
        """Nothing to give free."""

    def abort(self) -> None:
        """Nothing to break off."""
