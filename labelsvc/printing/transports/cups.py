"""The system's print queue: ``cups://QUEUE``, or ``cups://HOST:PORT/QUEUE`` on another machine.

Hides IPP (RFC 8010, RFC 8011) and where CUPS listens. Bytes go as they are (``application/vnd.cups-raw``); nothing comes back
from the printer. A job that CUPS calls completed was handed to the device, which proves no label. CUPS itself sends a job
again from its beginning after it was killed; what that can lead to stands in docs/printing.md.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote

from labelsvc.errors import Invalid
from labelsvc.printing.transports.link import Guarded, StallClock, TransportBroken

_QUEUE = re.compile(r"[^\s/#?'\"<>&\\]{1,127}")
_HOST = re.compile(r"[0-9A-Za-z._-]{1,253}|[0-9a-fA-F:.]{2,45}")
_SOCKET = "/run/cups/cups.sock"
_PORT = 631
_CHUNK = 16 * 1024
_LONGEST_ANSWER = 256 * 1024
_POLL_S = (0.02, 0.25)
_USER = "labelsvc"
_USERS = ("requesting-user-name-allowed", "requesting-user-name-denied")
_RAW = "application/vnd.cups-raw"

# RFC 8011: operations (5.4.15), job states (5.3.7), printer states (5.4.11).
_PRINT_JOB, _VALIDATE_JOB, _CANCEL_JOB, _GET_JOB, _GET_PRINTER = 0x0002, 0x0004, 0x0008, 0x0009, 0x000B
_CANCELED, _ABORTED, _COMPLETED = 7, 8, 9
_STOPPED = 5
# RFC 8010, 3.5: delimiters and value types.
_OPERATION, _END = 0x01, 0x03
_INTEGER, _BOOLEAN, _ENUM = 0x21, 0x22, 0x23
_NAME, _KEYWORD, _URI, _CHARSET, _LANGUAGE, _MIME = 0x42, 0x44, 0x45, 0x47, 0x48, 0x49
NO_SUCH_QUEUE, STOPPED = "CUPS has no such queue", "the queue is stopped"
#: Statuses that a queue is likely to answer (RFC 8011, appendix B).
_SAYS = {
    0x0401: ("no_permission", "this user may not print on the queue"),
    0x0402: ("no_permission", "the queue asks for a password"),
    0x0403: ("no_permission", "this user may not print on the queue"),
    0x0406: ("unreachable", NO_SUCH_QUEUE),
    0x040A: ("refused", "the queue takes no raw bytes"),
    0x0506: ("not_accepting", "the queue takes no jobs"),
}
#: Why a queue stopped (RFC 8011, 5.4.12; with -report, -warning or -error behind them), as the spooler's word.
_REASONS = {
    "media-empty": "paper_out",
    "media-needed": "paper_out",
    "cover-open": "head_open",
    "door-open": "head_open",
    "offline": "unreachable",
    "connecting-to-device": "unreachable",
    "paused": "paused",
}


def parse(parts: SplitResult) -> Queue:
    """``cups://QUEUE`` or ``cups://HOST:PORT/QUEUE``. Raises Invalid on field ``uri``."""
    host, port, name = "", _PORT, parts.netloc
    if parts.path.strip("/"):
        try:
            host, port, name = parts.hostname or "", parts.port or _PORT, parts.path.removeprefix("/")
        except ValueError:
            raise Invalid("names a port that can't be one", code="uri.invalid", field="uri") from None
        if parts.username or parts.password or not _HOST.fullmatch(host):
            raise Invalid("names no host that could exist", code="uri.invalid", field="uri")
    name = unquote(name)
    if parts.query or parts.fragment or not _QUEUE.fullmatch(name):
        raise Invalid("must be cups://QUEUE or cups://HOST:PORT/QUEUE", code="uri.invalid", field="uri")
    return Queue(name, host, port)


