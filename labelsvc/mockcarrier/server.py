"""The network's HTTP: connections that stay open from call to call, and bodies read whole or not at all.

Hides werkzeug's development server, which by itself closes every connection and waits a moment before it
does; calls of a network that is asked in quick succession would mostly wait for it.
"""

import io
import socket
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BODY_LIMIT_BYTES = 4 * 1024 * 1024
#: Environment keys between the gateway and this server: the body is larger than the limit; the gateway wants
#: the answer cut in half, or no answer.
TOO_LARGE, CUT = "mockcarrier.too_large", "mockcarrier.cut"
_IDLE_CONNECTION_S = 60
#: A body too large is read so far, so that its sender gets to read the refusal.
_PATIENCE_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class _Handler(WSGIRequestHandler):
    """One connection. Writes no access log: request lines may hold tokens and recipients."""

    timeout = _IDLE_CONNECTION_S
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log(self, type: str, message: str, *args: Any) -> None:
        pass

    def run_wsgi(self) -> None:
        """Read one request, have the program answer it, and write the answer in one piece."""
        try:
            self.environ = environ = self.make_environ()
            body = self._body(environ)
        except (ConnectionError, TimeoutError):
            raise
        except (ValueError, OSError):  # a target, a length or a chunk that isn't one
            self.close_connection = True
            self._write("400 BAD REQUEST", [], b"")
            return
        if body is None:
            environ[TOO_LARGE] = self.close_connection = True
        environ["wsgi.input"] = io.BytesIO(body or b"")
        environ["wsgi.input_terminated"] = True
        environ["CONTENT_LENGTH"] = str(len(body or b""))
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            said.append((status, headers))

        answer: Iterable[bytes] = self.server.app(environ, start_response)
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        self._write(*said[-1], content, cut=environ.get(CUT, False))

    def _body(self, environ: dict[str, Any]) -> bytes | None:
        """The request's body; None where it is larger than the limit. ValueError or OSError where it isn't
        HTTP.
        """
        if "HTTP_TRANSFER_ENCODING" in environ:
            source, length = environ["wsgi.input"], _PATIENCE_BYTES
        else:
            source, length = self.rfile, int(environ.get("CONTENT_LENGTH") or 0)
            if length < 0:
                raise ValueError("a length below nothing")
        parts: list[bytes] = []
        read = 0
        while read < min(length, _PATIENCE_BYTES):
            part = source.read(min(_CHUNK_BYTES, length - read))
            if not part:
                break
            read += len(part)
            if read <= BODY_LIMIT_BYTES:
                parts.append(part)
        return b"".join(parts) if read <= BODY_LIMIT_BYTES else None

    def _write(self, status: str, headers: list[tuple[str, str]], content: bytes, cut: bool = False) -> None:
        code, _, phrase = status.partition(" ")
        self.send_response_only(int(code), phrase or HTTPStatus(int(code)).phrase)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        if cut or self.close_connection:
            self.send_header("Connection", "close")
            self.close_connection = True
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer: list[bytes] = []
        shown = b"" if self.command == "HEAD" else content[: len(content) // 2] if cut else content
        self.wfile.write(head + shown)


def serve(host: str, port: int, app: Flask) -> BaseWSGIServer:
    """A server bound to an address, one thread a connection; werkzeug itself says on standard error, and
    exits with 1, when the port is taken.
    """
    return make_server(host, port, app, threaded=True, request_handler=_Handler)
