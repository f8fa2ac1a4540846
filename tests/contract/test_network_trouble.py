"""What the platform's adapter makes of a network in trouble, and what it sends how often: against a real HTTP server with a script."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labelsvc.errors import Refused
from labelsvc.waybills import Item, Party, PlatformNetwork
from labelsvc.waybills.carriers import (
    AlreadyIssued,
    GetRequest,
    Given,
    NetworkBusy,
    NetworkResting,
    NetworkSilent,
    ParcelRequest,
    PointApplication,
)
from labelsvc.waybills.carriers.pacing import Breaker, Pacer

ORIGIN = Party("仓库发货部", "0571-88880000", "浙江省", "杭州市", "西湖区", "文三路 1 号")
RECIPIENT = Party("欧阳春晓", "13812345678", "广东省", "广州市", "天河区", "天河北路 233 号")
GET = "pdd.waybill.get"
_TIMEOUT_S = 1.0

#: What the server does with one request: the bytes of its answer, how they are sent, or nothing.
Step = Callable[[socket.socket, dict[str, str]], None]


def reply(body: Any, status: str = "200 OK") -> Step:
    """Answer properly."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    def send(connection: socket.socket, _call: dict[str, str]) -> None:
        connection.sendall(_head(status, len(text)) + text)

    return send


def error(code: int, sub_msg: str = "") -> Step:
    """The gateway's error."""
    return reply({"error_response": {"error_code": code, "error_msg": "x", "sub_msg": sub_msg}})


def numbers(connection: socket.socket, call: dict[str, str]) -> None:
    """Give every parcel of a batch its number: the same for the same parcel."""
    reply({"pdd_waybill_get_response": {"modules": [_module(one) for one in _elements(call)]}})(
        connection, call
    )


def silence(connection: socket.socket, _call: dict[str, str]) -> None:
    """Close without a word."""


def late(connection: socket.socket, call: dict[str, str]) -> None:
    """Answer when nobody waits any more."""
    time.sleep(_TIMEOUT_S * 1.3)
    numbers(connection, call)


