"""The mock carrier network as a program: options, one line when it listens, and a clean end on a signal.

Hides the HTTP server and the signals.
"""

import argparse
import ipaddress
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET
from labelsvc.mockcarrier.books import Books
from labelsvc.mockcarrier.gateway import REPEATS, Behaviour, create_app, is_loopback

_IDLE_CONNECTION_S = 60


class _SilentHandler(WSGIRequestHandler):
    """Writes no access log: request lines may hold tokens and recipients."""

    timeout = _IDLE_CONNECTION_S

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; exit code 0 then, 1 where the books or the port can't be had, 2 for a
    wrong option.
    """
    parser = argparse.ArgumentParser(
        prog="labelsvc-mockcarrier", description="A carrier network to try labelsvc against."
    )
    parser.add_argument(
        "--books", type=Path, required=True, help="the SQLite file with everything the network knows"
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--client-id", default=CLIENT_ID)
    parser.add_argument("--client-secret", default=CLIENT_SECRET)
    parser.add_argument(
        "--repeat", choices=REPEATS, default="same", help="answer to a repeated get of a live parcel"
    )
    parser.add_argument(
        "--latency-ms", type=int, default=0, help="half before the effect, half before the answer"
    )
    parser.add_argument(
        "--opening-balance", type=int, default=1000, help="numbers credited by a new franchise point"
    )
    options = parser.parse_args(arguments)
    if not is_loopback(options.host):
        parser.error("--host: only a loopback address; this network has no secrets to keep from a stranger")
    if not 0 <= options.port <= 65535:
        parser.error("--port: from 0 to 65535")
    if not 0 <= options.opening_balance <= 10**9:
        parser.error("--opening-balance: from 0 to 1000000000")
    try:
        behaviour = Behaviour(repeat=options.repeat, latency_ms=options.latency_ms)
    except ValueError as wrong:
        parser.error(f"--{wrong}")

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        books = Books(options.books, options.opening_balance)
    except (OSError, sqlite3.Error) as fault:
        print(f"mockcarrier: can't open the books: {fault}", file=sys.stderr)
        return 1
    app = create_app(books, behaviour, options.client_id, options.client_secret)
    # werkzeug itself says on standard error, and exits with 1, when the port is taken
    server = make_server(options.host, options.port, app, threaded=True, request_handler=_SilentHandler)
    serving = threading.Thread(target=server.serve_forever, name="serving", daemon=True)
    serving.start()
    host = f"[{options.host}]" if _is_ipv6(options.host) else options.host
    print(f"mockcarrier listening on http://{host}:{server.port}/api/router", flush=True)
    stop.wait()
    server.shutdown()
    serving.join()
    books.close()
    return 0


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
