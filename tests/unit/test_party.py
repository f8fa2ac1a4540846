"""Parties, waybill requests and number formats: what is refused, and what a mask leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labelsvc.errors import Invalid
from labelsvc.waybills import IssueRequest, Item, Party, WaybillState, looks_like
from labelsvc.waybills.model import STEPS

GOOD = Party("张三", "13800001111", "浙江省", "杭州市", "西湖区", "文三路 1 号")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "张" * 61),
        ("name", "张\x1b三"),
        ("name", "张\n三"),
        ("name", "张\u202e三"),
        ("name", "\ud800"),
        ("name", None),
        ("name", 7),
        ("phone", "1234"),
        ("phone", "call me"),
        ("phone", "+-# +-# "),
        ("phone", "1" * 26),
        ("province", ""),
        ("city", ""),
        ("district", "区" * 21),
        ("detail", ""),
        ("detail", "x" * 121),
        ("detail", "x" * 1_000_000),
        ("detail", "a\x00b"),
        ("town", "镇" * 31),
    ],
)
def test_wrong_field_is_named_not_quoted(field, value):
    """A wrong field is refused by its path; the value, which is personal, isn't in the error."""
    with pytest.raises(Invalid) as caught:
        replace(GOOD, **{field: value}).checked("recipient")
    assert [error.field for error in caught.value.errors] == [f"recipient.{field}"]
    if isinstance(value, str) and len(value.strip()) > 3:
        assert value not in str(caught.value) + caught.value.errors[0].reason


def test_all_wrong_fields_at_once():
    """Every wrong field is named in one answer."""
    with pytest.raises(Invalid) as caught:
        Party("", "", "", "", "", "").checked("party")
    assert {error.field.removeprefix("party.") for error in caught.value.errors} == {
        "name",
        "phone",
        "province",
        "city",
        "detail",
    }


@pytest.mark.parametrize("phone", ["13800001111", "0571-8765 4321", "+86 138 0000 1111", "13800001111#1234"])
def test_phones_that_are(phone):
    """Mobiles, landlines, country codes and virtual numbers with an extension pass."""
    assert replace(GOOD, phone=f" {phone} ").checked("x").phone == phone


@pytest.mark.parametrize(
    ("name", "masked"),
    [("张三", "张*"), ("欧阳明日", "欧***"), ("张", "*"), ("𠮷野家", "𠮷**"), ("Bob", "B**")],
)
def test_masked_name(name, masked):
    """D7: a name hides at least one character."""
    assert replace(GOOD, name=name).masked().name == masked


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("13800001111", "138******11"),
        ("0571-87654321", "057*-******21"),
        ("12345", "*****"),
        ("1234567", "1******"),
        ("13800001111#1234", "138********#**34"),
    ],
)
def test_masked_phone(phone, masked):
    """D7: a phone hides at least six digits, all of them if it has no more."""
    found = replace(GOOD, phone=phone).masked().phone
    assert found == masked
    digits = sum(char.isdigit() for char in phone)
    assert digits - sum(char.isdigit() for char in found) >= min(6, digits)


def test_masked_address():
    """D7: an address is shown down to the district, and masking twice changes nothing."""
    masked = replace(GOOD, town="翠苑街道").masked()
    assert (masked.town, masked.detail) == ("", "***")
    assert masked.division == GOOD.division
    assert masked.masked().name == masked.name


def _request(**changes) -> IssueRequest:
    return replace(
        IssueRequest(
            carrier="ZTO", orders=("A1",), recipient=GOOD, shown_sender=GOOD, items=(Item("杯子", 1),)
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"orders": ()}, "orders"),
        ({"orders": tuple(str(n) for n in range(101))}, "orders"),
        ({"orders": ("A", "A")}, "orders"),
        ({"orders": ("A", "")}, "orders[1]"),
        ({"items": ()}, "items"),
        ({"items": (Item("", 1),)}, "items[0].name"),
        ({"items": (Item("杯子", 0),)}, "items[0].count"),
        ({"items": (Item("杯子", "two"),)}, "items[0].count"),
        ({"weight_g": -1}, "weight_g"),
        ({"carrier": ""}, "carrier"),
        ({"custom": "a\tb"}, "custom"),
        ({"recipient": replace(GOOD, name="张" * 41)}, "recipient.name"),
        ({"shown_sender": replace(GOOD, phone="")}, "shown_sender.phone"),
    ],
)
def test_request_fields(changes, field):
    """W1: each wrong field of a waybill request is named."""
    with pytest.raises(Invalid) as caught:
        _request(**changes).checked()
    assert field in [error.field for error in caught.value.errors]


def test_request_survives_storing():
    """What is stored of a request is the whole request."""
    request = _request(origin=GOOD, custom="一\n二", subscription_id="s")
    assert IssueRequest.from_dict(request.as_dict()) == request


def test_final_states():
    """A refused or cancelled waybill takes no further step; every other state has one."""
    assert {state for state, steps in STEPS.items() if not steps} == {
        WaybillState.REFUSED,
        WaybillState.CANCELLED,
    }
    assert set(STEPS) == set(WaybillState)


@pytest.mark.parametrize(
    ("carrier", "number", "fits"),
    [
        ("ZTO", "73610555582883", True),
        ("YTO", "YT8962646785389", True),
        ("SF", "SF1385628716739", True),
        ("STO", "773277027280336", True),
        ("YUNDA", "5301156237108", True),
        ("JTSD", "JT5261988016578", True),
        ("EMS", "9889510569807", True),
        ("JD", "JDX024407261700", True),
        ("DBKD", "DPK202252612836", True),
        ("ZTO", "YT8962646785389", False),
        ("ZTO", "73610555582883\n", False),
        ("NEW", "whatever", True),
    ],
)
def test_number_formats(carrier, number, fits):
    """W9: public samples fit their carrier's format; an unknown carrier has none to break."""
    assert looks_like(carrier, number) is fits


def test_masking_twice_hides_no_more():
    """D7: a party that went through two rooms shows the same as through one: 138******78 stays."""
    once = Party("张三丰", "13812345678", "浙江省", "杭州市", "西湖区", "文三路1号").masked()
    assert once.phone == "138******78"
    assert once.masked() == once
