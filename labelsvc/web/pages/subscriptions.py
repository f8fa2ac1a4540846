"""Pages of the e-waybill service: opening it, its history, its balance, and what comes next. 电子面单服务

Hides that one form serves new applications, drafts and corrections, and makes sender addresses on the way; that what was
saved of a contact is kept without being shown; and how often a page asks the network for balances.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from labelsvc.errors import Conflict, FieldError, Invalid, LabelsvcError, Refused, Unavailable
from labelsvc.security import Actor, Right
from labelsvc.waybills import (
    Application,
    Balance,
    Carrier,
    CarrierKind,
    NetworkPoint,
    Party,
    SenderAddress,
    Subscription,
    SubscriptionState,
    read_numbers,
)
from labelsvc.web.pages import people, words
from labelsvc.web.rooms import rooms
from labelsvc.web.session import actor

pages = Blueprint("subscriptions_pages", __name__, url_prefix="/subscriptions")

#: The version of the service agreement that the page shows and the application records (E2).
AGREEMENT = "2026-11"
_FIELDS = ("carrier", "address_id", "branch_code", "contact_name", "contact_phone", "settlement_account")
#: Of these a draft's or a rejected application's form shows at most stars; left empty, they stay as they were.
_KEPT = ("contact_name", "contact_phone", "settlement_account")
_ADDRESS = ("name", "phone", "province", "city", "district", "town", "detail")
#: What stands for an address that is still to be made.
_NEW = "new"
#: So old may a balance be on a page that only warns of few numbers: many packers mustn't become many calls.
_BALANCES_S = 30.0
#: What a file of numbers is for.
_POINT = ("carrier", "address_id", "branch_code", "branch_name")
_EDITABLE = frozenset({SubscriptionState.DRAFT, SubscriptionState.REJECTED})


@pages.get("")
def listed() -> str:
    """All applications, each with its history to unfold (E10), and the balances."""
    who = actor()
    found = rooms().subscriptions.list(who)
    balances, silent = _balances(who, found)
    return render_template(
        "subscriptions.html",
        subscriptions=sorted(found, key=lambda one: (one.state is SubscriptionState.CLOSED, one.id)),
        histories={one.id: rooms().subscriptions.history(who, one.id) for one in found},
        names=people.names(who),
        balances=balances,
        silent=silent,
        access=rooms().subscriptions.access(who),
        stage=_stage(found),
    )


@pages.get("/live")
def live() -> str:
    """Where all applications stand, so that a page knows when a carrier has decided."""
    return render_template("_stage.html", stage=_stage(rooms().subscriptions.list(actor())))


@pages.get("/few")
def few() -> str:
    """The warning that numbers run out (W4), as a part of other pages; nothing if all is well."""
    who = actor()
    return render_template("_few.html", few=[one for one in _known_balances(who) if one.low])


@pages.get("/agreement")
def agreement() -> str:
    """The service agreement's text."""
    return render_template("agreement.html", version=AGREEMENT)


@pages.get("/<ident:subscription_id>")
def one(subscription_id: str) -> str:
    """One subscription: balance, history, and what comes next (E11)."""
    who = actor()
    steps = rooms().subscriptions.next_steps(who, subscription_id)
    found = steps.subscription
    return render_template(
        "subscription.html",
        subscription=found,
        steps=steps,
        events=rooms().subscriptions.history(who, subscription_id),
        names=people.names(who),
        printers=[one for one in rooms().printers.list(who) if not one.is_browser]
        if who.may(Right.READ_PRINTERS)
        else [],
        default=rooms().addresses.default(who) if who.may(Right.READ_ADDRESSES) else None,
        stage=_stage([found]),
    )


@pages.get("/<ident:subscription_id>/live")
def one_live(subscription_id: str) -> str:
    """Where one application stands."""
    return render_template("_stage.html", stage=_stage([rooms().subscriptions.get(actor(), subscription_id)]))


@pages.get("/new")
def new() -> Response | str:
    """The form of an application; carrier and address are chosen first, and give the network points."""
    chosen = {name: request.args[name] for name in ("carrier", "address_id") if name in request.args}
    return _form(chosen, None)


@pages.post("/new")
def apply() -> Response | str | tuple[str, int]:
    """Submit, keep as a draft, add the address, or show the network points of what is chosen now."""
    return _posted(None)


@pages.get("/<ident:subscription_id>/edit")
def edit(subscription_id: str) -> Response | str:
    """The same form, filled with a draft or with what was rejected (E1)."""
    found = _editable(subscription_id)
    given = {name: getattr(found, name) or "" for name in _FIELDS if name not in _KEPT}
    accepted = found.accepted and found.state is SubscriptionState.DRAFT
    return _form({**given, "accepted": "yes" if accepted else ""}, found)


