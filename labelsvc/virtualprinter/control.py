"""The control port: what a person does at the printer, and a look into its tray, over HTTP.

    GET  /state          JSON, see Printer.state
    POST /faults         JSON {fault: value}, see Faults; answers all faults in force; 400 {"field", "reason"}
    POST /reset          off and on again
    GET  /labels         JSON list of the labels in the tray, in the order they came out
    GET  /labels/NAME    the bytes of one
    GET  /printers       JSON list of all printers: the addresses of each one's wires

These speak of the first printer; /printers/N/state and so on of the N-th.

Hides HTTP.  Loopback only, and only for requests addressed to it by a loopback name: a web page elsewhere
can't reach in by a host name of its own.  Nothing is logged: paths and bodies are the tester's own
business.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from .faults import BadFault
from .printer import Printer, Wire

_LARGEST_BODY = 65_536
_OUR_NAMES = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Stand:
    """A printer with its wires, and where each of these is found."""

    printer: Printer
    wires: Sequence[Wire]
    addresses: Sequence[str]


class ControlPort(socketserver.ThreadingMixIn, HTTPServer):
    """Listens on ``host`` and ``port`` (0 for a free one); raises OSError."""

    daemon_threads = True

    def __init__(self, stands: Sequence[Stand], host: str, port: int) -> None:
        self.stands = stands
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Request)

    def server_bind(self) -> None:
        # HTTPServer's own would ask the name service for this machine's name, which nobody here needs.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


class _Request(BaseHTTPRequestHandler):
    server: ControlPort

    def do_GET(self) -> None:
        if not self._addressed_to_us():
            return
        stand, path = self._stand(unquote(urlsplit(self.path).path))
        if path == "/printers":
            self._reply(200, [list(stand.addresses) for stand in self.server.stands])
        elif stand and path == "/state":
            self._reply(200, stand.printer.state())
        elif stand and path == "/labels":
            self._reply(200, stand.printer.labels())
        elif (
            stand
            and path.startswith("/labels/")
            and (label := stand.printer.label(path.removeprefix("/labels/"))) is not None
        ):
            self._send(200, "application/octet-stream", label)
        else:
            self._nothing_there()

    def do_POST(self) -> None:
        if not self._addressed_to_us():
            return
        stand, path = self._stand(urlsplit(self.path).path)
        if stand and path == "/reset":
            stand.printer.power_cycle()
            for wire in stand.wires:
                wire.drop_connections()
            self._reply(200, stand.printer.state())
        elif stand and path == "/faults":
            try:
                faults = stand.printer.change_faults(self._json())
            except BadFault as error:
                self._reply(400, {"field": error.field, "reason": error.reason})
                return
            for wire in stand.wires:
                wire.obey(faults)
            self._reply(200, stand.printer.state()["faults"])
        else:
            self._nothing_there()

    def _stand(self, path: str) -> tuple[Stand | None, str]:
        """The printer that a path speaks of, and the rest of the path."""
        named = re.fullmatch(r"/printers/([1-9]\d{0,5})(/.*)", path)
        if not named:
            return self.server.stands[0], path
        number = int(named[1])
        return self.server.stands[number - 1] if number <= len(self.server.stands) else None, named[2]

    def _nothing_there(self) -> None:
        self._reply(404, {"field": "path", "reason": "nothing there"})

    def _addressed_to_us(self) -> bool:
        try:
            ours = urlsplit(f"//{self.headers.get('Host', '')}").hostname in _OUR_NAMES
        except ValueError:
            ours = False
        if not ours:
            self._reply(403, {"field": "Host", "reason": "must be a loopback name"})
        return ours

    def _json(self) -> object:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            raise BadFault("Content-Length", "must be a number") from None
        if not 0 <= length <= _LARGEST_BODY:
            raise BadFault("Content-Length", f"must be 0 to {_LARGEST_BODY}")
        try:
            return json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            raise BadFault("body", "is not JSON") from None

    def _reply(self, status: int, answer: Any) -> None:
        self._send(status, "application/json", json.dumps(answer).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return
