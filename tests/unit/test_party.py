"""Parties, waybill requests and number formats: what is refused, and what a mask leaves."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    """A refused, cancelled or delivered waybill takes no further step; every other state has one."""
    assert {state for state, steps in STEPS.items() if not steps} == {
        WaybillState.REFUSED,
        WaybillState.CANCELLED,
        WaybillState.DELIVERED,
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


ADDRESSES = [
    ("阳光花园3号楼2单元501室", "阳光花园"),
    ("科技园A座1203", "科技园"),
    ("翠苑小区12栋3-402", "翠苑小区"),
    ("大王村3组15号", "大王村"),
    ("李家庄村八组22号", "李家庄村"),
    ("望京街道阜通东大街6号院3号楼1507", "望京街道阜通东大街6号院"),
    ("高新南九道10号16栋2单元801室", "高新南九道10号"),
    ("张杨路123弄45号601室", "张杨路123弄"),
    ("小寨东路11号壹又贰分之壹广场B座", "小寨东路11号壹又贰分之壹广场"),
    ("幸福路二十五号三单元四楼", "幸福路二十五号"),
    ("人民路3号楼501", "人民路"),
    ("人民路３号楼５０１", "人民路"),
    ("人民路12-1号3栋", "人民路12-1号"),
    ("人民路88-3-402", "人民路"),
    ("新华路100号东单元502", "新华路100号"),
    ("321国道旁张家村5号", "321国道旁张家村"),
    ("地铁2号线张江站", "地铁2号线"),
    # No unit and no room: enough of the end goes, the road's number too where nothing else would.
    ("春熙路东段1号百货大楼", "春熙路东段1号"),
    ("平江路188号", "平江路"),
    ("文三路 1 号", "文三路"),
    ("某某小区西门菜鸟驿站", "某某小区西门"),
    # The room first, as abroad: nothing of it stays.
    ("3号楼2单元501 文三路100号", ""),
    ("Flat 12B, 3/F, Block A, 88 Nathan Road", "Flat"),
    ("1204", ""),
]


@pytest.mark.parametrize(("detail", "shown"), ADDRESSES)
def test_what_a_label_shows_of_an_address(detail, shown):
    """A label keeps road, number and compound; building, unit, floor and room are hidden, and how long they were."""
    masked = replace(GOOD, detail=detail).masked_for_label()
    assert masked.detail == shown + "***"
    assert masked.masked_for_label() == masked
    assert (masked.town, masked.division) == (GOOD.town, GOOD.division)


_ROADS = st.sampled_from(
    ["文三路", "春熙路东段", "解放大道", "平江巷", "望京东大街", "南锣鼓巷胡同", "学院弄"]
)
_NUMBERS = st.integers(1, 9999).map(lambda number: f"{number}号")
_COMPOUNDS = st.sampled_from(["", "阳光花园", "环球金融中心", "青山工业园", "东三区", "院内", "银都酒店对面"])
_DIGITS = st.integers(1, 3999).map(str) | st.text("一二三四五六七八九十", min_size=1, max_size=3)
_INNERS = st.lists(
    st.builds(
        str.__add__,
        _DIGITS | st.sampled_from("ABCDEF"),
        st.sampled_from(["栋", "幢", "座", "号楼", "单元", "层", "楼", "室", "房", "户", "组"]),
    ),
    min_size=1,
    max_size=4,
).map("".join)


@given(_ROADS, _NUMBERS, _COMPOUNDS, _INNERS, st.sampled_from(["", "501", "1204", "-3"]))
def test_no_unit_and_no_room_on_any_label(road, number, compound, inner, room):
    """Whatever road, compound, building, unit and room are put together, the label ends before the building."""
    masked = replace(GOOD, detail=road + number + compound + inner + room).masked_for_label().detail
    assert masked.endswith("***")
    assert inner not in masked
    assert (road + number + compound).startswith(masked.removesuffix("***"))


_LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=60).filter(
    lambda text: text == text.strip() and text
)


@given(_LINES)
def test_any_address_is_hidden_in_part(detail):
    """Of any text the end is hidden, at least from the first number on that isn't a road's; what is hidden isn't shown."""
    masked = replace(GOOD, detail=detail).masked_for_label().detail
    if masked == detail:  # masked before
        return
    shown = masked.removesuffix("***")
    hidden = detail[len(shown) :]
    assert detail.startswith(shown) and hidden.strip()
    assert hidden.strip() not in shown
    assert 3 * len(hidden) >= len(detail) or any(char.isnumeric() or char.isalpha() for char in hidden[:3])
    assert replace(GOOD, detail=masked).masked_for_label().detail == masked


@given(_LINES)
def test_any_name_hides_a_character(name):
    """D7: of any name nothing but its first character is shown, and that only if another one is hidden by it."""
    masked = replace(GOOD, name=name).masked_for_label().name
    assert masked in ("*", name[0] + "*" * (len(name) - 1))
    visible = [char for char in name[1:] if unicodedata.category(char)[0] in "LNSP"]
    assert visible or masked == "*"
    assert replace(GOOD, name=masked).masked_for_label().name == masked or masked.startswith("*")


@given(st.from_regex(r"\A\+?[0-9#\- ]{4,24}\Z").filter(lambda text: sum(map(str.isdigit, text)) >= 5))
def test_any_phone_hides_six_digits(phone):
    """D7: of any phone at most five digits are shown and at least six hidden, all of them if it has no more."""
    masked = replace(GOOD, phone=phone).masked_for_label().phone
    digits, shown = (sum(map(str.isdigit, text)) for text in (phone, masked))
    assert digits - shown >= min(6, digits) and shown <= 5
    assert [a for a, b in zip(phone, masked, strict=True) if b != "*"] == [b for b in masked if b != "*"]
    assert replace(GOOD, phone=masked).masked_for_label().phone == masked


@pytest.mark.parametrize("name", ["张\u200b", "e\u0301", "张\ufe0f"])
def test_an_invisible_character_hides_nothing(name):
    """D7: hiding a character that nobody sees would show the whole name: then all of it is hidden."""
    assert replace(GOOD, name=name).masked().name == "*"


def test_what_erasure_leaves():
    """Of an erased party only the division is left."""
    erased = replace(GOOD, town="翠苑街道").erased()
    assert erased.division == GOOD.division
    assert (erased.name, erased.phone, erased.detail, erased.town) == ("", "", "", "")
