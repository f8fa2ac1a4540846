"""Public SDKs of the platform that this project did not write, unmodified, against the mock carrier network as a program.

Three, of the three families of clients that the platform knows; each is pointed to the mock network, and nothing else of it is touched:

- PyPI ``pddsdk``: everything in a form body, the time in milliseconds; its constructor takes the gateway's address.
- PyPI ``pdd-sdk``: common parameters in the query, the rest in a form, the token called ``session``; its requests take host and port.
  A call that it has no class for is a subclass of its ``RestApi``, as its own calls are.
- npm ``pdd-sdk``: a JSON body posted to the path with a trailing slash, objects made JSON text by the SDK itself; it hard-codes the
  address, so tests/support/node/call.cjs sets the base address of the HTTP client that the package exports.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pddsdk.client
import pytest
from support.programs import MockCarrier, call, mock_carrier

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # `response.status is not 200`, theirs
    import pdd_sdk
    import pdd_sdk.api.base

from labelsvc.mockcarrier import CLIENT_ID, CLIENT_SECRET

_NODE = Path(__file__).parents[1] / "support" / "node"
ADDRESS = {
    "province": "浙江省",
    "city": "杭州市",
    "district": "余杭区",
    "town": "",
    "detail": "文一西路 969 号 + 1 & 2 座",  # letters that each body form has to escape
}
RECIPIENT = {
    "name": "欧阳测试人",
    "mobile": "13900001234",
    "address": {
        "province": "广东省",
        "city": "广州市",
        "district": "天河区",
        "town": "石牌街道",
        "detail": "天河路 385 号 1201 室",
    },
}
TEMPLATE = "labelsvc://waybill-76x130"


class Turned(Exception):
    """The SDK handed a refusal to its caller: the platform's code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


Sdk = Callable[..., dict[str, Any]]


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def python_pddsdk(url: str, secret: str, token: str) -> Sdk:
    client = pddsdk.client.Client(CLIENT_ID, secret, url=url)

    def ask(type_: str, **parameters: Any) -> dict[str, Any]:
        texts = {name: text_of(value) for name, value in parameters.items()}
        answer: dict[str, Any] = client.call({"type": type_, "access_token": token, **texts})
        if "error_response" in answer:
            raise Turned(answer["error_response"]["error_code"])
        return answer

    return ask


def python_pdd_sdk(url: str, secret: str, token: str) -> Sdk:
    def ask(type_: str, **parameters: Any) -> dict[str, Any]:
        class Request(pdd_sdk.api.base.RestApi):
            def getapiname(self) -> str:
                return type_

        where = urlsplit(url)
        request = Request(where.hostname, where.port)
        request.set_app_info(pdd_sdk.appinfo(CLIENT_ID, secret))
        for name, value in parameters.items():
            setattr(request, name, text_of(value))
        try:
            answer: dict[str, Any] = request.getResponse(authrize=token)
        except pdd_sdk.api.base.DdkException as refused:
            raise Turned(int(refused.subcode)) from None
        return answer

    return ask


def node_pdd_sdk(url: str, secret: str, token: str) -> Sdk:
    def ask(type_: str, **parameters: Any) -> dict[str, Any]:
        asked = {
            "url": url,
            "client_id": CLIENT_ID,
            "client_secret": secret,
            "type": type_,
            "parameters": {"access_token": token, **parameters},
        }
        run = subprocess.run(
            ["node", str(_NODE / "call.cjs")],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stderr.decode()
        said: dict[str, Any] = json.loads(run.stdout)
        if "refusal" in said:
            raise Turned(said["refusal"]["error_response"]["error_code"])
        return dict(said["answer"])

    return ask


SDKS = {"pddsdk (Python)": python_pddsdk, "pdd-sdk (Python)": python_pdd_sdk, "pdd-sdk (npm)": node_pdd_sdk}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockCarrier]:
    """One mock network for all; each test is a shop of its own there."""
    with mock_carrier(tmp_path_factory.mktemp("network"), opening_balance=20) as running:
        yield running


@pytest.fixture(params=SDKS)
def make(request: pytest.FixtureRequest) -> Callable[[str, str, str], Sdk]:
    """What makes a client of one SDK. Without Node its SDK is skipped; in CI that is an error."""
    if "npm" in request.param:
        missing = "node is not installed" if shutil.which("node") is None else ""
        if not missing and not (_NODE / "node_modules" / "pdd-sdk").is_dir():
            missing = "pdd-sdk is not installed: run npm ci in tests/support/node"
        if missing and os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(missing)
        if missing:
            pytest.skip(missing)
    return SDKS[request.param]


def parcel(number: int) -> dict[str, Any]:
    return {
        "object_id": f"parcel-{number}",
        "user_id": 7,
        "template_url": TEMPLATE,
        "order_info": {"order_channels_type": "PDD", "trade_order_list": [f"260101-{number}"]},
        "package_info": {"id": "1", "items": [{"name": "毛巾", "count": 2}], "weight": 300},
        "recipient": RECIPIENT,
    }