def half(connection: socket.socket, call: dict[str, str]) -> None:
    """Half of the body that was announced."""
    text = json.dumps(
        {"pdd_waybill_get_response": {"modules": [_module(one) for one in _elements(call)]}}
    ).encode()
    connection.sendall(_head("200 OK", len(text)) + text[: len(text) // 2])


def trickle(connection: socket.socket, _call: dict[str, str]) -> None:
    """A byte of the body now and then, for ever."""
    connection.sendall(_head("200 OK", 10_000))
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(_TIMEOUT_S / 10)


def trickling_head(connection: socket.socket, _call: dict[str, str]) -> None:
    """A byte of a header now and then, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(200):
        connection.sendall(b"x")
        time.sleep(_TIMEOUT_S / 10)


def _head(status: str, length: int) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode()


def _elements(call: dict[str, str]) -> list[dict[str, Any]]:
    return json.loads(call["param_waybill_cloud_print_apply_new_request"])["trade_order_info_dtos"]


def _module(element: dict[str, Any]) -> dict[str, Any]:
    number = "73" + element["object_id"].rjust(12, "0")
    return {
        "object_id": element["object_id"],
        "waybill_code": number,
        "parent_waybill_code": None,
        "print_data": json.dumps({"data": {"waybillCode": number}}),
    }


@dataclass
class Scripted:
    """A server that does what the next step of its script says, or ``usual``; it keeps what it was asked."""

    listener: socket.socket
    script: list[Step] = field(default_factory=list)
    usual: Step = numbers
    calls: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.listener.getsockname()[1]}/api/router"

    def asked(self, type: str = GET) -> list[dict[str, str]]:
        """The calls of a type, without what a repetition may change."""
        return [
            {name: value for name, value in call.items() if name not in ("timestamp", "sign")}
            for call in self.calls
            if call["type"] == type
        ]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            held = b""
            while b"\r\n\r\n" not in held:
                if not (chunk := connection.recv(65536)):
                    return
                held += chunk
            head, _, body = held.partition(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            while len(body) < length:
                body += connection.recv(65536)
            call = dict(parse_qsl(body.decode(), keep_blank_values=True))
            with self.lock:
                self.calls.append(call)
                step = self.script.pop(0) if self.script else self.usual
            step(connection, call)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Scripted(listener)
        threading.Thread(target=found.serve, daemon=True).start()
        yield found


def network(server: Scripted, **options: Any) -> PlatformNetwork:
    """The adapter; its pauses take no time, and are counted where a test gives a list for them."""
    options.setdefault("pause", lambda _s: None)
    return PlatformNetwork(server.url, "client", "secret", timeout_s=_TIMEOUT_S, **options)


def request(*ids: str) -> GetRequest:
    return GetRequest(
        "ZTO",
        ORIGIN,
        tuple(
            ParcelRequest(id, (f"O{id}",), "OTHERS", RECIPIENT, (Item("杯子", 1),), 0) for id in ids or ("1",)
        ),
    )


# --- repeating ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        reply(b"bad gateway", "502 Bad Gateway"),
        reply(b"oops", "500 Internal Server Error"),
        reply(b"", "503 Service Unavailable"),
        silence,
        half,
        reply(b'{"pdd_waybill_get_response": {"mod'),
        reply(b"[]"),
        reply({"other_response": {}}),
        late,
    ],
    ids=["502", "500", "503", "closed", "half", "broken_json", "no_object", "other_root", "late"],
)
def test_unanswered_get_is_repeated_identically(server: Scripted, fault: Step):
    """W2: after no usable answer the same request goes out again, word for word; its number is marked as asked for twice."""
    server.script = [fault]
    found = network(server).get("shop", request("1", "2"))
    assert [type(one) for one in found] == [Given, Given]
    assert all(one.repeated for one in found)
    first, second = server.asked()
    assert first == second


@pytest.mark.parametrize("code", [52101, 70031, 52102, 52103])
def test_busy_network_is_asked_again_later(server: Scripted, code: int):
    """A rate limit and a degraded network say that nothing happened: asked again, after a pause, identically."""
    pauses: list[float] = []
    server.script = [error(code)]
    (found,) = network(server, pause=pauses.append).get("shop", request())
    assert isinstance(found, Given)
    assert not found.repeated
    first, second = server.asked()
    assert first == second
    assert pauses and max(pauses) >= 0.1


@pytest.mark.parametrize("code", [50000, 50001, 52001, 52002])
def test_internal_error_is_not_repeated(server: Scripted, code: int):
    """The gateway's own trouble may mean that it is about to do it: asked once, and the outcome is open."""
    server.script = [error(code)]
    (found,) = network(server).get("shop", request())
    assert isinstance(found, NetworkSilent)
    assert found.may_have_happened
    assert len(server.calls) == 1


def test_at_most_three_tries(server: Scripted):
    """Three tries, then each parcel is silent, and may have a number."""
    server.usual = reply(b"", "502 Bad Gateway")
    found = network(server).get("shop", request("1", "2"))
    assert len(server.calls) == 3
    assert [(type(one), one.may_have_happened) for one in found] == [(NetworkSilent, True)] * 2


def test_busy_throughout_never_happened(server: Scripted):
    """A network that only ever said "too many" gave no number: nothing is open."""
    server.usual = error(52101)
    (found,) = network(server).get("shop", request())
    assert isinstance(found, NetworkBusy)
    assert (found.may_have_happened, found.code) == (False, "network.busy")
    assert found.retry_after_s > 0


def test_silence_then_busy_may_have_happened(server: Scripted):
    """W2: one try without an answer is enough for a number that we didn't hear of, whatever the later ones say."""
    server.script = [silence, error(52101), error(52101)]
    (found,) = network(server).get("shop", request())
    assert isinstance(found, NetworkSilent)
    assert found.may_have_happened


def test_silence_then_refusal_may_have_happened(server: Scripted):
    """W2: a refusal after an unanswered try is no refusal: the first try may have got the last number of the balance."""
    server.script = [silence]
    server.usual = error(50002, "not enough waybill numbers left at the network point")
    found = network(server).get("shop", request("1", "2"))
    assert [(type(one), one.may_have_happened) for one in found] == [(NetworkSilent, True)] * 2


def test_silence_then_exists_already(server: Scripted):
    """W2: "exists already" after an unanswered try says that there is a number; who asks looks it up."""
    server.script = [silence, error(50002, "waybill exists already for this parcel")]
    (found,) = network(server).get("shop", request())
    assert isinstance(found, AlreadyIssued)


def test_connection_refused():
    """Nothing left this machine: repeated, and in the end known not to have happened."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    pauses: list[float] = []
    nobody = PlatformNetwork(f"http://127.0.0.1:{port}/", "a", "b", timeout_s=_TIMEOUT_S, pause=pauses.append)
    (found,) = nobody.get("shop", request())
    assert isinstance(found, NetworkSilent)
    assert (found.may_have_happened, found.code) == (False, "network.unreachable")
    assert len(pauses) == 2
    assert pauses[0] < 0.21 and 0.19 < pauses[1] < 0.41


def test_nothing_else_is_ever_repeated(server: Scripted):
    """Only a get is sent twice: every other call goes out once, whatever becomes of it."""
    server.usual = silence
    parcel = request().parcels[0]
    application = PointApplication("ZTO", "B1", ORIGIN, "王经理", "13900001111", "", "1")
    calls: dict[str, Callable[[PlatformNetwork], object]] = {
        "pdd.waybill.cancel": lambda net: net.cancel("shop", "ZTO", "73000000000001"),
        "pdd.waybill.update": lambda net: net.update("shop", "ZTO", "73000000000001", parcel),
        "pdd.waybill.query.by.waybillcode": lambda net: net.query("shop", "ZTO", "73000000000001"),
        "pdd.waybill.search": lambda net: net.search("shop"),
        "mock.waybill.find": lambda net: net.find("shop", ("O1",), "1"),
        "mock.subscription.apply": lambda net: net.apply("shop", application),
        "mock.subscription.query": lambda net: net.review("shop", "A1", application),
        "mock.subscription.close": lambda net: net.close("shop", "A1"),
        "mock.carriers": lambda net: net.carriers("shop"),
        "pdd.logistics.ordertrace.get": lambda net: net.traces("shop", "ZTO", "73000000000001"),
        "pdd.pop.auth.token.create": lambda net: net.exchange("code"),
        "pdd.pop.auth.token.refresh": lambda net: net.refresh("token"),
    }
    for type, call in calls.items():
        with pytest.raises(NetworkSilent) as caught:
            call(network(server))
        assert caught.value.may_have_happened
        assert len(server.asked(type)) == 1
    assert len(server.calls) == len(calls)


@pytest.mark.parametrize("step", [trickle, trickling_head])
def test_trickle_ends(server: Scripted, step: Step):
    """An answer that comes byte by byte is given up like none at all, and not waited for to its end."""
    server.usual = step
    with pytest.raises(NetworkSilent) as caught:
        network(server).carriers("shop")
    assert caught.value.may_have_happened


def test_endless_answer_ends(server: Scripted):
    """An answer of more than 8 MiB is none."""
    server.usual = reply(b" " * (9 * 1024 * 1024))
    with pytest.raises(NetworkSilent):
        network(server).carriers("shop")


def _certificate(folder: Path) -> Path:
    """A key and its own certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_over_tls(server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The real platform is spoken to by TLS: the same promises, a trickle ends, and a stranger's certificate is refused."""
    file = _certificate(tmp_path)
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(file)
    stranger = network(server, tries=1)
    with pytest.raises(NetworkSilent):
        stranger.carriers("shop")
    assert server.calls == []
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    server.script = [silence]
    (found,) = network(server).get("shop", request())
    assert isinstance(found, Given)
    assert found.repeated
    for step in (trickle, trickling_head):
        server.usual = step
        with pytest.raises(NetworkSilent):
            network(server).carriers("shop")


# --- results per item ---------------------------------------------------------------------------------------------


def test_refusal_that_names_a_parcel(server: Scripted):
    """W3: a batch refused because of the parcel that the answer names is asked for once more without it."""
    server.script = [
        error(50002, "trade_order_info_dtos[2].recipient.address: the carrier serves no such place")
    ]
    found = network(server).get("shop", request("1", "2", "3", "4"))
    assert [type(one) for one in found] == [Given, Given, Refused, Given]
    assert [one.number[-1] for one in found if isinstance(one, Given)] == ["1", "2", "4"]
    assert not any(one.repeated for one in found if isinstance(one, Given))
    assert [len(_elements(call)) for call in server.calls] == [4, 3]


def test_refusal_that_names_nobody(server: Scripted):
    """W3: a batch refused without a name is asked for parcel by parcel, and each gets its own answer."""

    def only_two(connection: socket.socket, call: dict[str, str]) -> None:
        bad = any(one["object_id"] == "2" for one in _elements(call))
        step = error(50002, "sender address matches no e-waybill service") if bad else numbers
        step(connection, call)

    server.usual = only_two
    found = network(server).get("shop", request("1", "2", "3"))
    assert [type(one) for one in found] == [Given, Refused, Given]
    assert found[1].code == "sender.mismatch"
    assert [len(_elements(call)) for call in server.calls] == [3, 1, 1, 1]


@pytest.mark.parametrize("code", [20004, 20032, 10016, 30000])
def test_refusal_of_the_caller_is_not_taken_apart(server: Scripted, code: int):
    """A bad signature or token is no parcel's fault: every parcel is refused by the one call."""
    server.usual = error(code)
    found = network(server).get("shop", request("1", "2", "3"))
    assert [type(one) for one in found] == [Refused] * 3
    assert len(server.calls) == 1


def test_silent_batch_is_silent_for_each(server: Scripted):
    """W3: parcels of a refused batch that then get no answer are open; those that were answered are not."""
    server.script = [error(50002, "cut"), numbers, silence, silence, silence]
    found = network(server).get("shop", request("1", "2", "3"))
    assert [type(one) for one in found] == [Given, NetworkSilent, Given]
    assert found[1].may_have_happened


def test_unreadable_element_spoils_no_other(server: Scripted):
    """W3: an element without readable print data still names its number, a missing one is silence; nothing is asked again."""

    def mixed(connection: socket.socket, call: dict[str, str]) -> None:
        good, broken, _missing = (_module(one) for one in _elements(call))
        modules = [broken | {"print_data": "{"}, good]
        reply({"pdd_waybill_get_response": {"modules": modules}})(connection, call)

    server.script = [mixed]
    found = network(server).get("shop", request("1", "2", "3"))
    assert [type(one) for one in found] == [Given, Given, NetworkSilent]
    assert found[0].data and not found[1].data  # the room asks for the print data by the number
    assert found[2].may_have_happened
    assert len(server.calls) == 1


@pytest.mark.parametrize("count", [0, 11])
def test_batch_size(server: Scripted, count: int):
    """W3: a call takes 1 to 10 parcels."""
    with pytest.raises(ValueError, match="1 to 10"):
        network(server).get("shop", GetRequest("ZTO", ORIGIN, request(*map(str, range(11))).parcels[:count]))
    assert server.calls == []


def test_parent_and_children(server: Scripted):
    """W7: the wire is told of how many pieces a parcel is one, and the parent's number comes back."""

    def child(connection: socket.socket, call: dict[str, str]) -> None:
        modules = [_module(one) | {"parent_waybill_code": "73999999999999"} for one in _elements(call)]
        reply({"pdd_waybill_get_response": {"modules": modules}})(connection, call)

    server.usual = child
    parcel = ParcelRequest("1", ("O1",), "OTHERS", RECIPIENT, (Item("杯子", 1),), 0, pieces=3)
    (found,) = network(server).get("shop", GetRequest("ZTO", ORIGIN, (parcel,)))
    assert isinstance(found, Given)
    assert found.parent_number == "73999999999999"
    assert _elements(server.calls[0])[0]["package_info"]["total_packages_count"] == 3


# --- pace and rest ------------------------------------------------------------------------------------------------


def test_rate_limit_slows_every_get(server: Scripted):
    """After 52101 the gets of all askers keep to half the pace; other calls are not held back."""
    pacer, pauses = Pacer(clock=lambda: 500.0), []
    net = network(server, pacer=pacer, pause=pauses.append)
    net.get("shop", request("1"))
    server.script = [error(52101)]
    net.get("shop", request("2"))
    assert pacer.rate_per_s == 1.0
    pauses.clear()
    net.get("another shop", request("3"))
    assert pauses == [2.0]
    server.usual = reply({"mock_carriers_response": {"carriers": []}})
    net.carriers("shop")
    assert pauses == [2.0]


def test_turn_that_comes_too_late(server: Scripted):
    """A get whose turn would come after its time is busy at once, and nothing is sent."""
    pacer = Pacer(clock=lambda: 500.0, least_per_s=0.1)
    pacer.turn_in_s(0)
    pacer.limited()
    pacer.turn_in_s(10)
    pacer.turn_in_s(10)
    (found,) = network(server, pacer=pacer, tries=1).get("shop", request())
    assert isinstance(found, NetworkBusy)
    assert found.retry_after_s > _TIMEOUT_S
    assert server.calls == []


class Clock:
    at = 100.0

    def __call__(self) -> float:
        return self.at


def test_breaker_rests_and_probes(server: Scripted):
    """Five silences in a row: the network is left alone for 2 s, then one call tries it, and its answer ends the rest."""
    clock = Clock()
    net = network(server, breaker=Breaker(clock), tries=1)
    server.usual = silence
    for _ in range(5):
        net.get("shop", request())
    assert len(server.calls) == 5
    (found,) = net.get("shop", request())
    assert isinstance(found, NetworkResting)
    assert (found.may_have_happened, found.code, found.retry_after_s) == (False, "network.resting", 2.0)
    with pytest.raises(NetworkResting):
        net.cancel("shop", "ZTO", "73000000000001")
    assert len(server.calls) == 5  # nothing was sent
    clock.at += 2
    (found,) = net.get("shop", request())
    assert type(found) is NetworkSilent  # the probe was met by silence
    assert len(server.calls) == 6
    clock.at += 2
    assert isinstance(net.get("shop", request())[0], NetworkResting)  # twice as long
    clock.at += 2
    server.usual = numbers
    assert isinstance(net.get("shop", request())[0], Given)
    assert isinstance(net.get("shop", request())[0], Given)
    assert len(server.calls) == 8


def test_refusals_don_t_tire_the_breaker(server: Scripted):
    """A network that says no, or "too many", is there: it isn't left alone."""
    hours = count(step=3600)
    net = network(server, breaker=Breaker(Clock()), pacer=Pacer(lambda: next(hours)), tries=1)
    for code in (50002, 52101, 20004) * 4:
        server.usual = error(code)
        net.get("shop", request())
    server.usual = numbers
    assert isinstance(net.get("shop", request())[0], Given)


def test_repeating_stops_when_the_breaker_opens(server: Scripted):
    """Two gets that find nobody make six tries no more: the fifth silence ends them, and both stay open."""
    server.usual = silence
    net = network(server, breaker=Breaker(Clock()))
    found = [net.get("shop", request("1"))[0], net.get("shop", request("2"))[0]]
    assert len(server.calls) == 5
    assert [(type(one), one.may_have_happened) for one in found] == [(NetworkSilent, True)] * 2


def test_calls_in_flight(server: Scripted):
    """No more than ``in_flight`` gets run at once, whoever asks."""
    running, most, lock = 0, 0, threading.Lock()

    def slow(connection: socket.socket, call: dict[str, str]) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        numbers(connection, call)

    server.usual = slow
    net = network(server, in_flight=3)
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda n=n: found.extend(net.get("shop", request(str(n))))) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(one) for one in found] == [Given] * 12
    assert most == 3


# --- tokens -------------------------------------------------------------------------------------------------------


def _fresh_only(connection: socket.socket, call: dict[str, str]) -> None:
    (numbers if call["access_token"] == "fresh" else error(10019))(connection, call)


def test_expired_token_is_renewed_once(server: Scripted):
    """10019: the token is renewed and the same call made again, for every parcel of it; nothing else differs."""
    renewed: list[str] = []
    server.usual = _fresh_only
    net = network(server, refresh=lambda old: renewed.append(old) or "fresh")
    found = net.get("old", request("1", "2"))
    assert [type(one) for one in found] == [Given, Given]
    assert not any(one.repeated for one in found)
    assert renewed == ["old"]
    first, second = server.asked()
    assert (first.pop("access_token"), second.pop("access_token")) == ("old", "fresh")
    assert first == second


def test_expired_token_of_other_calls(server: Scripted):
    """10019 on a call that is never repeated otherwise: it didn't happen, so it is made with the fresh token."""
    server.script = [error(10019), reply({"pdd_waybill_cancel_response": {"cancel_result": True}})]
    network(server, refresh=lambda _old: "fresh").cancel("old", "ZTO", "73000000000001")
    assert [call["access_token"] for call in server.calls] == ["old", "fresh"]


@pytest.mark.parametrize("fresh", [None, "fresh too"])
def test_renewal_that_doesn_t_help(server: Scripted, fresh: str | None):
    """A token that can't be renewed, or is refused again, is a refusal; it is renewed no second time."""
    renewed: list[str] = []
    server.usual = error(10019)
    found = network(server, refresh=lambda old: renewed.append(old) or fresh).get("old", request("1", "2"))
    assert [(type(one), one.code) for one in found] == [(Refused, "network.token")] * 2
    assert renewed == ["old"]
    assert len(server.calls) == (1 if fresh is None else 2)


def test_renewal_in_silence_leaves_the_get_undone(server: Scripted):
    """If the renewal gets no answer, the get was still refused: no number can have been given."""

    def dead(_old: str) -> str | None:
        raise NetworkSilent("no answer", may_have_happened=True)

    server.usual = error(10019)
    (found,) = network(server, refresh=dead, tries=1).get("old", request())
    assert isinstance(found, NetworkSilent)
    assert not found.may_have_happened


def test_code_is_exchanged(server: Scripted):
    """The authorisation page's code gives access for as long as the network says; a bad code is ``network.token``."""
    server.usual = reply(
        {
            "pop_auth_token_create_response": {
                "access_token": "a1",
                "refresh_token": "r1",
                "expires_in": 3600,
                "owner_id": "7",
            }
        }
    )
    found = network(server).exchange("c1")
    assert (found.access_token, found.refresh_token) == ("a1", "r1")
    assert 3500 < found.expires_at.timestamp() - time.time() <= 3600
    assert "access_token" not in server.calls[0]
    server.usual = error(50002, "code: used")
    with pytest.raises(Refused) as caught:
        network(server).exchange("c1")
    assert caught.value.code == "network.token"


# --- a gateway with web pages instead of calls --------------------------------------------------------------------


def _real_platform(connection: socket.socket, call: dict[str, str]) -> None:
    if call["type"] != "pdd.waybill.search":
        error(10017, "type: no such call")(connection, call)
        return
    address = {
        "province": "浙江省",
        "city": "杭州市",
        "district": "西湖区",
        "detail": "文三路 1 号",
        "town": None,
    }
    point = {
        "branch_code": "B1",
        "branch_name": "西湖一部",
        "quantity": 7,
        "allocated_quantity": 5,
        "cancel_quantity": 1,
        "recycled_quantity": 2,
        "shipp_address_cols": [address],
    }
    column = {"wp_code": "ZTO", "wp_type": 2, "branch_account_cols": [point]}
    reply({"pdd_waybill_search_response": {"waybill_apply_subscription_cols": [column]}})(connection, call)


def test_application_where_the_platform_has_web_pages(server: Scripted):
    """E1: an application is open once the network's search lists its point and address, character for character."""
    server.usual = _real_platform
    net = network(server)
    application = PointApplication("ZTO", "B1", ORIGIN, "王经理", "13900001111", "", "1")
    assert net.apply("shop", application).state == "open"
    assert net.review("shop", "", application).state == "open"
    moved = Party(ORIGIN.name, ORIGIN.phone, ORIGIN.province, ORIGIN.city, ORIGIN.district, "文三路1号")
    elsewhere = PointApplication("ZTO", "B1", moved, "王经理", "13900001111", "", "1")
    assert net.apply("shop", elsewhere).state == "under_review"
    other = PointApplication("ZTO", "B2", ORIGIN, "王经理", "13900001111", "", "1")
    assert net.review("shop", "", other).state == "under_review"
    net.close("shop", "")
    (carrier,) = net.carriers("shop")
    assert (carrier.code, carrier.name) == ("ZTO", "中通快递")
    assert [point.code for point in net.points("shop", carrier, ORIGIN)] == ["B1"]
    assert net.points("shop", carrier, RECIPIENT) == []
    assert net.find("shop", ("O1",), "1") is None
    (account,) = net.search("shop")
    assert (account.balance, account.allocated, account.cancelled, account.recycled) == (7, 5, 1, 2)


def test_reason_of_a_rejection_quotes_nothing(server: Scripted):
    """E1: the carrier's reason is shown, as one short line without the applicant's data."""
    server.usual = reply(
        {
            "mock_subscription_apply_response": {
                "application_id": "A1",
                "state": "rejected",
                "reason": "联系人王经理 13900001111\n地址文三路 1 号不在服务区, 请电 0571-12345678 "
                + "长" * 90,
            }
        }
    )
    application = PointApplication("ZTO", "B1", ORIGIN, "王经理", "13900001111", "", "1")
    found = network(server).apply("shop", application)
    assert (found.application_id, found.state) == ("A1", "rejected")
    assert found.reason.startswith("联系人… … 地址…不在服务区, 请电 … 长")
    assert len(found.reason) == 80


def test_traces(server: Scripted):
    """W5: scans become our words, oldest first, in UTC, whether the network writes China's time or numbers."""
    server.usual = reply(
        {
            "logistics_ordertrace_get_resposne": {
                "trace_list": [
                    {"action": "SIGN", "time": "2026-01-02 09:00:00", "status_time": 1767315600000},
                    {"action": "GOT", "time": "2026-01-01 08:00:00", "status_time": "2026-01-01 08:00:00"},
                    {"action": "DEPARTURE", "time": "1767229200"},
                    {"action": "FAIL", "time": "2026-01-01T20:00:00+08:00"},
                ]
            }
        }
    )
    found = network(server).traces("shop", "ZTO", "73000000000001")
    assert [one.action for one in found] == ["picked_up", "in_transit", "other", "delivered"]
    assert [one.at.isoformat() for one in found] == [
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T01:00:00+00:00",
        "2026-01-01T12:00:00+00:00",
        "2026-01-02T01:00:00+00:00",
    ]


def test_answer_about_another_number(server: Scripted):
    """W6: an update's answer that speaks of another number is no answer."""
    server.usual = reply(
        {"pdd_waybill_update_response": {"waybill_code": "73000000000002", "print_data": '{"data": {}}'}}
    )
    with pytest.raises(NetworkSilent):
        network(server).update("shop", "ZTO", "73000000000001", request().parcels[0])
