"""Faults on request at the mock carrier network: each does what its name says, when the script says, and the books show it."""

import http.client
import json
import signal
import threading
import time
import urllib.error

import pytest
from support.gateway import ORIGIN, Network, get_request, numbers_of, package, party

GET = "pdd.waybill.get"
HUNG_UP = (http.client.HTTPException, ConnectionError, urllib.error.URLError)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One network for the tests of this file."""
    network = Network(tmp_path_factory.mktemp("faults") / "books.sqlite", "--opening-balance", "1000")
    yield network
    assert network.end() == (0, "", "")


@pytest.fixture
def network(running):
    """The network without any fault."""
    calm = {"script": [], "rate_per_s": 0, "repeat": "same", "fail_next": 0, "error": 0, "drop_answers": 0}
    running.control(**calm)
    yield running
    running.control(**calm)


@pytest.fixture
def shop(request, network):
    """A shop of the test's own with an open service of YTO."""
    token = f"token-of-{request.node.name}"
    network.open_service("YTO", token=token)
    return token


def raw_get(network, shop, *packages, timeout=20):
    """A get as bytes on a connection of its own: (status, headers, body) or an error of the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", network.port, timeout=timeout)
    try:
        parameters = network.envelope(GET, get_request(*packages), shop)
        body = json.dumps(parameters).encode()
        connection.request("POST", "/api/router", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def found(network, shop, order):
    """The states of all numbers of a parcel."""
    return [w["state"] for w in network.call("mock.waybill.find", shop, orders=[order])["waybills"]]


def test_a_late_answer_comes_after_its_effect(network, shop):
    """late: the number is in the books while the answer is still on its way."""
    network.control(script=[{"fault": "late", "ms": 60_000, "times": 1, "only": GET}])
    with pytest.raises(TimeoutError):
        raw_get(network, shop, package(["A"]), timeout=0.3)
    assert found(network, shop, "A") == ["live"]


def test_a_replayed_request_is_carried_out_twice(network, shop):
    """twice: two entries in the log, the second marked as the network's own replay, one number in mode same, two in mode new."""
    network.control(script=[{"fault": "twice", "only": GET}])
    after = network.last_seq()
    (number,) = numbers_of(network.call(GET, shop, **get_request(package(["A"]))))
    first, second = network.log(after)
    assert (first["numbers"], first["replay_of"], first["fault"]) == ([number], None, "twice")
    assert (second["numbers"], second["replay_of"], second["digest"]) == (
        [number],
        first["seq"],
        first["digest"],
    )
    network.control(repeat="new")
    (answered,) = numbers_of(network.call(GET, shop, **get_request(package(["B"]))))
    waybills = network.call("mock.waybill.find", shop, orders=["B"])["waybills"]
    assert [w["state"] for w in waybills] == ["live", "live"]
    assert waybills[1]["waybill_code"] == answered


def test_a_call_without_an_answer_has_no_effect(network, shop):
    """never: the connection is held, then closed; nothing was issued and the log has no outcome."""
    after = network.last_seq()
    network.control(script=[{"fault": "never", "ms": 50, "times": 1, "only": GET}])
    with pytest.raises(HUNG_UP):
        raw_get(network, shop, package(["A"]))
    (entry,) = network.log(after)
    assert (entry["code"], entry["fault"], entry["numbers"]) == (None, "never", [])
    assert found(network, shop, "A") == []


def test_a_dropped_answer_leaves_its_effect(network, shop):
    """drop: issued, counted, and the answer lost; the identical request brings the number."""
    after = network.last_seq()
    network.control(script=[{"fault": "drop", "times": 1, "only": GET}])
    with pytest.raises(HUNG_UP):
        raw_get(network, shop, package(["A"]))
    (entry,) = network.log(after)
    assert (entry["code"], entry["fault"], entry["answer_dropped"]) == (0, "drop", True)
    assert numbers_of(network.call(GET, shop, **get_request(package(["A"])))) == entry["numbers"]


def test_a_repeat_can_bring_a_new_number(network, shop):
    """repeat_new: only a get of a parcel that has a live number is hit, and then both numbers live."""
    network.control(script=[{"fault": "repeat_new", "times": 1}])
    first = numbers_of(network.call(GET, shop, **get_request(package(["A"]))))
    assert numbers_of(network.call(GET, shop, **get_request(package(["A"])))) != first
    assert found(network, shop, "A") == ["live", "live"]
    assert numbers_of(network.call(GET, shop, **get_request(package(["A"])))) == first