def open_service(sdk: Sdk) -> str:
    """Open ZTO at the first network point of the address; its branch code."""
    place = {name: ADDRESS[name] for name in ("province", "city", "district")}
    points = sdk("mock.network.points", wp_code="ZTO", **place)["mock_network_points_response"]["points"]
    sdk(
        "mock.subscription.apply",
        wp_code="ZTO",
        branch_code=points[0]["branch_code"],
        address=ADDRESS,
        contact={"name": "联系人甲", "phone": "057100000000"},
        agreement_version="2026-01",
    )
    return str(points[0]["branch_code"])


def test_a_public_sdk_gets_queries_updates_and_cancels_waybills(
    network: MockCarrier, make: Callable[[str, str, str], Sdk], request: pytest.FixtureRequest
) -> None:
    """Each SDK goes its own way to numbers, their print data, a change and a cancellation as the platform answers them."""
    sdk = make(network.url, CLIENT_SECRET, f"token of {request.node.name}")
    branch_code = open_service(sdk)
    (column,) = sdk("pdd.waybill.search", wp_code="ZTO")["pdd_waybill_search_response"][
        "waybill_apply_subscription_cols"
    ]
    (branch,) = column["branch_account_cols"]
    assert (branch["branch_code"], branch["quantity"]) == (branch_code, 20)
    (opened,) = branch["shipp_address_cols"]
    assert opened["detail"] == ADDRESS["detail"]

    batch = {
        "wp_code": "ZTO",
        "sender": {"name": "商家甲", "mobile": "13700009999", "address": ADDRESS},
        "trade_order_info_dtos": [parcel(1), parcel(2)],
    }
    got = sdk("pdd.waybill.get", param_waybill_cloud_print_apply_new_request=batch)
    modules = got["pdd_waybill_get_response"]["modules"]
    assert [module["object_id"] for module in modules] == ["parcel-1", "parcel-2"]
    first, second = (module["waybill_code"] for module in modules)
    assert set(network.live()) >= {first, second}
    assert json.loads(modules[0]["print_data"])["data"]["recipient"]["name"] == RECIPIENT["name"]
    again = sdk("pdd.waybill.get", param_waybill_cloud_print_apply_new_request=batch)
    assert again["pdd_waybill_get_response"]["modules"] == modules

    def print_data() -> str:
        listed = [{"object_id": "asked", "waybill_code": first, "wp_code": "ZTO"}]
        answer = sdk("pdd.waybill.query.by.waybillcode", param_list=listed)
        (module,) = answer["pdd_waybill_query_by_waybillcode_response"]["modules"]
        found: dict[str, str] = module["waybill_cloud_print_response"]
        assert (found["object_id"], found["waybill_code"]) == ("asked", first)
        return found["print_data"]

    assert print_data() == modules[0]["print_data"]

    moved = RECIPIENT | {"name": "新的收件人", "address": RECIPIENT["address"] | {"district": "越秀区"}}
    updated = sdk(
        "pdd.waybill.update",
        param_waybill_cloud_print_update_request={
            "waybill_code": first,
            "wp_code": "ZTO",
            "object_id": "parcel-1",
            "template_url": TEMPLATE,
            "package_info": {"items": [{"name": "浴巾", "count": 1}], "weight": 500},
            "recipient": moved,
            "sender": {"name": "商家甲", "mobile": "13700008888"},
        },
    )["pdd_waybill_update_response"]
    assert updated["waybill_code"] == first
    printed = json.loads(updated["print_data"])["data"]
    assert printed["recipient"]["name"] == "新的收件人"
    assert printed["recipient"]["address"]["district"] == "越秀区"
    assert (printed["sender"]["mobile"], printed["waybillCode"]) == ("13700008888", first)
    assert json.loads(print_data()) == json.loads(updated["print_data"])

    cancelled = sdk("pdd.waybill.cancel", waybill_code=first, wp_code="ZTO")
    assert cancelled["pdd_waybill_cancel_response"]["cancel_result"] is True
    with pytest.raises(Turned) as refused:
        print_data()
    assert refused.value.code == 50002
    states = {waybill["number"]: waybill["state"] for waybill in call(f"{network.base}/books")["waybills"]}
    assert (states[first], states[second]) == ("cancelled", "live")


def test_a_public_sdk_with_another_secret_is_turned_away(
    network: MockCarrier, make: Callable[[str, str, str], Sdk]
) -> None:
    """A signature made with the wrong secret is refused as the platform does, and the SDK understands the refusal."""
    sdk = make(network.url, "not the secret", "any token")
    with pytest.raises(Turned) as refused:
        sdk("pdd.waybill.search")
    assert refused.value.code == 20004


def test_a_public_sdk_meets_a_refused_number(
    network: MockCarrier, make: Callable[[str, str, str], Sdk], request: pytest.FixtureRequest
) -> None:
    """A parcel of a shop that opened no service is refused with the business code, and gets no number."""
    sdk = make(network.url, CLIENT_SECRET, f"token of {request.node.name}")
    before = network.live()
    batch = {
        "wp_code": "ZTO",
        "sender": {"name": "商家甲", "mobile": "13700009999", "address": ADDRESS},
        "trade_order_info_dtos": [parcel(1)],
    }
    with pytest.raises(Turned) as refused:
        sdk("pdd.waybill.get", param_waybill_cloud_print_apply_new_request=batch)
    assert refused.value.code == 50002
    assert network.live() == before
