"""Pictures that templates name by an address: fetched from allowed places only, within bounds, once a job.

Hides HTTP and files. A template is a stranger's text: without a host or a folder that the operator allowed, nothing is
fetched at all, so that no template can make this machine ask another one, or read a file.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from labelsvc.errors import Refused, Unavailable

#: The most that the pictures of one document may weigh.
MAX_BYTES = 2 * 1024 * 1024
_TIMEOUT_S = 5.0
_CHUNK = 64 * 1024


class PictureSources:
    """The hosts (``cdn.example.com``, with ``:port`` where it isn't the scheme's own) and the folder that are allowed."""

    def __init__(self, hosts: Collection[str] = (), folder: Path | None = None) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._folder = folder.resolve() if folder else None
        self._pool: Any = None

    def fetch(self, source: str, spent: int = 0) -> bytes:
        """A picture's bytes, of which all pictures of a document may take ``MAX_BYTES``; ``spent`` are gone already.

        Raises Refused ``image.not_allowed``, ``image.too_large`` and Unavailable ``image.unavailable``; the address isn't
        in the message, because what stands behind the host may be personal.
        """
        try:
            parts = urlsplit(source)
            host = parts.netloc.lower()
        except ValueError:
            raise _not_allowed() from None
        left = MAX_BYTES - spent
        if parts.scheme == "file":
            return self._read(unquote(parts.path), left)
        if parts.scheme in {"http", "https"} and host in self._hosts:
            return self._get(source, left)
        raise _not_allowed()

    def _read(self, path: str, left: int) -> bytes:
        if self._folder is None or "\0" in path:
            raise _not_allowed()
        # Resolved, so that neither ".." nor a link leads out of the folder.
        file = Path(path).resolve()
        if not file.is_relative_to(self._folder):
            raise _not_allowed()
        try:
            if not file.is_file():
                raise _unavailable()
            with file.open("rb") as opened:
                content = opened.read(left + 1)
        except OSError:
            raise _unavailable() from None
        if len(content) > left:
            raise _too_large()
        return content

    def _get(self, source: str, left: int) -> bytes:
        import urllib3

        if self._pool is None:
            self._pool = urllib3.PoolManager(
                num_pools=4,
                timeout=urllib3.Timeout(total=_TIMEOUT_S),
                retries=False,
                cert_reqs="CERT_REQUIRED",
            )
        end = time.monotonic() + _TIMEOUT_S
        gathered = bytearray()
        try:
            # No redirect is followed: it could lead to a host that nobody allowed.
            answer = self._pool.request("GET", source, redirect=False, preload_content=False)
            try:
                if answer.status != 200:
                    raise _unavailable()
                # What is there already, and not a whole chunk: a host that drips mustn't hold us longer than the time we give.
                while chunk := answer.read1(_CHUNK, decode_content=False):
                    gathered += chunk
                    if len(gathered) > left:
                        raise _too_large()
                    if time.monotonic() > end:
                        raise _unavailable()
            finally:
                answer.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            raise _unavailable() from None
        return bytes(gathered)


def _not_allowed() -> Refused:
    return Refused("the picture's place isn't among the allowed hosts and folders", code="image.not_allowed")


def _too_large() -> Refused:
    return Refused(f"the pictures weigh more than {MAX_BYTES // 1024} KiB", code="image.too_large")


def _unavailable() -> Unavailable:
    return Unavailable("the picture can't be had", code="image.unavailable")
