"""The mock carrier network as a program: options, one line when it listens, and a clean end on a signal.

Hides the HTTP server and the signals.
"""

import argparse
import ipaddress
import json
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET, trade_books
from labelsvc.mockcarrier.books import Books
from labelsvc.mockcarrier.gateway import REPEATS, REVIEWS, TOKENS, Behaviour, Desk, create_app, is_loopback
from labelsvc.mockcarrier.server import serve


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
        "--latency-ms", type=int, default=0, help="how long a call takes; the effect comes after half of it"
    )
    parser.add_argument(
        "--opening-balance", type=int, default=1000, help="numbers credited by a new franchise point"
    )
    parser.add_argument("--review", choices=REVIEWS, default="at_once", help="who opens services, and when")
    parser.add_argument("--review-delay-ms", type=int, default=0, help="how long --review delay takes")
    parser.add_argument(
        "--tokens", choices=TOKENS, default="open", help="strict: only tokens made by this network"
    )
    parser.add_argument("--token-lifetime-s", type=int, default=86_400, help="of the tokens made here")
    parser.add_argument(
        "--rate-per-s", type=int, default=0, help="more gets within a second are refused (0: none)"
    )
    parser.add_argument(
        "--script", type=Path, help="a JSON file with what POST /control takes, or with a list of rules alone"
    )
    options = parser.parse_args(arguments)
    if not is_loopback(options.host):
        parser.error("--host: only a loopback address; this network has no secrets to keep from a stranger")
    if not 0 <= options.port <= 65535:
        parser.error("--port: from 0 to 65535")
    if not 0 <= options.opening_balance <= 10**9:
        parser.error("--opening-balance: from 0 to 1000000000")
    try:
        behaviour = Behaviour(
            repeat=options.repeat,
            latency_ms=options.latency_ms,
            rate_per_s=options.rate_per_s,
            review=options.review,
            review_delay_ms=options.review_delay_ms,
            tokens=options.tokens,
            token_lifetime_s=options.token_lifetime_s,
        )
    except ValueError as wrong:
        parser.error(f"--{wrong}")
    changes = {}
    if options.script is not None:
        try:
            changes = json.loads(options.script.read_text())
        except (OSError, ValueError, RecursionError):
            parser.error("--script: no readable JSON file")
        changes = {"script": changes} if isinstance(changes, list) else changes
        if not isinstance(changes, dict):
            parser.error("--script: must be a list of rules or an object of settings")

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        books = Books(options.books, options.opening_balance, trade_books.LAYOUT)
    except (OSError, sqlite3.Error) as fault:
        print(f"mockcarrier: can't open the books: {fault}", file=sys.stderr)
        return 1
    desk = Desk(books, behaviour)
    try:
        desk.change(changes)
    except ValueError as wrong:
        books.close()
        parser.error(f"--script: {wrong}")
    server = serve(options.host, options.port, create_app(desk, options.client_id, options.client_secret))
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
