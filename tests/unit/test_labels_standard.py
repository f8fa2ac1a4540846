"""The shipped templates: what a courier needs on a waybill and a packer on a list, with any data."""

import base64
import copy
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.sound import assert_sound, symbols

from labelsvc.errors import Invalid, NotFound
from labelsvc.labels import (
    DOTS_PER_MM,
    ImageMark,
    RectMark,
    StandardTemplates,
    TextMark,
    compose,
    compose_all,
)
from labelsvc.labels.boxes import ink

NAMES = tuple(name for name in StandardTemplates().names() if name.startswith("waybill-"))
FRANCHISE = tuple(name for name in NAMES if not name.endswith("-direct"))
DIRECT = tuple(name for name in NAMES if name.endswith("-direct"))
DATA = {
    "recipient": {
        "name": "欧阳志远",
        "mobile": "13812345678",
        "phone": "",
        "address": {"province": "浙江省", "city": "杭州市", "district": "余杭区", "town": "五常街道", "detail": "文一西路969号3号楼"},
    },
    "sender": {
        "name": "青禾家居",
        "mobile": "",
        "phone": "0757-22334455",
        "address": {"province": "广东省", "city": "佛山市", "district": "顺德区", "town": "乐从镇", "detail": "建材大道88号B栋"},
    },
    "waybillCode": "YT8800123456789",
    "wpCode": "YTO",
    "carrierName": "圆通速递",
    "routingInfo": {"routeCode": "830-120-00 012", "bigShotName": "杭州转余杭", "consolidation": {"name": "杭州转运中心", "code": "571"}},
    "shippingOption": {"code": "STANDARD", "title": "标准快递"},
    "goods": {"summary": "马克杯等", "count": 3, "lines": "陶瓷马克杯 雾蓝 ×2\n亚麻餐垫 ×1", "short": "马克杯×2\n餐垫×1"},
    "orderNumbers": "260911-458823190142",
    "storeName": "青禾家居",
    "custom": {"text": "易碎品请轻放"},
    "reprint": {"mark": ""},
    "print": {"time": "2026-11-23 20:15", "batch": "B1123", "sequence": "1/1"},
    "parcel": {"text": "", "parent": ""},
    "payment": {"text": "寄付月结"},
    "carrierLogo": "",
    "service": {"text": "送货上门"},
}  # fmt: skip


def data(**changes):
    """The data of an ordinary waybill, with changes by dotted path (recipient__name)."""
    made = copy.deepcopy(DATA)
    for path, value in changes.items():
        *way, last = path.split("__")
        inner = made
        for key in way:
            inner = inner[key]
        inner[last] = value
    return made


def composed(name, dpi=203, **changes):
    return compose(StandardTemplates().get(name), data(**changes), dpi)


def texts(page, *needles):
    return [
        mark for mark in page.marks if isinstance(mark, TextMark) and any(n in mark.source for n in needles)
    ]


def said(page, *needles):
    return "".join(mark.text for mark in texts(page, *needles))


