"""One HTTP request and its whole answer, within a time that nobody on the other side can stretch.

Hides urllib3, pooled connections and the fact that a socket's own time-out starts anew with every byte, so that an answer
that trickles would never end.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from labelsvc.waybills.carriers import NetworkSilent

_ANSWER_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 65536


class Exchange:
    """Posts forms to one address. Safe to use from several threads."""

    def __init__(self, url: str, connections: int) -> None:
        self._url = url
        # Redirects and retries stay off: whether something is asked twice isn't decided down here.
        self._pool = urllib3.PoolManager(maxsize=connections, retries=False)
        self._pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def post(self, fields: Mapping[str, str], timeout_s: float) -> tuple[int, bytes]:
        """The answer's status and body. Raises NetworkSilent after ``timeout_s`` at the latest."""
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                fields=dict(fields),
                encode_multipart=False,
                timeout=urllib3.Timeout(total=timeout_s),
                preload_content=False,
            )
            body = b""
            while chunk := answer.read(_CHUNK_BYTES):
                body += chunk
                if len(body) > _ANSWER_BYTES:
                    answer.close()
                    raise NetworkSilent("the carrier network's answer is too long", may_have_happened=True)
            answer.release_conn()
            return int(answer.status), body
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.LocationValueError,
        ):
            raise NetworkSilent("the carrier network can't be reached", may_have_happened=False) from None
        except (urllib3.exceptions.HTTPError, OSError):
            raise NetworkSilent("the carrier network doesn't answer", may_have_happened=True) from None

    def close(self) -> None:
        """Close the resting connections."""
        self._pool.clear()


class _Reading(io.RawIOBase):
    """A socket's bytes until a moment in time."""

    def __init__(self, raw: socket.SocketIO, sock: socket.socket, until: float) -> None:
        self._raw = raw
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Timed:
    """A connected socket that allows each answer the time-out once, and not once a byte."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client reads an answer from; made once an answer, so its time starts here."""
        until = time.monotonic() + (self._sock.gettimeout() or 0)
        return io.BufferedReader(_Reading(self._sock.makefile(mode, buffering=0), self._sock, until))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _Timed(self.sock)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _Timed(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
