"""The platform's envelope: what a call looks like, how it is signed, and how it is refused.

Hides the three body forms, the two ways of signing empty values, seconds and milliseconds, and the walk
through nested JSON that lets every refusal name its field. Pure: knows neither Flask nor the books.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

CLOCK_TOLERANCE_S = 600
MEANING = {
    10000: "parameter error",
    10001: "common parameter error",
    10016: "client_id wrong",
    10017: "type wrong",
    10018: "target_client_id wrong",
    10019: "access_token expired",
    20004: "sign check failed",
    20005: "caller's IP not on the white list",
    20031: "user did not authorise this API",
    20032: "access_token or client_id wrong",
    20034: "API offline",
    20035: "API not on this gateway",
    21001: "request parameter error",
    21002: "a required parameter is empty",
    30000: "no permission for the target API",
    30001: "client_id does not match partner_id",
    50000: "internal error",
    50002: "business service error",
    52001: "gateway error",
    52002: "gateway error",
    52004: "body too large",
    52101: "rate limited",
    52102: "degraded",
    52103: "service unavailable",
    70031: "calls too frequent",
}
COMMON = frozenset(
    {
        *("type", "client_id", "access_token", "session", "timestamp", "data_type", "version", "sign"),
        *("target_client_id", "partner_id"),
    }
)
EXPIRED_TOKEN = "EXPIRED"
_TOKEN_LIMIT = 200
_ORDINARY_ID = re.compile(r"[A-Za-z0-9_.:/#*-]{1,100}")
_TYPE_FORM = re.compile(r"[a-z][a-z0-9._]{0,79}")


class Refused(Exception):
    """The network says no: a code of the platform's table and a reason that names a field, never its value."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def error_body(code: int, reason: str, request_id: str) -> dict[str, Any]:
    """The platform's error answer; it goes out with HTTP 200."""
    return {
        "error_response": {
            "error_code": code,
            "error_msg": MEANING.get(code, "error"),
            "sub_code": str(code),
            "sub_msg": reason,
            "request_id": request_id,
        }
    }


def flatten(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    """All parameters of one call as text, wherever in the request they stood.

    Numbers and booleans of a JSON body count as their text. Refused 10000: an object that was not sent as a
    JSON string, text that is not Unicode. Refused 10001: one name with two values.
    """
    flat: dict[str, str] = {}
    for name, value in pairs:
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int):
            text = str(value)
        elif isinstance(value, str):
            text = value
        else:
            raise Refused(
                10000, f"{_shown(name)}: every value must be a string, an object is sent as a JSON string"
            )
        if not _encodable(name) or not _encodable(text):
            raise Refused(10000, "a parameter is not valid Unicode text")
        if flat.setdefault(name, text) != text:
            raise Refused(10001, f"{_shown(name)}: given twice with different values")
    return flat


def sign(parameters: Mapping[str, str], secret: str) -> str:
    """MD5 over the secret, the parameters sorted by name and joined without separators, and the secret again."""
    joined = "".join(name + parameters[name] for name in sorted(parameters) if name != "sign")
    return hashlib.md5(f"{secret}{joined}{secret}".encode(), usedforsecurity=False).hexdigest().upper()


def signature_holds(parameters: Mapping[str, str], secret: str) -> bool:
    """Both families of clients are right: those that sign empty values and those that leave out empty text
    and lists.
    """
    given = parameters.get("sign", "").encode()
    families: tuple[tuple[str, ...], ...] = ((), ("",), ("", "[]"))
    return any(
        hmac.compare_digest(
            given, sign({k: v for k, v in parameters.items() if v not in left_out}, secret).encode()
        )
        for left_out in families
    )


@dataclass(frozen=True)
class Call:
    """One call whose envelope was found good: who calls what, with which business parameters.

    `token` is empty only for a type that needs none. `decoded`: the business parameters with their JSON
    strings read, as far as they can be.
    """

    type: str
    token: str
    business: dict[str, str]
    decoded: dict[str, object]