def test_a_repeat_can_be_refused_as_existing(network, shop):
    """repeat_exists: the first get is good, its repeat is refused without the number, a new parcel is not hit."""
    network.control(script=[{"fault": "repeat_exists"}])
    network.call(GET, shop, **get_request(package(["A"])))
    code, reason = network.refusal(GET, shop, **get_request(package(["A"])))
    assert (code, reason) == (50002, "waybill exists already for this parcel")
    network.call(GET, shop, **get_request(package(["B"])))


@pytest.mark.parametrize(("fault", "status"), [("http_500", 500), ("http_502", 502), ("http_503", 503)])
def test_a_failing_server_has_no_effect(network, shop, fault, status):
    """http_5xx: that status, no JSON, no number."""
    network.control(script=[{"fault": fault, "times": 1, "only": GET}])
    got, _, body = raw_get(network, shop, package(["A"]))
    assert got == status
    assert not body.startswith(b"{")
    assert found(network, shop, "A") == []


@pytest.mark.parametrize("code", [52101, 52102, 70031, 50000, 10019])
def test_any_of_the_platforms_errors_can_be_had(network, shop, code):
    """error: the platform's error object with that code at HTTP 200, and no effect."""
    network.control(script=[{"fault": "error", "code": code, "times": 1, "only": GET}])
    assert network.refusal(GET, shop, **get_request(package(["A"])))[0] == code
    assert found(network, shop, "A") == []


def test_a_broken_answer_leaves_its_effect(network, shop):
    """broken_json: HTTP 200 and a whole body that isn't JSON; the number is given."""
    network.control(script=[{"fault": "broken_json", "times": 1, "only": GET}])
    status, headers, body = raw_get(network, shop, package(["A"]))
    assert (status, int(headers["Content-Length"])) == (200, len(body))
    with pytest.raises(ValueError, match=r"."):
        json.loads(body)
    assert found(network, shop, "A") == ["live"]


def test_half_an_answer_leaves_its_effect(network, shop):
    """half_answer: fewer bytes than Content-Length says, then the connection closes; the number is given."""
    network.control(script=[{"fault": "half_answer", "times": 1, "only": GET}])
    with pytest.raises(http.client.IncompleteRead) as cut:
        raw_get(network, shop, package(["A"]))
    assert abs(len(cut.value.partial) - cut.value.expected) <= 1
    assert found(network, shop, "A") == ["live"]


def test_the_segment_can_be_used_up_on_request(network, shop):
    """used_up: refused in the carrier's words, nothing issued, and good again when the fault is gone."""
    network.control(script=[{"fault": "used_up", "times": 1}])
    refused = network.refusal(GET, shop, **get_request(package(["A"])))
    assert refused == (50002, "the carrier's number segment is used up")
    network.call(GET, shop, **get_request(package(["A"])))


def test_one_wrong_item_refuses_its_batch_by_place(network, shop):
    """W3: wrong_item names one element, by its place or by its order wherever that is asked for; nothing of the batch is issued."""
    network.control(script=[{"fault": "wrong_item", "item": 5, "times": 1}])
    three = [package([order]) for order in ("A", "B", "C")]
    code, reason = network.refusal(GET, shop, **get_request(*three))
    assert (code, reason.split(".")[0]) == (50002, "trade_order_info_dtos[2]")
    network.control(script=[{"fault": "wrong_item", "order": "B"}])
    assert network.refusal(GET, shop, **get_request(*three))[1].startswith("trade_order_info_dtos[1].")
    assert network.refusal(GET, shop, **get_request(three[1]))[1].startswith("trade_order_info_dtos[0].")
    assert [found(network, shop, order) for order in "ABC"] == [[], [], []]
    network.call(GET, shop, **get_request(three[0], three[2]))


