"""Made-up people and what their waybills' labels say: three hundred recipients as real data are, always the same ones.

Hides the lists they are mixed from. Nobody here exists; places do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

PLACES = (
    ("广东省", "深圳市", "南山区", "粤海街道"),
    ("北京市", "北京市", "朝阳区", "望京街道"),
    ("四川省", "成都市", "锦江区", "春熙路街道"),
    ("湖北省", "武汉市", "洪山区", "关山街道"),
    ("上海市", "上海市", "浦东新区", "陆家嘴街道"),
    ("浙江省", "杭州市", "临平区", "星桥街道"),
    ("新疆维吾尔自治区", "乌鲁木齐市", "天山区", ""),
    ("江苏省", "苏州市", "姑苏区", "平江街道"),
    ("福建省", "厦门市", "思明区", "鼓浪屿街道"),
    ("山东省", "青岛市", "市南区", "香港中路街道"),
    ("陕西省", "西安市", "雁塔区", "小寨路街道"),
    ("香港特别行政区", "香港", "九龙", ""),
    ("河南省", "郑州市", "金水区", "花园路街道"),
    ("辽宁省", "大连市", "中山区", "人民路街道"),
    ("湖南省", "长沙市", "岳麓区", "麓山街道"),
    ("安徽省", "合肥市", "蜀山区", "稻香村街道"),
    ("重庆市", "重庆市", "渝中区", "解放碑街道"),
    ("云南省", "昆明市", "五华区", "华山街道"),
    ("黑龙江省", "哈尔滨市", "道里区", "兆麟街道"),
    ("内蒙古自治区", "呼和浩特市", "赛罕区", "大学西路街道"),
    ("西藏自治区", "拉萨市", "城关区", "八廓街道"),
    ("广西壮族自治区", "桂林市", "象山区", "南门街道"),
    ("湖北省", "恩施土家族苗族自治州", "恩施市", "舞阳坝街道"),
)  # fmt: skip
ROADS = (
    "科技园南区高新南九道", "阜通东大街", "春熙路东段", "珞喻路", "世纪大道", "星桥北路", "解放北路", "平江路", "龙头路",
    "香港中路", "小寨东路", "弥敦道", "花园路", "人民路", "麓山南路", "长江西路", "民权路", "东风西路", "中央大街", "大学西路",
)  # fmt: skip
HOUSES = (
    "{a}号", "{a}号{b}栋{c}室", "{a}号院{b}号楼{c}", "{a}号百货大楼", "{a}弄{b}号{c}室", "{a}号国贸中心{b}座{c}", "{a}号对面{b}栋{u}单元{c}",
    "{a}号（东门）{b}幢", "{a}号数码港旗舰大厦{b}座{c}，放门卫处", "{a}-{b}号{c}室",
)  # fmt: skip
FAMILY = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章"
DOUBLE = ("欧阳", "司马", "诸葛", "上官", "东方", "皇甫", "令狐", "钟离")
GIVEN = "建国志远晓晴灵毓秀敏青衫思蓉明亮星德胜小美语嫣成功程健夫勤雨桐子轩浩然梓涵一诺欣怡俊杰宇航佳琪天佑"
#: Names that break what takes names for two or three common characters.
HARD = (
    "𠮷田㛃", "䶮一", "𬭎明", "李㛃", "王𠮷", "尼古拉斯·阿布都热依木·买买提江·亚森", "བསོད་ནམས་རྒྱལ་མཚན།", "ئابدۇرېھىم ئەخمەت", "Anna Schmidt",
    "张三（转李四）", "王先生　ＡＢＣ１２３", "刘Ａ", "次仁卓玛", "海亮有限责任公司杭州分公司行政部采购处收发室王小明转李经理亲启谢谢并请在收到后致电确认数量与包装是否完好无损再签收感谢您",
    "买买提艾力·吐尔逊", "O'Neil & Söhne", "陈“小”明",
)  # fmt: skip
NOTES = ("", "请放门卫处，谢谢", "易碎品🍎请轻放", "生日快乐🎂🎉", "不要电话，发短信", "周末派送；工作日勿送")
GOODS = (
    "陶瓷马克杯 雾蓝",
    "亚麻餐垫 米白",
    "T恤 黑色 XL",
    "有机苹果 5kg",
    "儿童雨靴 26码",
    "A5活页本（点阵）",
)


@dataclass(frozen=True)
class Recipient:
    """Who gets a parcel. ``plain``: OCR knows every character of name and address."""

    name: str
    mobile: str
    province: str
    city: str
    district: str
    town: str
    detail: str
    note: str
    plain: bool

    @property
    def address(self) -> str:
        """The address as labels print it, from province to door."""
        return f"{self.province}{self.city}{self.district}{self.town}{self.detail}"


@cache
def recipients() -> tuple[Recipient, ...]:
    """Three hundred: the first two plain ones, the third one with a hard name, an emoji and a long address, then mixed."""
    chance = random.Random(20261123)
    found: list[Recipient] = []
    seen: set[tuple[str, str]] = set()
    while len(found) < 300:
        at = len(found)
        hard = at % 6 == 2
        if hard:
            name = HARD[at // 6 % len(HARD)]
        else:
            family = chance.choice(DOUBLE) if chance.random() < 0.1 else chance.choice(FAMILY)
            name = family + "".join(chance.sample(GIVEN, chance.choice((1, 2, 2, 2, 3))))
        detail = chance.choice(ROADS) + chance.choice(HOUSES).format(
            a=chance.randint(1, 999),
            b=chance.randint(1, 30),
            c=chance.randint(101, 3205),
            u=chance.randint(1, 4),
        )
        place = chance.choice(PLACES)
        if at % 10 == 2:
            detail = (
                detail + "，靠近地铁站二号口左转五十米蓝色大门，如无人请联系物业前台代收并拍照告知" * 3
            )[: 118 - len("".join(place))]
        if (name, detail) in seen:
            continue
        seen.add((name, detail))
        found.append(
            Recipient(
                name,
                f"199{chance.randint(0, 99999999):08d}",
                *place,
                detail,
                NOTES[3] if at == 2 else chance.choice(NOTES),
                not hard,
            )
        )
    return tuple(found)


def number_for(at: int) -> str:
    """A waybill number of the trade's forms: 14 or 15 digits, or two letters and 13 digits."""
    tail = f"{88_0012_3456_789 + at * 7919:013d}"[-13:]
    return ("7" + tail, "78" + tail, "YT" + tail, "SF" + tail)[at % 4]