def open_envelope(
    parameters: Mapping[str, str],
    client_id: str,
    client_secret: str,
    now_s: float,
    without_token: Container[str] = (),
) -> Call:
    """Check the common parameters, in the order in which the platform answers for them; the types
    `without_token` need no shop's consent.
    """
    for name in ("type", "client_id", "timestamp", "sign"):
        if not parameters.get(name):
            raise Refused(10001, f"{name}: missing")
    if parameters["client_id"] != client_id:
        raise Refused(10016, "client_id: unknown")
    if not signature_holds(parameters, client_secret):
        raise Refused(20004, "sign: does not fit the parameters")
    stamp = parameters["timestamp"]
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 13):
        raise Refused(10001, "timestamp: must be Unix seconds or milliseconds")
    stamp_s = int(stamp) / 1000 if len(stamp) == 13 else int(stamp)
    if abs(now_s - stamp_s) > CLOCK_TOLERANCE_S:
        raise Refused(10001, "timestamp: more than 10 minutes from the network's clock")
    if parameters.get("data_type", "JSON").upper() != "JSON":
        raise Refused(10001, "data_type: only JSON is spoken here")
    if parameters.get("version", "V1").upper() != "V1":
        raise Refused(10001, "version: only V1 is known")
    token = parameters.get("access_token") or parameters.get("session") or ""
    if parameters["type"] in without_token:
        token = ""
    elif not token or len(token) > _TOKEN_LIMIT:
        raise Refused(20032, "access_token: missing or not a token")
    elif token == EXPIRED_TOKEN:
        raise Refused(10019, "access_token: expired")
    business = {name: value for name, value in parameters.items() if name not in COMMON}
    decoded = {name: _decoded(value) for name, value in business.items()}
    return Call(parameters["type"], token, business, decoded)


def loggable_type(parameters: Mapping[str, str]) -> str:
    """The call's type if it looks like one; a stranger's text never reaches the log."""
    claimed = parameters.get("type", "")
    return claimed if _TYPE_FORM.fullmatch(claimed) else "(unreadable)"


def canonical(call: Call) -> bytes:
    """The bytes over which a request's digest is taken: equal for requests of equal meaning, whatever time
    and token.
    """
    return _canonical([call.type, call.decoded])


def _canonical(value: object) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    except RecursionError:
        raise Refused(10000, "a parameter is nested too deeply") from None


@dataclass(frozen=True)
class ParcelAsked:
    """One element of a `pdd.waybill.get`, so that a repeat can be told from a change, whatever batch it came in.

    `content`: the bytes of the element with carrier and sender.
    """

    package_id: str
    object_id: str
    orders: tuple[str, ...]
    content: bytes


def parcels_asked(call: Call) -> list[ParcelAsked]:
    """The elements of a `pdd.waybill.get` before anything in it is checked; none for other calls."""
    batch = call.decoded.get("param_waybill_cloud_print_apply_new_request")
    elements = batch.get("trade_order_info_dtos") if isinstance(batch, dict) else None
    if call.type != "pdd.waybill.get" or not isinstance(batch, dict) or not isinstance(elements, list):
        return []
    asked = []
    for element in elements[:100]:
        inner = element if isinstance(element, dict) else {}
        package, order_info = inner.get("package_info"), inner.get("order_info")
        orders = order_info.get("trade_order_list") if isinstance(order_info, dict) else None
        asked.append(
            ParcelAsked(
                package_id=_identifier(package.get("id", "") if isinstance(package, dict) else ""),
                object_id=_identifier(inner.get("object_id")),
                orders=tuple(one for one in orders if isinstance(one, str))
                if isinstance(orders, list)
                else (),
                content=_canonical([batch.get("wp_code"), batch.get("sender"), element]),
            )
        )
    return asked


def _identifier(value: object) -> str:
    """An identifier as the log may keep it: a name sent in the wrong field does not end up there."""
    if value == "":
        return ""
    return value if isinstance(value, str) and _ORDINARY_ID.fullmatch(value) else "(unreadable)"


@dataclass(frozen=True)
class Mentions:
    """The identifiers that a request names: what the log keeps of it."""

    object_ids: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    package_ids: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