@pages.post("/<ident:subscription_id>/edit")
def resubmit(subscription_id: str) -> Response | str | tuple[str, int]:
    """The same as for a new one."""
    return _posted(_editable(subscription_id))


@pages.post("/<ident:subscription_id>/withdraw")
def withdraw(subscription_id: str) -> Response:
    """Take the application back."""
    rooms().subscriptions.withdraw(actor(), subscription_id)
    return redirect(url_for(".listed", done="withdrawn"), 303)


@pages.post("/<ident:subscription_id>/close")
def close(subscription_id: str) -> Response:
    """Close it."""
    rooms().subscriptions.close(actor(), subscription_id)
    return redirect(url_for(".listed", done="closed"), 303)


@pages.get("/connect")
def connection() -> str:
    """How the store gets access to the network."""
    return render_template("connect.html", access=rooms().subscriptions.access(actor()))


@pages.post("/connect")
def connect() -> Response | tuple[str, int]:
    """Connect the store to the network, by the code of its authorisation page or by a token."""
    text = request.form.get("text", "").strip()
    try:
        if request.form.get("kind") == "token":
            rooms().subscriptions.connect(actor(), text)
        else:
            rooms().subscriptions.connect_by_code(actor(), text)
    except LabelsvcError as error:
        wrong = list(words.wrong_fields(error).values())
        return render_template(
            "connect.html",
            access=rooms().subscriptions.access(actor()),
            fault=words.of(error),
            wrong={"text": wrong[0]} if wrong else {},
            kind=request.form.get("kind"),
        ), error.status
    return redirect(url_for(".listed", done="connected"), 303)


@pages.get("/numbers")
def numbers() -> str:
    """The form that takes a carrier's file of numbers; for a point that is open, filled with the point."""
    given = {}
    if of := request.args.get("of"):
        found = rooms().subscriptions.get(actor(), of[:40])
        given = {name: getattr(found, name) or "" for name in _POINT}
    return _numbers_form(given)


@pages.post("/numbers")
def import_numbers() -> Response | tuple[str, int]:
    """Open a point on the file's numbers, or add them to one that is open."""
    given = {name: request.form.get(name, "").strip() for name in _POINT}
    try:
        if missing := [name for name in _POINT if not given[name]]:
            raise Invalid("is missing", errors=[FieldError(name, "is missing") for name in missing])
        file = request.files.get("file")
        if file is None or not file.filename:
            raise Invalid("is missing", field="file")
        found = rooms().subscriptions.open_offline(
            actor(), **given, numbers=read_numbers(file.filename, file.read(), given["carrier"])
        )
    except LabelsvcError as error:
        return _numbers_form(given, error), error.status
    _remembered().pop(actor().store_id, None)
    return redirect(url_for(".one", subscription_id=found.id, done="numbers_added"), 303)


def _numbers_form(given: dict[str, str], error: LabelsvcError | None = None) -> str:
    who = actor()
    who.require(Right.MANAGE_SUBSCRIPTIONS)
    return render_template(
        "numbers.html",
        given=given,
        carriers=list(words.CARRIERS),
        addresses=rooms().addresses.list(who),
        **_fault(error),
    )


def _posted(former: Subscription | None) -> Response | str | tuple[str, int]:
    """Do what the form's button says; without a button, show the form with what is chosen now."""
    given = {name: request.form.get(name, "").strip() for name in (*_FIELDS, *_ADDRESS)}
    given["accepted"] = request.form.get("accepted", "")
    # Chosen a franchise carrier, which has no settlement account, and back again: what was typed is still there.
    given["aside"] = given["settlement_account"] or request.form.get("aside", "").strip()
    try:
        match request.form.get("act"):
            case "address":
                given["address_id"] = _added(given).id
            case "draft" | "submit" as act:
                found = _filed(act, given, former)
                done = _outcome(found)
                if found.state is SubscriptionState.DRAFT:
                    return redirect(url_for(".listed", done=done), 303)
                return redirect(url_for(".one", subscription_id=found.id, done=done), 303)
    except LabelsvcError as error:
        html = _form(given, former, error)
        return html if isinstance(html, Response) else (html, error.status)
    return _form(given, former)


def _added(given: dict[str, str]) -> SenderAddress:
    """The address that was typed into the application's form."""
    return rooms().addresses.create(actor(), Party(**{name: given[name] for name in _ADDRESS}))


def _filed(act: str, given: dict[str, str], former: Subscription | None) -> Subscription:
    """Keep a draft, or submit."""
    room, who = rooms().subscriptions, actor()
    said = {name: given[name] for name in _FIELDS}
    if said["address_id"] == _NEW:
        said["address_id"] = ""
    if former is not None:
        kept = _KEPT if former.carrier == said["carrier"] else ("contact_name", "contact_phone")
        said |= {name: getattr(former, name) for name in kept if not said[name]}
    if request.form.get("kind") == CarrierKind.FRANCHISE:
        said["settlement_account"] = ""
    application = Application(
        **said, agreement_version=AGREEMENT, accepted=request.form.get("accepted") == "yes"
    )
    is_draft = former is not None and former.state is SubscriptionState.DRAFT
    if act == "draft" and (former is None or is_draft):
        return room.save_draft(who, application, former.id if former else None)
    if former is None:
        return room.apply(who, application)
    if is_draft:
        room.save_draft(who, application, former.id)
        return room.submit(who, former.id)
    return room.correct(who, former.id, application)


