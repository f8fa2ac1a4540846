"""Faults on request: a script of rules says which calls go wrong, when, and how.

Hides how calls are counted for each rule and how one fault is chosen where several are due. Pure but for a
lock: what a fault then does to a call is the gateway's.

A script is a list of rules. A rule is an object:

    fault    what goes wrong, see FAULTS
    only     the call type it applies to; "" all (default: "", for the faults of a get pdd.waybill.get)
    after    so many matching calls pass first (default 0)
    every    then each so-many-th call is hit (default 1: each)
    times    hit at most so many calls (default 0: without end)
    ms       late, never: how long
    code     error: the platform's code
    item     wrong_item: which element, counted from 0 and around (default 0)
    order    wrong_item: the order that is always refused, in a batch or alone, instead of an element's place

One call suffers one fault. Where several rules are due the one that waits longest strikes, of equals the
first of the script, and the others strike at the calls after it; a rule with an `order` goes before all.
Counting begins when a script is set, so a network that was killed and started with the same script begins it
again.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from labelsvc.mockcarrier.wire import MEANING, Refused

GET = "pdd.waybill.get"
HOLD_MS = 30_000
#: What each does; "effect" says whether the call was carried out.
FAULTS = {
    "late": "effect, and the answer `ms` later",
    "twice": "the request is carried out twice, as by a proxy that replays it; the second answer is given",
    "never": "no effect and no answer; after `ms` (30 s) the connection closes",
    "drop": "effect, and the connection closes without an answer",
    "repeat_new": "a get of a parcel that has a live number gives a further one",
    "repeat_exists": 'a get of a parcel that has a live number is refused, "exists already"',
    "http_500": "HTTP 500, no effect",
    "http_502": "HTTP 502, no effect",
    "http_503": "HTTP 503, no effect",
    "error": "the platform's error `code`, no effect",
    "broken_json": "effect, and an answer that isn't JSON",
    "half_answer": "effect, and half of the answer's bytes before the connection closes",
    "used_up": "the carrier's number segment is used up, no effect",
    "wrong_item": "one element of a batch is refused by name, and so the batch; no effect",
}
_OF_A_GET = frozenset({"repeat_new", "repeat_exists", "used_up", "wrong_item"})
_MOST = 10**6


@dataclass(frozen=True)
class Rule:
    """One line of a script, checked; ValueError names what is wrong with it."""

    fault: str
    only: str = ""
    after: int = 0
    every: int = 1
    times: int = 0
    ms: int = 0
    code: int = 0
    item: int = 0
    order: str = ""

    @classmethod
    def read(cls, sent: object, types: Sequence[str]) -> "Rule":
        """A rule as JSON has it; `types` are the call types there are."""
        if not isinstance(sent, Mapping):
            raise ValueError("a rule must be an object")
        known = {field.name: field.type for field in fields(cls)}
        for name, value in sent.items():
            if name not in known:
                raise ValueError(f"a rule knows: {', '.join(known)}")
            if type(value) is not known[name]:
                raise ValueError(f"{name}: wrong type")
            if isinstance(value, int) and not 0 <= value <= _MOST:
                raise ValueError(f"{name}: must be from 0 to {_MOST}")
        fault = sent.get("fault")
        if fault not in FAULTS:
            raise ValueError(f"fault: one of {', '.join(FAULTS)}")
        rule = cls(**{"only": GET if fault in _OF_A_GET else "", **sent})
        if rule.only and rule.only not in types:
            raise ValueError("only: no such call type")
        if rule.fault in _OF_A_GET and rule.only != GET:
            raise ValueError(f"only: {rule.fault} is a fault of {GET}")
        if rule.every < 1:
            raise ValueError("every: at least 1")
        if (rule.fault == "error") != (rule.code != 0) or (rule.code and rule.code not in MEANING):
            raise ValueError("code: one of the platform's table, for the fault error and no other")
        if rule.ms and rule.fault not in ("late", "never"):
            raise ValueError("ms: for late and never")
        if (rule.item or rule.order) and rule.fault != "wrong_item":
            raise ValueError("item, order: for wrong_item")
        return rule

    def shown(self) -> dict[str, Any]:
        """As JSON has it, without what says nothing."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in named.items() if name in ("fault", "only", "every") or value}


@dataclass(frozen=True)
class Occasion:
    """A call, as far as rules ask about it.

    `orders`: the orders of each element of a get. `repeated`: whether one of its parcels has a live number;
    asked only where a rule wants to know.
    """

    type: str
    orders: tuple[tuple[str, ...], ...]
    repeated: Callable[[], bool]


@dataclass
class _Count:
    """How far a rule has come."""

    seen: int = 0
    hit: int = 0
    due_since: int = 0  #: the call, of all, at which it was due; 0: it isn't


class Script:
    """The rules in force and their counts. Any number of threads may ask."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = tuple((rule, _Count()) for rule in rules)
        self._calls = 0
        self._turn = threading.Lock()

    @classmethod
    def read(cls, sent: object, types: Sequence[str]) -> "Script":
        """A script as JSON has it; ValueError names the rule, counted from 0, and what is wrong."""
        if not isinstance(sent, list):
            raise ValueError("script: must be a list of rules")
        rules = []
        for at, one in enumerate(sent):
            try:
                rules.append(Rule.read(one, types))
            except ValueError as wrong:
                raise ValueError(f"script[{at}].{wrong}") from None
        return cls(rules)

    def strike(self, call: Occasion) -> Rule | None:
        """Count a call and choose what goes wrong with it."""
        if not self._rules:
            return None
        with self._turn:
            self._calls += 1
            due: list[tuple[Rule, _Count]] = []
            for rule, count in self._rules:
                if not _applies(rule, call):
                    continue
                count.seen += 1
                if rule.times and count.hit >= rule.times:
                    continue
                past = count.seen - rule.after - 1
                if past >= 0 and past % rule.every == 0:
                    count.due_since = count.due_since or self._calls
                if count.due_since:
                    due.append((rule, count))
            if not due:
                return None
            rule, count = min(due, key=lambda one: (not one[0].order, one[1].due_since))
            count.due_since, count.hit = 0, count.hit + 1
            return rule

    def shown(self) -> list[dict[str, Any]]:
        """The rules, each with how many calls it was asked about and how many it hit."""
        with self._turn:
            return [rule.shown() | {"seen": count.seen, "hit": count.hit} for rule, count in self._rules]


def _applies(rule: Rule, call: Occasion) -> bool:
    if rule.only not in ("", call.type):
        return False
    if rule.order:
        return any(rule.order in orders for orders in call.orders)
    if rule.fault == "wrong_item":
        return bool(call.orders)
    return call.repeated() if rule.fault in ("repeat_new", "repeat_exists") else True


def refuse_item(rule: Rule, call: Occasion) -> Refused:
    """What a batch with a wrong element is refused with."""
    at = rule.item % len(call.orders)
    if rule.order:
        at = next(at for at, orders in enumerate(call.orders) if rule.order in orders)
    return Refused(50002, f"trade_order_info_dtos[{at}].recipient.address: the carrier serves no such place")