def mentions(call: Call) -> Mentions:
    """Collect identifiers before anything is checked. What does not look like an identifier is noted as
    unreadable, so that a name sent in the wrong field does not end up in the log.
    """
    found: dict[str, list[str]] = {"object_ids": [], "orders": [], "package_ids": [], "numbers": []}
    columns = {
        "object_id": "object_ids",
        "trade_order_list": "orders",
        "orders": "orders",
        "order_sn": "orders",
        "order_mask_sn": "orders",
        "package_id": "package_ids",
        "waybill_code": "numbers",
        "waybill_codes": "numbers",
        "waybill_no": "numbers",
        "tracking_number": "numbers",
        "mail_no": "numbers",
    }

    def note(column: str, value: object) -> None:
        for item in value if isinstance(value, list) else [value]:
            found[column].append(_identifier(item or None))

    def walk(value: object) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, list) and any(isinstance(one, dict) for one in inner):
                    walk(inner)  # a factory names each order by an object of its own
                elif name in columns:
                    note(columns[name], inner)
                elif name == "package_info" and isinstance(inner, dict):
                    note("package_ids", inner.get("id", "-"))
                else:
                    walk(inner)

    try:
        walk(call.decoded)
    except RecursionError:
        raise Refused(10000, "a parameter is nested too deeply") from None
    return Mentions(**{column: tuple(values[:1000]) for column, values in found.items()})


class Field:
    """A value somewhere in a request that knows its path, so that whatever is wrong with it can be said by
    name.

    A missing value, null and empty text are the same to the platform: 21002 where the field is required. Any
    other fault is 21001; JSON that can't be read is 10000.
    """

    def __init__(self, path: str, value: object) -> None:
        self.path = path
        self._value = value

    @classmethod
    def parameter(cls, business: Mapping[str, str], name: str) -> "Field":
        """A business parameter as the text it was sent as."""
        return cls(name, business.get(name))

    @classmethod
    def json_parameter(cls, business: Mapping[str, str], name: str) -> "Field":
        """A business parameter that holds an object or a list as a JSON string."""
        return cls(name, business.get(name)).decode()

    @property
    def missing(self) -> bool:
        return self._value is None or self._value == ""

    def decode(self) -> "Field":
        """The value read as JSON text."""
        if self.missing:
            return Field(self.path, None)
        if not isinstance(self._value, str):
            raise Refused(21001, f"{self.path}: must be a JSON string")
        try:
            return Field(self.path, json.loads(self._value))
        except (ValueError, RecursionError):
            raise Refused(10000, f"{self.path}: is not valid JSON") from None

    def at(self, name: str) -> "Field":
        """A member of an object; a member of a missing object is missing."""
        if self.missing:
            return Field(f"{self.path}.{name}", None)
        if not isinstance(self._value, dict):
            raise Refused(21001, f"{self.path}: must be an object")
        return Field(f"{self.path}.{name}", self._value.get(name))

    def required(self) -> "Field":
        if self.missing:
            raise Refused(21002, f"{self.path}: is required")
        return self

    def each(self, most: int) -> "list[Field]":
        """The elements of a list that must have 1 to `most` of them."""
        self.required()
        if not isinstance(self._value, list):
            raise Refused(21001, f"{self.path}: must be a list")
        if not self._value:
            raise Refused(21002, f"{self.path}: is empty")
        if len(self._value) > most:
            raise Refused(21001, f"{self.path}: at most {most} elements")
        return [Field(f"{self.path}[{at}]", value) for at, value in enumerate(self._value)]

    def text(self, most: int) -> str:
        """Text of at most `most` characters; empty where missing."""
        if self.missing:
            return ""
        if not isinstance(self._value, str):
            raise Refused(21001, f"{self.path}: must be text")
        if len(self._value) > most:
            raise Refused(21001, f"{self.path}: at most {most} characters")
        if not _encodable(self._value):
            raise Refused(21001, f"{self.path}: is not valid Unicode text")
        return self._value

    def whole(self, least: int, most: int) -> int:
        """A whole number, also as decimal text; 0 where missing."""
        if self.missing:
            return 0
        value = self._value
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused(21001, f"{self.path}: must be a whole number")
        if not least <= value <= most:
            raise Refused(21001, f"{self.path}: must be from {least} to {most}")
        return value

    def flag(self) -> bool:
        """A boolean, also as the text true or false; false where missing."""
        if self.missing:
            return False
        if self._value in (True, "true"):
            return True
        if self._value in (False, "false"):
            return False
        raise Refused(21001, f"{self.path}: must be true or false")


def _decoded(value: str) -> object:
    if value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    return name if _ORDINARY_ID.fullmatch(name) else "(a parameter)"
