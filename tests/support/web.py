"""The web door on real rooms: builds them over a test's database, signs people in, speaks HTTP through Flask's client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.books import furnish

from labelsvc.daemon import Rooms, assemble
from labelsvc.security import Actor, Role, Store, StoreKind
from labelsvc.settings import load
from labelsvc.web import create_app
from labelsvc.web.codes import is_listed

RECIPIENT = {
    "name": "欧阳春晓",
    "phone": "13912345678",
    "province": "浙江省",
    "city": "杭州市",
    "district": "西湖区",
    "town": "文新街道",
    "detail": "文三路 478 号华星时代广场 3 幢 1204 室",
}
SENDER = {
    "name": "云上小店",
    "phone": "057188990011",
    "province": "广东省",
    "city": "广州市",
    "district": "天河区",
    "detail": "天河北路 233 号",
}


def build(state_dir: Path, **settings: Any) -> Rooms:
    """The house over a fresh database in ``state_dir``. No spooler runs: queued labels stay queued."""
    chosen = {"state_dir": state_dir, "network_url": "http://127.0.0.1:9/", **settings}
    if "database_url" not in chosen:
        furnish(state_dir)
    return assemble(load(**chosen))


class Api:
    """One caller of the API: an HTTP client with its token."""

    def __init__(self, app: Any, token: str | None, store: Store | None = None) -> None:
        self.app = app
        self.client = app.test_client()
        self.token = token
        self.store = store
        self._keys = 0

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Call ``/api/v1`` + path; a body that isn't bytes goes as JSON."""
        headers = {"Host": "localhost", **options.pop("headers", {})}
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if key := options.pop("key", None):
            headers["Idempotency-Key"] = key
        data = (
            body if isinstance(body, bytes) or body is None else json.dumps(body, ensure_ascii=False).encode()
        )
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        return self.client.open("/api/v1" + path, method=method, data=data, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        """GET."""
        return self("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """POST."""
        return self("POST", path, body, **options)

    def look(self, path: str, reason: str = "call", **options: Any) -> Any:
        """The thing at ``path`` in clear, for ``reason``."""
        return self.post(path + "/clear", {"reason": reason}, **options)


class House:
    """An app on its rooms, and people of its stores."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.app = create_app(rooms, rooms.settings)

    def caller(self, store: str, kind: StoreKind = StoreKind.MERCHANT, role: Role = Role.OWNER) -> Api:
        """A user of a store (both made if they aren't there) with an API token."""
        accounts = self.rooms.accounts
        known = {found.name: found for found in accounts.stores()}
        found = known.get(store) or accounts.create_store(store, kind)
        operator = Actor.operator(found.id, via="test")
        names = {user.name for user in accounts.users(operator)}
        if role.value not in names:
            accounts.create_user(operator, role.value, role)
        return Api(self.app, accounts.create_token(operator, role.value).secret, found)

    def stranger(self) -> Api:
        """Somebody without a token."""
        return Api(self.app, None)


def fields(answer: Any) -> set[str]:
    """The fields that a problem names."""
    return {error["field"] for error in answer.json["errors"]}


def assert_problem(answer: Any, status: int | set[int], code: str | None = None) -> dict[str, Any]:
    """The answer is a problem of RFC 9457 with this status and code; gives its body."""
    expected = {status} if isinstance(status, int) else status
    assert answer.status_code in expected, (answer.status_code, answer.get_data(as_text=True)[:400])
    assert answer.mimetype == "application/problem+json"
    body: dict[str, Any] = answer.json
    assert {"type", "title", "status", "detail", "code", "errors"} <= body.keys()
    assert body["status"] == answer.status_code
    assert is_listed(body["code"]), body["code"]
    if code:
        assert body["code"] == code
    return body


def label_data() -> dict[str, Any]:
    """Label data with everything that the shipped templates ask for."""
    address = {name: RECIPIENT[name] for name in ("province", "city", "district", "detail")}
    person = {"name": RECIPIENT["name"], "mobile": RECIPIENT["phone"], "address": address}
    return {
        "recipient": person,
        "sender": person,
        "waybillCode": "YT0012345678901",
        "carrierName": "圆通速递",
        "routingInfo": {
            "routeCode": "571-204-00 018",
            "bigShotName": "杭州",
            "consolidation": {"name": "杭州集包"},
        },
        "shippingOption": {"title": "标准快递"},
        "goods": {"summary": "龙井茶 250g ×2", "count": "2", "lines": "龙井茶 250g ×2"},
        "orderNumbers": "GET-1",
        "storeName": "云上小店",
        "reprint": {"mark": ""},
        "print": {"time": "2026-11-23 20:15", "sequence": "1/1"},
        "service": {"text": ""},
        "qr": "YT0012345678901",
        "custom": {"text": ""},
    }