@pytest.mark.parametrize(
    "name", ["", "none", "../slip-58", "/slip-58", "slip-58.xml", ".", "a\0b", "𠀀" * 200]
)
def test_a_name_that_no_template_has_is_told(tmp_path, name):
    """Whatever it holds, nothing outside the directory is looked at, and no name is too strange to be answered."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for place in (tmp_path, inside):
        (place / "slip-58.xml").write_text("<page/>")
    with pytest.raises(NotFound) as fault:
        StandardTemplates(inside).get(name)
    assert fault.value.code == "template.unknown"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dpi", [203, 300, 600])
def test_an_ordinary_waybill_is_sound_and_without_warnings(name, dpi):
    """At each resolution: nothing overlaps, nothing is cut, shrunk beyond reading or reported."""
    page = composed(name, dpi)
    assert_sound(page)
    assert page.warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_courier_looks_for_is_there(name):
    """Carrier, number, routing code, consolidation centre, sorting mark, both parties, goods, orders, time, n/N."""
    page = composed(name)
    lines = "\n".join(mark.text for mark in page.marks if isinstance(mark, TextMark))
    for wanted in ("圆通速递", "YT8800123456789", "830-120-00 012", "杭州转余杭", "欧阳志远", "13812345678",
                   "陶瓷马克杯 雾蓝 ×2", "共 3 件", "260911-458823190142", "易碎品请轻放", "2026-11-23 20:15", "1/1",
                   "已验视", "签收人", "标准快递", "送货上门", "收", "寄", "B1123", "马克杯×2", "青禾家居"):  # fmt: skip
        assert wanted in lines
    # E9: a franchise carrier sorts by its consolidation centre, a direct-operated one bills an account.
    direct = name in DIRECT
    assert ("寄付月结" in lines) is direct
    assert ("杭州转运中心" in lines) is not direct
    assert said(page, "recipient address (") == "浙江省杭州市余杭区五常街道文一西路969号3号楼"


@pytest.mark.parametrize("name", NAMES)
def test_p3_the_senders_information_is_printed(name):
    """P3: sender name, phone and address as given."""
    page = composed(name)
    assert said(page, "sender name") == "青禾家居"
    assert said(page, "sender phone") == "0757-22334455"
    assert said(page, "sender address (") == "广东省佛山市顺德区乐从镇建材大道88号B栋"


@pytest.mark.parametrize("name", NAMES)
def test_the_routing_code_is_the_largest_type(name):
    """A sorter reads it from two metres."""
    page = composed(name)
    (routing,) = texts(page, "routing code")
    others = [mark.size for mark in page.marks if isinstance(mark, TextMark) and mark is not routing]
    assert routing.size > 1.5 * max(others)


@pytest.mark.parametrize("name", NAMES)
def test_w8_only_a_reprint_says_so(name):
    """W8: the mark stands in its black badge on a reprint; an original has neither."""
    original, again = composed(name), composed(name, reprint__mark="补打 第2次")
    assert said(again, "reprint mark") == "补打 第2次"
    assert not [mark for mark in original.marks if "reprint" in mark.source]
    badge, mark = (mark for mark in again.marks if "reprint" in mark.source)
    assert isinstance(badge, RectMark) and badge.fill
    assert mark.text == "补打 第2次" and mark.inverse
    assert_sound(again)


@pytest.mark.parametrize(
    ("number", "small", "large"),
    [
        ("75312345678901", 4, 5),
        ("781234567890123", 3, 4),
        ("YT8800123456789", 3, 4),
        ("SF1234567890123", 3, 4),
        ("JDVA12345678901", 3, 4),
        ("EA123456785CN", 3, 4),
    ],
)
def test_each_carriers_number_gets_the_widest_bars(number, small, large):
    """15 characters have 3 dots (0.375 mm) a module on 76 mm paper, 4 on 100 mm."""
    for name in NAMES:
        module = small if "76x" in name else large
        page = composed(name, waybillCode=number)
        main, second, matrix = symbols(page)
        assert [symbol.data for symbol in (main, second, matrix)] == [number] * 3
        assert main.module == module
        assert second.module >= 2 and matrix.module >= 3
        assert_sound(page)
        assert not {"barcode.crowded", "barcode.low"} & {warning.code for warning in page.warnings}


def test_a_package_number_of_20_characters_needs_the_large_label():
    """JD's package number has 3 dots on 100 mm; on 76 mm the second barcode has no room for it, and that is said."""
    for large in ("waybill-100x180", "waybill-100x150-direct"):
        page = composed(large, waybillCode="JDVA00123456789-1-1-")
        assert [symbol.module for symbol in symbols(page)[:2]] == [3, 2]
        assert_sound(page)
    with pytest.raises(Invalid) as caught:
        composed("waybill-76x130", waybillCode="JDVA00123456789-1-1-")
    assert caught.value.code == "barcode.does_not_fit"
    assert caught.value.facts["element"] == "second number"