def _outcome(found: Subscription) -> str:
    """What is said after submitting: only the state's own page may say more."""
    return {
        SubscriptionState.DRAFT: "draft",
        SubscriptionState.OPEN: "opened",
        SubscriptionState.REJECTED: "rejected",
    }.get(found.state, "applied")


def _editable(subscription_id: str) -> Subscription:
    """A draft or a rejected application. Raises NotFound, Conflict."""
    actor().require(Right.MANAGE_SUBSCRIPTIONS)
    found = rooms().subscriptions.get(actor(), subscription_id)
    if found.state not in _EDITABLE:
        raise Conflict(f"the subscription is {found.state.value}", code="subscription.state")
    return found


def _form(
    given: dict[str, str], former: Subscription | None, error: LabelsvcError | None = None
) -> Response | str:
    who = actor()
    who.require(Right.MANAGE_SUBSCRIPTIONS)
    room = rooms().subscriptions
    if room.access(who) is None and error is None:
        return redirect(url_for(".connection"), 303)
    addresses = {one.id: one for one in rooms().addresses.list(who)}
    if not addresses:
        given = {**given, "address_id": _NEW}
    address = addresses.get(given.get("address_id", ""))
    carriers: list[Carrier] = []
    points: list[NetworkPoint] = []
    silence: LabelsvcError | None = None
    # A network that has just been silent isn't asked again: the person would wait twice.
    if isinstance(error, Unavailable):
        silence = error
    else:
        try:
            carriers = room.carriers(who)
            if address is not None and any(one.code == given.get("carrier") for one in carriers):
                points = room.network_points(who, given["carrier"], address.id)
        except (Invalid, Refused, Unavailable) as fault:
            silence = fault
    return render_template(
        "subscription_form.html",
        given=given,
        former=former,
        kept=_kept(former),
        carriers=carriers,
        carrier=next((one for one in carriers if one.code == given.get("carrier")), None),
        addresses=list(addresses.values()),
        address=address,
        adding=given.get("address_id") == _NEW,
        # One address for each point (E5): those that have one can't be chosen.
        one_each=rooms().settings.one_point_per_address == "address",
        points=points,
        silent=silence is not None,
        agreement=AGREEMENT,
        here=url_for(".edit", subscription_id=former.id) if former else url_for(".new"),
        **_fault(error or silence),
    )


def _kept(former: Subscription | None) -> dict[str, str]:
    """What of the contact and the account is saved already, masked."""
    if former is None:
        return {}
    shown = replace(former.origin, name=former.contact_name, phone=former.contact_phone).masked()
    saved = {
        "contact_name": shown.name,
        "contact_phone": shown.phone,
        "settlement_account": "*" * max(0, len(former.settlement_account) - 4)
        + former.settlement_account[-4:][: max(0, len(former.settlement_account) - 4)],
    }
    return {name: text for name, text in saved.items() if getattr(former, name)}


def _fault(error: LabelsvcError | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {
        "fault": words.of(error),
        "wrong": words.wrong_fields(error),
        "suggestions": error.facts.get("suggestions"),
    }


def _stage(found: list[Subscription]) -> str:
    return " ".join(f"{one.id}:{one.state.value}" for one in found)


def _balances(who: Actor, found: list[Subscription]) -> tuple[dict[str, Balance], bool]:
    """Subscription id -> its balance; and whether the network didn't answer."""
    if not any(one.state in (SubscriptionState.OPEN, SubscriptionState.SUSPENDED) for one in found):
        return {}, False
    try:
        return {one.subscription_id: one for one in rooms().subscriptions.balances(who)}, False
    except (Refused, Unavailable):
        return {}, True  # the page stands without the network's answer


def _known_balances(who: Actor) -> list[Balance]:
    """The balances as they were within the last half minute; none while the network is silent."""
    known = _remembered()
    at, found = known.get(who.store_id, (float("-inf"), []))
    if time.monotonic() - at > _BALANCES_S:
        try:
            found = list(rooms().subscriptions.balances(who))
        except (Refused, Unavailable):
            found = []
        known[who.store_id] = (time.monotonic(), found)
    return found


def _remembered() -> dict[str, tuple[float, list[Balance]]]:
    """Store id -> when its balances were asked for, and what they were."""
    found: dict[str, tuple[float, list[Balance]]] = current_app.extensions.setdefault("labelsvc.balances", {})
    return found
