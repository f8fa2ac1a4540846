"""Pictures that templates name: from allowed hosts and folders only, within bounds, over a real HTTP server."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labelsvc.errors import Refused, Unavailable
from labelsvc.printing import PictureSources
from labelsvc.printing.sources import MAX_BYTES

PICTURE = b"\x89PNG and so on"


class _Shop(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/logo.png")
            self.end_headers()
        elif self.path == "/gone":
            self.send_error(404)
        elif self.path == "/drips":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.1)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * (MAX_BYTES + 1) if self.path == "/huge" else PICTURE)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def shop():
    """A host with pictures; what it was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    server.asked = []
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", server.asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_picture_comes_from_an_allowed_host():
    """The host with its port is what the operator names."""
    with shop() as (host, _):
        assert PictureSources([host]).fetch(f"http://{host}/logo.png") == PICTURE


def test_without_a_host_allowed_nothing_is_asked():
    """A template can't make this machine ask another one: not even a connection is opened."""
    with shop() as (host, asked):
        for sources in (PictureSources(), PictureSources(["cdn.example.com", host.split(":")[0]])):
            with pytest.raises(Refused) as caught:
                sources.fetch(f"http://{host}/logo.png")
            assert caught.value.code == "image.not_allowed"
        assert asked == []


@pytest.mark.parametrize(
    "source",
    [
        "http://user@{host}/logo.png",
        "http://{host}@evil.example/logo.png",
        "ftp://{host}/logo.png",
        "gopher://{host}/",
        "//{host}/logo.png",
        "http://[::1/x",
        "logo.png",
        "",
        "javascript:alert(1)",
    ],
)
def test_only_a_plain_address_of_the_host_is_one(source):
    """Users, other schemes and half addresses are refused, and nothing is asked."""
    with shop() as (host, asked):
        with pytest.raises(Refused):
            PictureSources([host]).fetch(source.format(host=host))
        assert asked == []


def test_a_redirect_is_not_followed():
    """It could lead to a host that nobody allowed."""
    with shop() as (host, asked):
        with pytest.raises(Unavailable):
            PictureSources([host]).fetch(f"http://{host}/elsewhere")
        assert asked == ["/elsewhere"]


def test_what_is_missing_or_too_large_or_too_slow_is_given_up():
    """Bounded in size and time; the pictures of one document share one allowance."""
    with shop() as (host, _):
        sources = PictureSources([host])
        with pytest.raises(Unavailable):
            sources.fetch(f"http://{host}/gone")
        with pytest.raises(Refused) as caught:
            sources.fetch(f"http://{host}/huge")
        assert caught.value.code == "image.too_large"
        with pytest.raises(Refused):
            sources.fetch(f"http://{host}/logo.png", spent=MAX_BYTES - 3)
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            sources.fetch(f"http://{host}/drips")
        assert time.monotonic() - begun < 9
    with pytest.raises(Unavailable):
        sources.fetch(f"http://{host}/logo.png")  # the host is off now


def test_files_come_from_the_allowed_folder_only(tmp_path: Path):
    """Neither dots nor links lead out of it."""
    folder, secret = tmp_path / "pictures", tmp_path / "secret.png"
    folder.mkdir()
    (folder / "logo.png").write_bytes(PICTURE)
    secret.write_bytes(b"secret")
    (folder / "link.png").symlink_to(secret)
    sources = PictureSources(folder=folder)
    assert sources.fetch((folder / "logo.png").as_uri()) == PICTURE
    for path in (secret, folder / "link.png", Path(f"{folder}/../secret.png"), Path("/etc/passwd"), folder):
        with pytest.raises((Refused, Unavailable)):
            sources.fetch(f"file://{path}")
    with pytest.raises(Refused):
        sources.fetch("file:///etc/passwd%00.png")
    with pytest.raises(Refused):
        PictureSources().fetch((folder / "logo.png").as_uri())
