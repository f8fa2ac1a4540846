"""What comes out can be read: by scanners from the bytes the printer received, and by eyes that aren't ours (OCR)."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.readers import (
    decode,
    missing_js,
    ocr,
    pdf_size,
    pdf_text,
    pdf_to_image,
    zpl_to_image,
    zpl_to_image_js,
)

from labelsvc.labels import DOTS_PER_MM, Page, StandardTemplates, compose
from labelsvc.languages import Target, encode

TEMPLATES = ("waybill-76x130", "waybill-100x180")

RECIPIENTS = (
    ("欧阳晓晴", "广东省", "深圳市", "南山区", "科技园南区高新南九道10号16栋2单元801室"),
    ("李㛃", "北京市", "北京市", "朝阳区", "望京街道阜通东大街6号院3号楼1507"),
    ("王建国", "四川省", "成都市", "锦江区", "春熙路东段1号百货大楼"),
    ("钟灵毓秀", "湖北省", "武汉市", "洪山区", "珞喻路1037号华中科技大学东三区12栋204"),
    ("Anna Schmidt", "上海市", "上海市", "浦东新区", "世纪大道100号环球金融中心45层"),
    ("赵敏", "浙江省", "杭州市", "临平区", "星桥北路66号青山工业园3幢"),
    ("买买提艾力", "新疆维吾尔自治区", "乌鲁木齐市", "天山区", "解放北路178号银都酒店对面2栋3单元"),
    ("司马青衫", "江苏省", "苏州市", "姑苏区", "平江路188号"),
    ("陈思远", "福建省", "厦门市", "思明区", "鼓浪屿龙头路95号"),
    ("黄蓉", "山东省", "青岛市", "市南区", "香港中路40号数码港旗舰大厦1座1802"),
    ("诸葛明亮", "陕西省", "西安市", "雁塔区", "小寨东路11号壹又贰分之壹广场B座"),
    ("周星星", "香港特别行政区", "香港", "九龙", "弥敦道500号1801室"),
    ("刘德胜", "河南省", "郑州市", "金水区", "花园路39号国贸中心C座2108"),
    ("孙小美", "辽宁省", "大连市", "中山区", "人民路8号"),
    ("吴语嫣", "湖南省", "长沙市", "岳麓区", "麓山南路932号中南大学升华公寓15栋"),
    ("郑成功", "安徽省", "合肥市", "蜀山区", "长江西路189号之心城1207"),
    ("冯程程", "重庆市", "重庆市", "渝中区", "解放碑民权路28号英利国际31楼"),
    ("褚时健", "云南省", "昆明市", "五华区", "东风西路99号百大新天地"),
    ("卫子夫", "黑龙江省", "哈尔滨市", "道里区", "中央大街69号金谷大厦610"),
    ("蒋勤勤", "内蒙古自治区", "呼和浩特市", "赛罕区", "大学西路235号内蒙古大学南校区"),
)


def label_data(recipient: tuple[str, ...]) -> dict[str, object]:
    """A waybill's label data for one of the recipients."""
    name, province, city, district, detail = recipient
    address = {"province": province, "city": city, "district": district, "town": "", "detail": detail}
    return {
        "waybillCode": "73000000000017",
        "wpCode": "ZTO",
        "carrierName": "中通快递",
        "routingInfo": {
            "routeCode": "755-204-00 018",
            "bigShotName": city,
            "consolidation": {"name": "转运中心"},
        },
        "recipient": {"name": name, "mobile": "19900002001", "phone": "", "address": address},
        "sender": {"name": "云小满", "mobile": "19900001001", "phone": "", "address": address},
        "goods": {"summary": "T恤", "count": 2, "lines": "T恤 ×2"},
        "print": {"time": "2026-11-23 20:15", "sequence": "1/1"},
    }


def box_of(page: Page, element: str) -> tuple[int, int, int, int]:
    """The box around what the template's element ("recipient name") printed."""
    texts = [mark for mark in page.marks if type(mark).__name__ == "TextMark"]
    lines = [mark for mark in texts if mark.source.startswith(f"{element} (")]
    return (
        min(mark.x for mark in lines) - 4,
        min(mark.y for mark in lines) - 4,
        max(mark.x + mark.width for mark in lines) + 4,
        max(mark.y + mark.height for mark in lines) + 4,
    )


def likeness(read: str, meant: str) -> float:
    """1 - edit distance / length, blanks out."""
    read, meant = read.replace(" ", ""), meant.replace(" ", "")
    row = list(range(len(meant) + 1))
    for at, char in enumerate(read, 1):
        before, row[0] = row[0], at
        for to, other in enumerate(meant, 1):
            before, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, before + (char != other))
    return 1 - row[-1] / len(meant)