@dataclass(frozen=True)
class Queue:
    """A queue of CUPS. Without a ``host`` it is where ``CUPS_SERVER`` says, else on this machine.

    ``stall_s`` is how long a job may stand still in CUPS before it is cancelled there.
    """

    name: str
    host: str = ""
    port: int = _PORT
    answer_s: float = 5.0
    stall_s: float = 60.0
    answers: bool = False

    @property
    def local(self) -> bool:
        """Whether CUPS runs on this machine."""
        host, _ = self.address
        return host in ("localhost", "::1") or host.startswith(("/", "127."))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, or the path of a socket of this machine."""
        if self.host:
            return self.host, self.port
        server = os.environ.get("CUPS_SERVER", "")
        if not server:
            return (_SOCKET, 0) if Path(_SOCKET).exists() else ("localhost", _PORT)
        if server.startswith("/"):
            return server, 0
        host, _, port = server.partition("/")[0].partition(":")
        return host, int(port) if port.isdigit() else _PORT

    def connect(self) -> QueueLink:
        """Ask CUPS for the queue. Raises TransportBroken ``unreachable``, ``not_accepting``, ``paused`` ..."""
        link = QueueLink(self)
        link.require_ready()
        return link


class QueueLink(Guarded):
    """A queue, in use. Each question is a connection of its own: to this machine it costs nothing, and none is ever stale."""

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self._queue = queue
        self._job: int | None = None
        self._gone = threading.Event()
        self._printing: http.client.HTTPConnection | None = None

    def require_ready(self) -> None:
        """Raise TransportBroken, with nothing sent, unless the queue takes jobs and hands them on."""
        wanted = ("printer-state", "printer-state-reasons", "printer-is-accepting-jobs")
        said = self._ask(_GET_PRINTER, _requested(*wanted))
        if said.get("printer-is-accepting-jobs", [True]) == [False]:
            raise TransportBroken("the queue takes no jobs", reason="not_accepting")
        if said.get("printer-state") == [_STOPPED]:
            reasons = [
                re.sub(r"-(report|warning|error)$", "", str(r)) for r in said.get("printer-state-reasons", [])
            ]
            reason = next((_REASONS[r] for r in reasons if r in _REASONS), "paused")
            raise TransportBroken(STOPPED, reason=reason)

    def require_raw(self) -> None:
        """Raise TransportBroken unless the queue would take raw bytes from us; CUPS is asked, and gets no job (RFC 8011, 4.2.3)."""
        self._ask(_VALIDATE_JOB, _attribute(_MIME, "document-format", _RAW))
        # Of its list of users CUPS thinks only when the job comes; who is in a group (@) it alone knows.
        said = self._ask(_GET_PRINTER, _requested(*_USERS))
        allowed, denied = (set(map(str, said.get(name, []))) for name in _USERS)
        admitted = not allowed or allowed & {"all", _USER} or any(name.startswith("@") for name in allowed)
        if denied & {"all", _USER} or not admitted:
            raise TransportBroken("this user may not print on the queue", reason="no_permission")

    def write(self, data: bytes, name: str) -> None:
        """One job for ``data``, named ``name``; what CUPS refuses has surely not been printed."""
        self._require_open()
        self.require_leave(0)
        self.require_ready()
        self._job = None
        job = _attribute(_NAME, "job-name", name or "query") + _attribute(_MIME, "document-format", _RAW)
        head = self._request(_PRINT_JOB, job)
        sent = 0
        connection = self._printing = self._connection(self._queue.stall_s)
        try:
            connection.putrequest("POST", self._path, skip_accept_encoding=True)
            connection.putheader("Content-Type", "application/ipp")
            connection.putheader("Content-Length", str(len(head) + len(data)))
            connection.endheaders(head)
            for start in range(0, len(data), _CHUNK):
                self.require_leave(sent)
                sent = min(start + _CHUNK, len(data))  # of a piece that fails any part may have left
                connection.send(data[start:sent])
            said = _answered(connection)
        except (OSError, http.client.HTTPException) as fault:
            raise _broken(fault, sent) from None
        except TransportBroken as broken:
            # A refusal is certain; that the leave or the answer is gone is not.
            maybe = sent if broken.reason in ("lease_lost", "broken") else 0
            raise TransportBroken(broken.detail, reason=broken.reason, sent=maybe) from None
        finally:
            self._printing = None
            connection.close()
        number = said.get("job-id", [None])[0]
        if not isinstance(number, int):
            raise TransportBroken("CUPS answered without a job's number", reason="broken", sent=len(data))
        self._job = number

    def flush(self) -> None:
        """Wait until CUPS is done with the job: handed to the device, which is all that it knows."""
        clock = StallClock(self._queue.stall_s)
        pause = _POLL_S[0]
        try:
            while self._job is not None:
                self._require_open()
                said = self._ask(
                    _GET_JOB, self._the_job() + _requested("job-state", "job-k-octets-processed")
                )
                state = said.get("job-state", [0])[0]
                if state == _COMPLETED:
                    self._job = None
                elif state in (_CANCELED, _ABORTED):
                    self._job = None
                    raise TransportBroken("the job was given up in CUPS", reason="broken")
                else:
                    self.require_leave(0)
                    clock.look(int(state), int(said.get("job-k-octets-processed", [0])[0]))
                    self._gone.wait(pause)
                    pause = min(pause * 1.5, _POLL_S[1])
        except TransportBroken:
            self.abort()
            raise

    def read(self, timeout_s: float) -> bytes:
        """A queue says nothing of what its printer says."""
        self._gone.wait(timeout_s)
        return b""

    def close(self) -> None:
        """CUPS goes on with what it has."""
        self._gone.set()

    def abort(self) -> None:
        """Break off what is being handed over, and have CUPS cancel what it has not done."""
        self._gone.set()
        connection = self._printing
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        if self._job is not None:
            with suppress(TransportBroken):
                self._ask(_CANCEL_JOB, self._the_job())
            self._job = None

    # ------------------------------------------------------------ IPP

    def _require_open(self) -> None:
        if self._gone.is_set():
            raise TransportBroken("the queue was let go", reason="closed")

    @property
    def _path(self) -> str:
        return f"/printers/{quote(self._queue.name, safe='')}"

    def _the_job(self) -> bytes:
        assert self._job is not None
        return _attribute(_INTEGER, "job-id", self._job)

    def _request(self, operation: int, attributes: bytes) -> bytes:
        """A request's head; the operation attributes begin in the order that RFC 8011, 4.1.4 asks for."""
        return b"".join(
            (
                struct.pack(">BBHI", 2, 0, operation, 1),
                bytes([_OPERATION]),
                _attribute(_CHARSET, "attributes-charset", "utf-8"),
                _attribute(_LANGUAGE, "attributes-natural-language", "en"),
                _attribute(_URI, "printer-uri", f"ipp://localhost{self._path}"),
                # RFC 8011, 4.3.1: a job's number comes right after the printer, the user's name after both.
                attributes if operation in (_GET_JOB, _CANCEL_JOB) else b"",
                _attribute(_NAME, "requesting-user-name", _USER),
                b"" if operation in (_GET_JOB, _CANCEL_JOB) else attributes,
                bytes([_END]),
            )
        )

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        host, port = self._queue.address
        if host.startswith("/"):
            return _SocketConnection(host, timeout_s)
        return http.client.HTTPConnection(host, port, timeout=timeout_s)

    def _ask(self, operation: int, attributes: bytes) -> dict[str, list[Any]]:
        """A question without a document. Raises TransportBroken ``unreachable`` or what CUPS says, with nothing sent."""
        connection = self._connection(self._queue.answer_s)
        try:
            connection.request(
                "POST", self._path, self._request(operation, attributes), {"Content-Type": "application/ipp"}
            )
            return _answered(connection)
        except (OSError, http.client.HTTPException) as fault:
            raise TransportBroken(
                f"CUPS can't be reached ({type(fault).__name__})", reason="unreachable"
            ) from None
        finally:
            connection.close()


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def _attribute(kind: int, name: str, value: str | int) -> bytes:
    coded = struct.pack(">i", value) if isinstance(value, int) else value.encode()
    return struct.pack(">BH", kind, len(name)) + name.encode() + struct.pack(">H", len(coded)) + coded


