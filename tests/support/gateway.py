"""A running mock carrier network and a client that signs, written from the platform's description; shares nothing with labelsvc."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

CLIENT_ID, CLIENT_SECRET = "test-client", "test-secret"
ORIGIN = {
    "province": "浙江省",
    "city": "杭州市",
    "district": "余杭区",
    "town": "",
    "detail": "文一西路 969 号",
}
OTHER_ORIGIN = ORIGIN | {"detail": "文一西路 970 号"}
NAME, MOBILE, DETAIL = "欧阳测试人", "13900001234", "天河路 385 号 1201 室"

#: Root keys that don't follow from the type.
ROOTS = {
    "pdd.logistics.ordertrace.get": "logistics_ordertrace_get_resposne",
    "pdd.time.get": "time_get_response",
    "pdd.pop.auth.token.create": "pop_auth_token_create_response",
    "pdd.pop.auth.token.refresh": "pop_auth_token_refresh_response",
}


def sign(parameters, leave_out=()):
    """The platform's MD5 signature, written from its description."""
    text = CLIENT_SECRET
    for key in sorted(parameters):
        if parameters[key] not in leave_out:
            text += key + parameters[key]
    return hashlib.md5((text + CLIENT_SECRET).encode()).hexdigest().upper()


class Network:
    """One running mock network and a client that knows how to sign."""

    def __init__(self, books: Path, *options: str):
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "labelsvc.mockcarrier", "--port", "0", "--books", str(books)),
                *("--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET, *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        first = self.process.stdout.readline()
        found = re.fullmatch(r"mockcarrier listening on (http://127\.0\.0\.1:(\d+))/api/router\n", first)
        assert found, (first, self.process.poll())
        self.root, self.port = found[1], int(found[2])

    def end(self, how=signal.SIGTERM):
        """Stop it; returns (exit code, rest of stdout, stderr)."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def envelope(self, type_, business, token="shop-1", **changes):
        common = {
            "type": type_,
            "client_id": CLIENT_ID,
            "access_token": token,
            "timestamp": str(int(time.time())),
            "data_type": "JSON",
            "version": "V1",
        }
        plain = {
            k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in business.items()
        }
        parameters = {k: v for k, v in (common | plain | changes).items() if v is not None}
        parameters.setdefault("sign", sign(parameters))
        return parameters

    def post(self, parameters, path="/api/router", form="json"):
        if form == "json":
            body, kind = json.dumps(parameters).encode(), "application/json"
        elif form == "form":
            body, kind = urllib.parse.urlencode(parameters).encode(), "application/x-www-form-urlencoded"
        else:
            common = {"type", "client_id", "access_token", "timestamp", "data_type", "version", "sign"}
            path += "?" + urllib.parse.urlencode({k: v for k, v in parameters.items() if k in common})
            rest = {k: v for k, v in parameters.items() if k not in common}
            body, kind = urllib.parse.urlencode(rest).encode(), "application/x-www-form-urlencoded"
        return self.http("POST", path, body, {"Content-Type": kind})

    def http(self, method, path, body=None, headers=None):
        request = urllib.request.Request(self.root + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            return error.code, json.loads(text) if text.startswith(b"{") else text

    def call(self, type_, token="shop-1", **business):
        """A good call's answer, without its root key; a refusal as AssertionError."""
        status, body = self.post(self.envelope(type_, business, token))
        assert status == 200
        root = ROOTS.get(type_, type_.replace(".", "_") + "_response")
        assert list(body) == [root], body
        return body[root]

    def refusal(self, type_, token="shop-1", **business):
        """A refused call as (code, sub_msg)."""
        status, body = self.post(self.envelope(type_, business, token))
        assert status == 200
        error = body["error_response"]
        assert set(error) == {"error_code", "error_msg", "sub_code", "sub_msg", "request_id"}
        assert error["sub_code"] == str(error["error_code"])
        return error["error_code"], error["sub_msg"]

    def control(self, **changes):
        headers = {"Content-Type": "application/json"}
        status, body = self.http("POST", "/control", json.dumps(changes).encode(), headers)
        assert status == 200, body
        return body

    def open_service(self, wp_code, address=None, token="shop-1"):
        """Apply at the first point of the address's district."""
        address = address or ORIGIN
        place = {k: address[k] for k in ("province", "city", "district")}
        points = self.call("mock.network.points", token, wp_code=wp_code, **place)["points"]
        return points[0], self.call(
            "mock.subscription.apply",
            token,
            wp_code=wp_code,
            branch_code=points[0]["branch_code"],
            address=address,
            contact={"name": "联系人甲", "phone": "057100000000"},
            settlement_account="0571000001",
            agreement_version="2026-01",
        )

    def log(self, after=0):
        return self.http("GET", f"/log?after={after}")[1]["entries"]

    def last_seq(self):
        return max((entry["seq"] for entry in self.log()), default=0)

    def books(self):
        return self.http("GET", "/books")[1]

    def decide(self, application_id, decision, reason=""):
        """A reviewer's decision, as JSON; (status, answer)."""
        body = json.dumps({"application_id": application_id, "decision": decision, "reason": reason})
        return self.http("POST", "/review", body.encode(), {"Content-Type": "application/json"})


def party(**changes):
    address = {
        "province": "广东省",
        "city": "广州市",
        "district": "天河区",
        "town": "石牌街道",
        "detail": DETAIL,
    }
    return {"name": NAME, "mobile": MOBILE, "address": address} | changes


def package(orders, package_id="1", object_id=None, **changes):
    return {
        "object_id": object_id or f"obj-{'-'.join(orders)}-{package_id}",
        "user_id": 7,
        "template_url": "labelsvc://waybill-76x130",
        "order_info": {"order_channels_type": "PDD", "trade_order_list": list(orders)},
        "package_info": {"id": package_id, "items": [{"name": "毛巾", "count": 2}], "weight": 300},
        "recipient": party(),
    } | changes


def get_request(*packages, wp_code="YTO", origin=None):
    sender = {"name": "商家甲", "mobile": "13700009999", "address": origin or ORIGIN}
    return {
        "param_waybill_cloud_print_apply_new_request": {
            "wp_code": wp_code,
            "sender": sender,
            "trade_order_info_dtos": list(packages),
        }
    }


def numbers_of(answer):
    return [module["waybill_code"] for module in answer["modules"]]