def readability(recipients: tuple[tuple[str, ...], ...], template: str) -> list[float]:
    """How well RapidOCR reads name and address of each recipient from the ZPL as zplkit draws it."""
    shares = []
    for recipient in recipients:
        page = compose(StandardTemplates().get(template), label_data(recipient), 203)
        picture = zpl_to_image(encode(page, Target("zpl", 203)), (page.width, page.height))
        printed = {"recipient name": recipient[0], "recipient address": "".join(recipient[1:])}
        shares += [likeness(ocr(picture, box_of(page, element)), words) for element, words in printed.items()]
    return shares


@pytest.mark.parametrize("template", TEMPLATES)
def test_eyes_that_are_not_ours_read_name_and_address(template: str):
    """RapidOCR reads names and addresses of four recipients from the printed bytes: 97 % on average."""
    shares = readability(RECIPIENTS[:4], template)
    assert sum(shares) / len(shares) >= 0.97, shares


@pytest.mark.sweep
@pytest.mark.parametrize("template", TEMPLATES)
def test_eyes_that_are_not_ours_read_twenty_recipients(template: str):
    """RapidOCR reads names and addresses of 20 recipients from the printed bytes: 97 % on average."""
    shares = readability(RECIPIENTS, template)
    print(f"\n{template}: {sum(shares) / len(shares):.4f} of {len(shares)} texts, worst {min(shares):.3f}")
    assert sum(shares) / len(shares) >= 0.97, shares


@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_demo_leaves_one_proven_scannable_label(template: str, tmp_path: Path):
    """The main job by its own command: the printer's bytes, the PDF and the picture all give the waybill's number."""
    out = tmp_path / "label"
    command = [sys.executable, "-m", "labelsvc", "demo", "--out", str(out), "--template", template]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((out / "demo.json").read_text())
    assert report["label_state"] == "printed"
    assert report["template"] == template
    size = round(report["width_mm"] * 8), round(report["height_mm"] * 8)
    pictures = {
        "zplkit": zpl_to_image((out / "label.zpl").read_bytes(), size),
        "pdf": pdf_to_image((out / "label.pdf").read_bytes(), DOTS_PER_MM[203] * 25.4),
        "png": Image.open(io.BytesIO((out / "label.png").read_bytes())),
    }
    if missing_js() is None:
        pictures["zpl-renderer-js"], _ = zpl_to_image_js((out / "label.zpl").read_bytes(), size)
    for reader, picture in pictures.items():
        assert {text for _, text in decode(picture)} == {report["waybill_number"]}, reader
    points = [side * 72 / 25.4 for side in (report["width_mm"], report["height_mm"])]
    assert pdf_size((out / "label.pdf").read_bytes()) == pytest.approx(points, abs=0.01)
    words = pdf_text((out / "label.pdf").read_bytes()).replace("\n", "").replace(" ", "")
    for part in ("name", "phone", "address"):
        assert report["recipient"][part].replace(" ", "") in words, part
    assert report["route_code"].replace(" ", "") in words


def test_a_label_with_a_moved_bar_is_not_accepted():
    """Negative control: one bar moved by a module over its full height no longer reads as the number."""
    page = compose(StandardTemplates().get(TEMPLATES[0]), label_data(RECIPIENTS[0]), 203)
    bars = next(mark for mark in page.marks if type(mark).__name__ == "BarMark")
    picture = Image.open(io.BytesIO(encode(page, Target("png", 203)))).convert("L")
    strip = picture.crop(
        (bars.x - bars.quiet, bars.y, bars.x + bars.width + bars.quiet, bars.y + bars.height)
    )
    assert [text for _, text in decode(strip)] == ["73000000000017"]
    widths = list(bars.widths)
    at = next(i for i in range(8, len(widths) - 8, 2) if widths[i + 1] > 1)
    left = bars.quiet + sum(widths[:at]) * bars.module
    bar = strip.crop((left, 0, left + widths[at] * bars.module, strip.height))
    strip.paste(255, (left, 0, left + bars.module, strip.height))
    strip.paste(bar, (left + bars.module, 0))
    assert "73000000000017" not in [text for _, text in decode(strip)]


def test_likeness_counts_edits():
    assert likeness("张三丰", "张三丰") == 1
    assert likeness("abxd", "abcd") == 0.75
    assert likeness("acd", "abcd") == 0.75