def label_data(recipient: Recipient, at: int = 0) -> dict[str, Any]:
    """All that the shipped waybills and slips may show of the recipient's order, the ``at``-th of a run."""
    party = {
        "name": recipient.name,
        "mobile": recipient.mobile,
        "phone": "",
        "address": {
            "province": recipient.province,
            "city": recipient.city,
            "district": recipient.district,
            "town": recipient.town,
            "detail": recipient.detail,
        },
    }
    shop = {
        "province": "浙江省",
        "city": "杭州市",
        "district": "余杭区",
        "town": "",
        "detail": "仓前街道 9 号",
    }
    chosen = [(GOODS[(at + i) % len(GOODS)], i + 1) for i in range(at % 3 + 1)]
    return {
        "waybillCode": number_for(at),
        "carrierName": "圆通速递",
        "carrierLogo": "",
        "routingInfo": {
            "routeCode": f"{100 + at % 900}-{at * 37 % 1000:03d}-00 {at % 100:03d}",
            "bigShotName": recipient.city[:2] + "转" + recipient.district,
            "consolidation": {"name": recipient.city[:2] + "转运中心", "code": "571"},
        },
        "shippingOption": {"code": "STANDARD", "title": "标准快递"},
        "payment": {"text": "寄付月结"},
        "parcel": {"text": "2/3", "parent": f"母单 {number_for(at + 1)}"}
        if at % 4 == 1
        else {"text": "", "parent": ""},
        "recipient": party,
        "sender": {"name": "云上小店", "mobile": "13911112222", "phone": "", "address": shop},
        "goods": {
            "count": sum(count for _, count in chosen),
            "lines": "\n".join(f"{name} ×{count}" for name, count in chosen),
            "short": "\n".join(f"{name.split()[0]}×{count}" for name, count in chosen),
        },
        "orderNumbers": f"260911-{458823190142 + at}",
        "storeName": "云上小店",
        "custom": {"text": recipient.note},
        "reprint": {"mark": "补打 第2次" if at % 5 == 4 else ""},
        "print": {"time": "2026-11-23 20:15", "batch": "B1123", "sequence": f"{at + 1}/300"},
        "service": {"text": "1.20 kg"},
    }


def list_data(recipient: Recipient, at: int = 0, rows: int = 14) -> dict[str, Any]:
    """All that the shipped lists may show: a pick list's, or the recipient's delivery note."""
    goods = [
        {
            "place": f"A{i // 10}-{i % 10:02d}",
            "name": GOODS[(at + i) % len(GOODS)],
            "spec": "三层 加厚" if i % 2 else "350ml 白",
            "sku": f"SKU-{1000 + i}",
            "count": i % 5 + 1,
        }
        for i in range(rows)
    ]
    return {
        "batch": f"B1123-{at:03d}",
        "number": f"260911-{458823190142 + at}",
        "storeName": "云上小店",
        "recipient": f"{recipient.name[0]}*",
        "time": "2026-11-23 20:15",
        "orders": rows,
        "count": sum(row["count"] for row in goods),
        "note": recipient.note,
        "rows": goods,
    }
