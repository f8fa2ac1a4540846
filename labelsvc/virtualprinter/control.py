"""The control port: what a person does at the printer, and a look into its tray, over HTTP.

    GET  /state          JSON, see Printer.state
    POST /faults         JSON {fault: value}, see Faults; answers all faults in force; 400 {"field", "reason"}
    POST /reset          off and on again
    GET  /labels         JSON list of the labels in the tray, in the order they came out
    GET  /labels/NAME    the bytes of one

Hides HTTP.  Loopback only, and only for requests addressed to it by a loopback name: a web page elsewhere
can't reach in by a host name of its own.  Nothing is logged: paths and bodies are the tester's own
business.
"""

from __future__ import annotations

import json
import socket
import socketserver
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from .faults import BadFault
from .printer import Printer, Wire

_LARGEST_BODY = 65_536
_OUR_NAMES = {"127.0.0.1", "localhost", "::1"}


class ControlPort(socketserver.ThreadingMixIn, HTTPServer):
    """Listens on ``host`` and ``port`` (0 for a free one); raises OSError."""

    daemon_threads = True

    def __init__(self, printer: Printer, wires: Sequence[Wire], host: str, port: int) -> None:
        self.printer = printer
        self.wires = wires
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Request)

    def server_bind(self) -> None:
        # HTTPServer's own would ask the name service for this machine's name, which nobody here needs.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


class _Request(BaseHTTPRequestHandler):
    server: ControlPort

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if not self._addressed_to_us():
            return
        if path == "/state":
            self._reply(200, self.server.printer.state())
        elif path == "/labels":
            self._reply(200, self.server.printer.labels())
        elif (
            path.startswith("/labels/")
            and (label := self.server.printer.label(path.removeprefix("/labels/"))) is not None
        ):
            self._send(200, "application/octet-stream", label)
        else:
            self._reply(404, {"field": "path", "reason": "nothing there"})

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if not self._addressed_to_us():
            return
        if path == "/reset":
            self.server.printer.power_cycle()
            for wire in self.server.wires:
                wire.drop_connections()
            self._reply(200, self.server.printer.state())
        elif path == "/faults":
            try:
                faults = self.server.printer.change_faults(self._json())
            except BadFault as error:
                self._reply(400, {"field": error.field, "reason": error.reason})
                return
            for wire in self.server.wires:
                wire.obey(faults)
            self._reply(200, self.server.printer.state()["faults"])
        else:
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