def _requested(first: str, *more: str) -> bytes:
    """``requested-attributes``; further values of an attribute have no name."""
    return _attribute(_KEYWORD, "requested-attributes", first) + b"".join(
        _attribute(_KEYWORD, "", name) for name in more
    )


def _answered(connection: http.client.HTTPConnection) -> dict[str, list[Any]]:
    """The attributes of an answer. Raises TransportBroken: what CUPS refuses, or ``broken`` for what is no answer."""
    answer = connection.getresponse()
    body = answer.read(_LONGEST_ANSWER)
    if answer.status in (401, 403):
        raise TransportBroken("this user may not print on the queue", reason="no_permission")
    if answer.status in (404, 426):
        raise TransportBroken(f"CUPS refuses with HTTP {answer.status}", reason="refused")
    if answer.status != 200:
        raise TransportBroken(f"CUPS answers with HTTP {answer.status}", reason="broken")
    try:
        status, attributes = _parsed(body)
    except (ValueError, IndexError, struct.error):
        raise TransportBroken("CUPS's answer can't be read", reason="broken") from None
    if status >= 0x0100:
        reason, detail = _SAYS.get(status, ("refused", f"CUPS refuses with status {status:#06x}"))
        raise TransportBroken(detail, reason=reason)
    return attributes


def _parsed(body: bytes) -> tuple[int, dict[str, list[Any]]]:
    """Status and attributes of an answer, all groups in one. Raises ValueError, IndexError or struct.error."""
    (status,) = struct.unpack_from(">H", body, 2)
    found: dict[str, list[Any]] = {}
    values: list[Any] = []
    at = 8
    while (kind := body[at]) != _END:
        at += 1
        if kind < 0x10:
            continue
        (length,) = struct.unpack_from(">H", body, at)
        name = body[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (length,) = struct.unpack_from(">H", body, at)
        coded = body[at + 2 : at + 2 + length]
        at += 2 + length
        if name:
            values = found.setdefault(name, [])
        if kind in (_INTEGER, _ENUM):
            values.append(struct.unpack(">i", coded)[0])
        elif kind == _BOOLEAN:
            values.append(coded == b"\1")
        else:
            values.append(coded.decode("utf-8", "replace"))
    return status, found


def _broken(fault: Exception, sent: int) -> TransportBroken:
    reason = "broken" if sent else "unreachable"
    return TransportBroken(f"the connection to CUPS broke ({type(fault).__name__})", reason=reason, sent=sent)