def test_a_number_that_is_too_long_is_refused():
    """A barcode that can't be scanned isn't printed; what is missing is said."""
    with pytest.raises(Invalid) as caught:
        composed("waybill-76x130", waybillCode="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123")
    assert caught.value.code == "barcode.does_not_fit"
    assert caught.value.facts["element"] == "number"
    assert caught.value.facts["missing_mm"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_no_number_no_label(name):
    """A label without its number is refused."""
    with pytest.raises(Invalid) as caught:
        composed(name, waybillCode="")
    assert caught.value.code == "barcode.empty"


@pytest.mark.parametrize("name", NAMES)
def test_long_names_and_addresses_are_printed_whole(name):
    """60 characters of name, 120 of address, two phone numbers: smaller, but all there."""
    person = ("尼古拉斯·阿布都热依木·" * 6)[:60]
    detail = ("文一西路九百六十九号西溪园区三号楼二单元一千五百零二室" * 5)[:107]
    page = composed(
        name, recipient__name=person, recipient__phone="0571-88886666-8001", recipient__address__detail=detail
    )
    assert said(page, "recipient name") == person
    assert said(page, "recipient address (").endswith(detail)
    assert [mark.text for mark in texts(page, "recipient phone")] == ["13812345678", "0571-88886666-8001"]
    assert_sound(page)


@pytest.mark.parametrize("name", NAMES)
def test_too_much_for_the_recipient_is_refused(name):
    """A recipient is never cut: the label is refused, with the element and the missing millimetres."""
    with pytest.raises(Invalid) as caught:
        composed(name, recipient__address__detail="西" * 600)
    assert caught.value.code == "label.does_not_fit"
    assert caught.value.facts["element"] == "recipient address"
    assert caught.value.facts["missing_mm"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_rare_name_characters_print(name):
    """Characters of the national list and beyond are set from the face that has them."""
    page = composed(name, recipient__name="𠮷㛃䶮𬭎")
    (mark,) = texts(page, "recipient name")
    assert (mark.text, mark.missing) == ("𠮷㛃䶮𬭎", "")
    assert [run.face for run in mark.runs] == ["jp-700", "sans-700"]
    assert page.warnings == ()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "hostile", ["^XZ~JR", "]]>", "<%= _data.waybillCode %>", "<text value='x'/>", "&amp;\"'"]
)
def test_hostile_data_prints_as_it_is(name, hostile):
    """Commands, markup and scripts in a name are a name."""
    page = composed(name, recipient__name=hostile)
    # A space may have become a line break.
    assert said(page, "recipient name").replace(" ", "") == hostile.replace(" ", "")
    assert {mark.source for mark in page.marks} == {mark.source for mark in composed(name).marks}


def test_templates_use_only_data_that_rooms_give():
    """Every path of the shipped templates is among the keys of the label data."""

    def known(path):
        found = DATA
        for key in path.split("."):
            if key not in found:
                return False
            found = found[key]
        return not isinstance(found, dict)

    for name in NAMES:
        assert [path for path in StandardTemplates().get(name).paths if not known(path)] == []


@pytest.mark.parametrize("name", NAMES)
def test_w7_a_piece_of_a_set_says_which_and_of_what(name):
    """W7: "1/3" large and the parent number; a single parcel has neither."""
    piece = composed(name, parcel__text="1/3", parcel__parent="母单 YT8800123456700")
    assert said(piece, "piece of a set") == "1/3"
    assert said(piece, "parent number") == "母单 YT8800123456700"
    assert texts(piece, "piece of a set")[0].size >= 3 * DOTS_PER_MM[203]
    assert_sound(piece)
    assert not texts(composed(name), "piece of a set", "parent number")


@pytest.mark.parametrize("name", NAMES)
def test_t6_short_goods_names_that_dont_fit_are_counted(name):
    """T6: as many as fit, then "+N"; the note keeps its place below."""
    page = composed(name, goods__short="\n".join(f"商品{n}×1" for n in range(60)))
    shown = said(page, "short goods")
    assert shown.endswith(f"+{60 - shown.count('商品')}") and 4 <= shown.count("商品") < 60
    assert said(page, "note") == "易碎品请轻放"
    assert_sound(page)
    assert "text.overflow" not in {warning.code for warning in page.warnings}


@pytest.mark.parametrize("name", NAMES)
def test_a_logo_stands_in_the_names_place(name):
    """None is shipped; the operator's own, a data URL, fills the place of the carrier's name."""
    picture = Image.new("1", (120, 40), 0)
    out = io.BytesIO()
    picture.save(out, "PNG")
    logo = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
    page = composed(name, carrierLogo=logo, carrierName="")
    (mark,) = (mark for mark in page.marks if isinstance(mark, ImageMark))
    (name_mark,) = texts(composed(name), "carrier")
    assert (mark.x, mark.height > 60) == (name_mark.x, True)
    assert_sound(page)
    assert not [mark for mark in composed(name).marks if isinstance(mark, ImageMark)]


@pytest.mark.parametrize("name", NAMES)
def test_w10_no_waybill_asks_for_the_origin(name):
    """W10, P3: the template can't print what it doesn't name."""
    paths = StandardTemplates().get(name).paths
    assert not [path for path in paths if path.startswith(("origin", "returnAddress", "shippAddress"))]
    assert [path for path in paths if path.startswith("sender.")]


@pytest.mark.parametrize("name", NAMES)
def test_a_store_name_and_a_batch_are_there_only_if_given(name):
    """P3: the store's name only if the merchant wants it there."""
    bare = composed(name, storeName="", print__batch="", service__text="")
    assert not texts(bare, "store name", "batch", "service text")
    assert_sound(bare)


# ---------------------------------------------------------------- slips and lists

ROWS = [
    {
        "place": f"A{at // 10}-{at % 10:02d}",
        "name": ["棉麻抱枕套", "陶瓷马克杯 北欧风带盖勺 办公室家用大容量", "原木置物架"][at % 3],
        "spec": ["雾蓝 45×45", "350ml 白", "三层 加厚"][at % 3],
        "sku": f"SKU-{1000 + at}",
        "count": at % 5 + 1,
    }
    for at in range(80)
]
LIST = {
    "batch": "B1129-07", "number": "260911-458823190142", "storeName": "青禾家居", "recipient": "欧阳*", "time": "2026-11-29 09:30",
    "orders": 18, "count": 64, "note": "易碎品请轻放", "rows": ROWS,
}  # fmt: skip
LISTS = ("pick-list", "delivery-note-100x150", "delivery-note-a4")


@pytest.mark.parametrize("name", ["slip-80", "slip-58"])
def test_a_slip_tells_what_to_pack(name):
    """The order's number as a barcode, goods, count, note; as wide as the paper prints."""
    page = composed(name)
    assert page.width == {"slip-80": 576, "slip-58": 384}[name]
    (bars,) = symbols(page)
    assert bars.data == "260911-458823190142" and bars.module >= 2
    assert said(page, "goods") == "陶瓷马克杯 雾蓝 ×2亚麻餐垫 ×1"
    assert said(page, "note") == "易碎品请轻放"
    assert page.warnings == ()
    many = composed(name, goods__lines="\n".join(f"货品{n} ×1" for n in range(70)))
    shown = said(many, "goods")
    assert shown.endswith(f"+{70 - shown.count('货品')}")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_splits_over_pages(name):
    """Each row once, in order; the head of the table, the barcode and the page number on every page."""
    pages = compose_all(StandardTemplates().get(name), LIST)
    assert len(pages) > 3
    counts = []
    for number, page in enumerate(pages, 1):
        lines = [mark.text for mark in page.marks if isinstance(mark, TextMark)]
        assert "货品" in lines and "数量" in lines
        assert any(str(number) in line and str(len(pages)) in line for line in lines[-2:] + lines[:9])
        assert len(symbols(page)) == 1
        assert page.warnings == ()
        counts += [
            int(mark.text) for mark in page.marks if isinstance(mark, TextMark) and "count" in mark.source
        ]
        boxes = [box for mark in page.marks for box in ink(mark)]
        assert all(
            box.left >= 0 and box.right <= page.width and box.top >= 0 and box.bottom <= page.height
            for box in boxes
        )
    assert counts == [row["count"] for row in ROWS]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_nothing_is_one_page(name):
    """Only the head."""
    (page,) = compose_all(StandardTemplates().get(name), {**LIST, "rows": []})
    assert page.warnings == ()


TEXT = st.text(
    st.one_of(st.sampled_from("浙江省杭州㛃𠮷𬞞，（）·-ABCdefgjy 0123456789^~<&\n"), st.characters()),
    max_size=60,
)
NUMBER = st.one_of(
    st.from_regex(r"\A[0-9]{13,15}\Z"),
    st.from_regex(r"\A(YT|SF|JT|DPK)[0-9]{13}\Z"),
    st.from_regex(r"\AJDVA[0-9]{11}\Z"),
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        dict.fromkeys((
            "recipient__name", "recipient__mobile", "recipient__phone", "recipient__address__town", "recipient__address__detail",
            "sender__name", "sender__phone", "sender__address__detail", "carrierName", "routingInfo__routeCode",
            "routingInfo__bigShotName", "routingInfo__consolidation__name", "shippingOption__title", "goods__lines", "goods__count",
            "orderNumbers", "storeName", "custom__text", "reprint__mark", "print__time", "print__sequence", "service__text",
            "print__batch", "parcel__text", "parcel__parent", "payment__text", "goods__short",
        ), TEXT) | {"waybillCode": NUMBER}
    ),
    st.sampled_from([203, 300]),
)  # fmt: skip
def test_any_data_gives_a_sound_page_or_an_error(name, changes, dpi):
    """Whatever a shop sends: no mark leaves the frame, no two texts or symbols touch, no text is under 5 pt; or it's refused."""
    try:
        page = composed(name, dpi, **changes)
    except Invalid as refused:
        assert refused.code in {"label.does_not_fit", "barcode.does_not_fit"}
        return
    assert_sound(page)
    smallest = 5 * 25.4 / 72 * DOTS_PER_MM[dpi]
    assert all(mark.size >= smallest - 0.5 for mark in page.marks if isinstance(mark, TextMark))
    required = ("number (", "recipient name", "recipient phone", "recipient address (", "routing code")
    assert not [w for w in page.warnings if w.code == "text.overflow" and w.source.startswith(required)]