def test_more_gets_a_second_than_allowed_are_refused(network, shop):
    """rate_per_s: within a second so many gets pass and the next is 52101; other calls aren't counted."""
    network.control(rate_per_s=2)
    codes = []
    for order in ("A", "B", "C", "D"):
        body = network.post(network.envelope(GET, get_request(package([order])), shop))[1]
        codes.append(body.get("error_response", {}).get("error_code", 0))
    assert codes.count(0) >= 2
    network.control(rate_per_s=1)
    together = [
        threading.Thread(target=network.post, args=(network.envelope(GET, get_request(package([o])), shop),))
        for o in "EFGH"
    ]
    after = network.last_seq()
    for one in together:
        one.start()
    for one in together:
        one.join()
    assert 52101 in [entry["code"] for entry in network.log(after)]
    network.call("mock.carriers", shop)


def test_a_rule_counts_after_every_and_times(network, shop):
    """after 2, every 3, times 2: of twelve calls the third and the sixth are hit; other types aren't counted."""
    network.control(
        script=[
            {
                "fault": "error",
                "code": 52102,
                "only": "pdd.waybill.search",
                "after": 2,
                "every": 3,
                "times": 2,
            }
        ]
    )
    hit = []
    for _ in range(12):
        network.call("mock.carriers", shop)
        body = network.post(network.envelope("pdd.waybill.search", {}, shop))[1]
        hit.append("error_response" in body)
    assert [at for at, was in enumerate(hit, 1) if was] == [3, 6]
    (rule,) = network.control()["script"]
    assert (rule["seen"], rule["hit"]) == (12, 2)


def test_two_rules_due_at_once_strike_one_after_the_other(network, shop):
    """One call suffers one fault; the rule that had to wait strikes at the next call."""
    rules = [{"fault": "error", "code": code, "times": 1} for code in (52101, 52102)]
    network.control(script=rules)
    codes = [network.refusal("mock.carriers", shop)[0] for _ in range(2)]
    assert codes == [52101, 52102]
    network.call("mock.carriers", shop)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"fault": "fire"}, "fault"),
        ({}, "fault"),
        ({"fault": "late", "only": "x"}, "only"),
        ({"fault": "late", "ms": -1}, "ms"),
        ({"fault": "late", "ms": "1"}, "ms"),
        ({"fault": "late", "times": True}, "times"),
        ({"fault": "late", "every": 0}, "every"),
        ({"fault": "late", "colour": 1}, "a rule knows"),
        ({"fault": "error"}, "code"),
        ({"fault": "error", "code": 7}, "code"),
        ({"fault": "drop", "code": 52101}, "code"),
        ({"fault": "drop", "order": "A"}, "order"),
        ({"fault": "wrong_item", "only": "mock.carriers"}, "only"),
        ("late", "a rule must be"),
    ],
)
def test_a_mistyped_rule_changes_nothing(network, rule, named):
    """A script is taken whole or not at all; what is wrong is named with the rule's place."""
    network.control(script=[{"fault": "late", "ms": 1}])
    headers = {"Content-Type": "application/json"}
    sent = {"latency_ms": 7, "script": [{"fault": "drop"}, rule]}
    status, body = network.http("POST", "/control", json.dumps(sent).encode(), headers)
    assert status == 400
    assert "script[1]" in body["error"]
    assert named in body["error"]
    now = network.control()
    assert (now["latency_ms"], [one["fault"] for one in now["script"]]) == (0, ["late"])


@pytest.mark.parametrize("as_list", [True, False])
def test_a_script_can_be_given_at_the_start(tmp_path, as_list):
    """--script takes a list of rules, or an object with settings beside it."""
    rules = [{"fault": "error", "code": 52102, "times": 1}]
    script = tmp_path / "script.json"
    script.write_text(json.dumps(rules if as_list else {"repeat": "new", "script": rules}))
    network = Network(tmp_path / "books.sqlite", "--script", str(script))
    try:
        assert network.refusal("mock.carriers")[0] == 52102
        assert network.control()["repeat"] == ("same" if as_list else "new")
    finally:
        assert network.end() == (0, "", "")


def test_parcels_are_compared_item_by_item(network, shop):
    """W2: the log's parcel digests are equal for the same parcel in another batch and differ when anything of it, or the sender, differs."""
    after = network.last_seq()
    network.call(GET, shop, **get_request(package(["A"]), package(["B"])))
    network.call(GET, shop, **get_request(package(["B"])))
    network.refusal(GET, shop, **get_request(package(["B"], recipient=party(name="别人"))))
    network.refusal(GET, shop, **get_request(package(["B"]), origin=ORIGIN | {"detail": "别处"}))
    both, alone, changed, moved = (entry["parcels"] for entry in network.log(after))
    assert [one["object_id"] for one in both] == ["obj-A-1", "obj-B-1"]
    assert both[1] == alone[0]
    assert len({one[0]["digest"] for one in (alone, changed, moved)}) == 3
    assert all(one["package_id"] == "1" for one in both)


def test_a_kill_during_every_fault_loses_nothing(tmp_path):
    """W2, W4: killed amid a script with every fault, the books agree with themselves: each answered number is there, each number was paid, no number twice."""
    rules = [
        {"fault": fault, "only": GET, "every": every, "after": every % 5, **more}
        for fault, every, more in [
            ("late", 7, {"ms": 20}),
            ("twice", 5, {}),
            ("never", 11, {"ms": 10}),
            ("drop", 6, {}),
            ("repeat_new", 3, {}),
            ("repeat_exists", 4, {}),
            ("http_503", 13, {}),
            ("error", 9, {"code": 52101}),
            ("broken_json", 8, {}),
            ("half_answer", 10, {}),
            ("used_up", 17, {}),
            ("wrong_item", 12, {"item": 1}),
        ]
    ]
    books = tmp_path / "books.sqlite"
    script = tmp_path / "script.json"
    script.write_text(json.dumps(rules))
    options = ("--opening-balance", "100000", "--script", str(script))
    network = Network(books, *options)
    network.open_service("YTO")
    answered: set[str] = set()
    asked = [0]
    enough = threading.Event()

    def ask(lane):
        for turn in range(100_000):
            asked[0] += 1
            if asked[0] > 150:
                enough.set()
            try:
                request = get_request(*[package([f"L{lane}-{turn // 2}-{n}"]) for n in range(3)])
                body = network.post(network.envelope(GET, request))[1]
            except HUNG_UP:
                if network.process.poll() is not None:
                    return
                continue
            except ValueError:
                continue
            if isinstance(body, dict) and "pdd_waybill_get_response" in body:
                answered.update(numbers_of(body["pdd_waybill_get_response"]))

    lanes = [threading.Thread(target=ask, args=(lane,)) for lane in range(3)]
    for lane in lanes:
        lane.start()
    assert enough.wait(60)
    network.process.kill()
    network.process.wait()
    for lane in lanes:
        lane.join()
    network.end(signal.SIGKILL)
    restarted = Network(books)
    try:
        seen = restarted.books()
        numbers = [waybill["number"] for waybill in seen["waybills"]]
        assert len(set(numbers)) == len(numbers)
        assert answered <= set(numbers)
        (account,) = seen["accounts"]
        assert account["allocated"] == len(numbers) == 100000 - account["quantity"]
        entries = restarted.log()
        logged = {number for entry in entries if entry["code"] == 0 for number in entry["numbers"]}
        assert logged == set(numbers)
        assert {rule["fault"] for rule in rules} <= {entry["fault"] for entry in entries}
    finally:
        restarted.end()


def test_calls_share_a_connection(network):
    """One connection carries call after call, also after a refusal and after a wrong path, until the caller closes it."""
    connection = http.client.HTTPConnection("127.0.0.1", network.port, timeout=20)
    connection.connect()
    first = connection.sock
    for path, type_ in [("/api/router", "mock.carriers"), ("/nowhere", "x"), ("/api/router/", "x.y")] * 2:
        body = json.dumps(network.envelope(type_, {})).encode()
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.version == 11
        assert connection.sock is first
    connection.close()


def test_an_answer_to_nobody_is_no_trouble(tmp_path):
    """Callers that hang up early, send half a request or no HTTP leave neither a trace on the output nor a dead network."""
    network = Network(tmp_path / "books.sqlite", "--latency-ms", "100")
    try:
        for said in (
            b"POST /api/router HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf",
            b"POST /api/router HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            b"POST /api/router HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST //[ HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            b"\x16\x03\x01\x00\xa5",
        ):
            connection = http.client.HTTPConnection("127.0.0.1", network.port, timeout=20)
            connection.connect()
            connection.sock.sendall(said)
            connection.close()
        deadline = time.monotonic() + 20
        while network.http("GET", "/health") != (200, {"status": "ok"}):
            assert time.monotonic() < deadline
        with pytest.raises(TimeoutError):
            raw_get(network, "shop-1", package(["A"]), timeout=0.03)
    finally:
        assert network.end() == (0, "", "")
