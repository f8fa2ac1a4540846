"""Divisions that were renamed, merged or given to another city since 2009: where what a form still calls so is today.

Pure data. What only changed its kind (富阳市 became 富阳区) isn't listed: the name without its ending finds it. Nor is a
district that gave a part away and goes on (余杭区, of which 临平区 was made): its name means what is left.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A district, or a county, that is called otherwise since ``year``. 行政区划变更

    ``now`` are (city, district) of today, the one that got most first. ``whole``: all but what ``parts`` names went there; else the
    detail decides and the others are only suggestions. ``parts``: words of a town or a detail that are in another district.
    """

    year: int
    province: str
    city: str
    district: str
    now: tuple[tuple[str, str], ...]
    whole: bool = True
    parts: tuple[tuple[str, str, str], ...] = ()


def _into(year: int, province: str, city: str, now: str, *former: str) -> list[Change]:
    """Several districts of a city that are one today."""
    return [Change(year, province, city, one, ((city, now),)) for one in former]


def _moved(year: int, province: str, former: str, city: str, *districts: str) -> list[Change]:
    """Counties that belong to another city today; "旧=新" for one that was renamed with it."""
    pairs = [one.partition("=")[::2] for one in districts]
    return [Change(year, province, former, old, ((city, new or old),)) for old, new in pairs]


def _split(year: int, province: str, city: str, district: str, *now: str) -> list[Change]:
    """A district that went to several: the form's owner must say which."""
    return [Change(year, province, city, district, tuple((city, one) for one in now), whole=False)]


CHANGES: tuple[Change, ...] = (
    *_into(2010, "北京市", "北京市", "东城区", "崇文区"),
    *_into(2010, "北京市", "北京市", "西城区", "宣武区"),
    *_into(2009, "天津市", "天津市", "滨海新区", "塘沽区", "汉沽区", "大港区"),
    *_into(2009, "上海市", "上海市", "浦东新区", "南汇区"),
    *_into(2011, "上海市", "上海市", "黄浦区", "卢湾区"),
    *_into(2015, "上海市", "上海市", "静安区", "闸北区"),
    *_into(2011, "重庆市", "重庆市", "綦江区", "万盛区"),
    *_into(2011, "重庆市", "重庆市", "大足区", "双桥区"),
    *_into(2026, "重庆市", "重庆市", "两江新区", "江北区", "渝北区"),
    # Hebei, Shanxi
    *_split(2014, "河北省", "石家庄市", "桥东区", "长安区", "桥西区"),
    *_into(2015, "河北省", "保定市", "竞秀区", "新市区"),
    *_into(2015, "河北省", "保定市", "莲池区", "北市区", "南市区"),
    *_moved(2017, "河北省", "雄安新区", "保定市", "雄县", "容城县", "安新县"),
    *_into(2012, "河北省", "唐山市", "曹妃甸区", "唐海县"),
    *_split(2016, "河北省", "邯郸市", "邯郸县", "丛台区", "邯山区"),
    *_into(2020, "河北省", "邢台市", "襄都区", "桥东区"),
    *_into(2020, "河北省", "邢台市", "信都区", "桥西区"),
    *_into(2020, "河北省", "邢台市", "任泽区", "任县"),
    *_split(2020, "河北省", "邢台市", "邢台县", "信都区", "襄都区"),
    *_into(2018, "山西省", "大同市", "平城区", "城区"),
    *_into(2018, "山西省", "大同市", "云冈区", "矿区"),
    *_into(2018, "山西省", "大同市", "云州区", "大同县"),
    *_split(2018, "山西省", "大同市", "南郊区", "云冈区", "平城区"),
    *_into(2018, "山西省", "长治市", "潞州区", "城区", "郊区"),
    *_into(2018, "山西省", "长治市", "上党区", "长治县"),
    # the north-east
    *_moved(2020, "吉林省", "四平市", "长春市", "公主岭市"),
    # Jiangsu, Zhejiang
    *_into(2012, "江苏省", "苏州市", "姑苏区", "沧浪区", "平江区", "金阊区"),
    *_into(2013, "江苏省", "南京市", "鼓楼区", "下关区"),
    *_into(2013, "江苏省", "南京市", "秦淮区", "白下区"),
    *_into(2015, "江苏省", "无锡市", "梁溪区", "崇安区", "南长区", "北塘区"),
    *_into(2015, "江苏省", "常州市", "武进区", "戚墅堰区"),
    *_into(2020, "江苏省", "南通市", "崇川区", "港闸区"),
    *_into(2014, "江苏省", "连云港市", "海州区", "新浦区"),
    *_into(2016, "江苏省", "淮安市", "清江浦区", "清河区", "清浦区"),
    *_into(2012, "江苏省", "淮安市", "淮安区", "楚州区"),
    *_into(2011, "江苏省", "扬州市", "邗江区", "维扬区"),
    *_split(2010, "江苏省", "徐州市", "九里区", "泉山区", "鼓楼区", "铜山区"),
    Change(
        2021,
        "浙江省",
        "杭州市",
        "江干区",
        (("杭州市", "上城区"), ("杭州市", "钱塘区")),
        parts=(("下沙", "杭州市", "钱塘区"), ("白杨", "杭州市", "钱塘区")),
    ),
    *_into(2021, "浙江省", "杭州市", "拱墅区", "下城区"),
    *_into(2016, "浙江省", "宁波市", "鄞州区", "江东区"),
    *_into(2013, "浙江省", "绍兴市", "柯桥区", "绍兴县"),
    # Anhui
    *_moved(2011, "安徽省", "巢湖市", "合肥市", "居巢区=巢湖市", "庐江县"),
    *_moved(2011, "安徽省", "巢湖市", "芜湖市", "无为县=无为市"),
    *_moved(2011, "安徽省", "巢湖市", "马鞍山市", "含山县", "和县"),
    *_into(2012, "安徽省", "马鞍山市", "花山区", "金家庄区"),
    *_into(2015, "安徽省", "铜陵市", "铜官区", "铜官山区", "狮子山区"),
    *_into(2015, "安徽省", "铜陵市", "义安区", "铜陵县"),
    *_moved(2015, "安徽省", "安庆市", "铜陵市", "枞阳县"),
    *_moved(2015, "安徽省", "六安市", "淮南市", "寿县"),
    *_into(2020, "安徽省", "芜湖市", "湾沚区", "芜湖县"),
    *_into(2020, "安徽省", "芜湖市", "弋江区", "三山区"),
    # Fujian, Jiangxi
    *_into(2021, "福建省", "三明市", "三元区", "梅列区"),
    *_into(2019, "江西省", "南昌市", "新建区", "湾里区"),
    *_into(2017, "江西省", "九江市", "柴桑区", "九江县"),
    *_into(2016, "江西省", "九江市", "濂溪区", "庐山区"),
    *_into(2016, "江西省", "九江市", "庐山市", "星子县"),
    *_into(2019, "江西省", "上饶市", "广信区", "上饶县"),
    # Shandong, Henan
    *_moved(2019, "山东省", "莱芜市", "济南市", "莱城区=莱芜区", "莱芜区", "钢城区"),
    *_into(2012, "山东省", "青岛市", "市北区", "四方区"),
    *_into(2012, "山东省", "青岛市", "黄岛区", "胶南市"),
    *_into(2013, "山东省", "济宁市", "任城区", "市中区"),
    *_into(2014, "山东省", "德州市", "陵城区", "陵县"),
    *_into(2020, "山东省", "烟台市", "蓬莱区", "长岛县"),
    *_into(2014, "河南省", "开封市", "龙亭区", "金明区"),
    *_into(2014, "河南省", "开封市", "祥符区", "开封县"),
    *_into(2016, "河南省", "许昌市", "建安区", "许昌县"),
    *_into(2015, "河南省", "三门峡市", "陕州区", "陕县"),
    *_into(2021, "河南省", "洛阳市", "孟津区", "吉利区"),
    # Hubei, Hunan
    *_moved(2010, "湖北省", "襄樊市", "襄阳市", "襄城区", "樊城区", "襄阳区=襄州区", "枣阳市", "宜城市"),
    *_moved(2010, "湖北省", "襄樊市", "襄阳市", "老河口市", "南漳县", "谷城县", "保康县"),
    *_into(2010, "湖北省", "襄阳市", "襄州区", "襄阳区"),
    *_into(2014, "湖北省", "十堰市", "郧阳区", "郧县"),
    *_into(2018, "湖南省", "株洲市", "渌口区", "株洲县"),
    # Guangdong, Guangxi
    *_into(2014, "广东省", "广州市", "黄埔区", "萝岗区"),
    *_into(2014, "广东省", "茂名市", "电白区", "茂港区"),
    *_into(2013, "广西壮族自治区", "梧州市", "万秀区", "蝶山区"),
    *_into(2021, "广西壮族自治区", "南宁市", "横州市", "横县"),
    # Sichuan, Guizhou, Yunnan
    *_moved(2016, "四川省", "资阳市", "成都市", "简阳市"),
    *_into(2016, "四川省", "成都市", "郫都区", "郫县"),
    *_into(2013, "四川省", "达州市", "达川区", "达县"),
    *_into(2018, "四川省", "宜宾市", "叙州区", "宜宾县"),
    *_into(2016, "四川省", "绵阳市", "安州区", "安县"),
    *_into(2012, "贵州省", "贵阳市", "花溪区", "小河区"),
    *_into(2016, "贵州省", "遵义市", "播州区", "遵义县"),
    *_into(2017, "贵州省", "六盘水市", "盘州市", "盘县"),
    *_into(2011, "贵州省", "毕节市", "七星关区", "毕节市"),
    *_into(2011, "贵州省", "铜仁市", "碧江区", "铜仁市"),
    # Tibet, Shaanxi, Xinjiang
    *_into(2014, "西藏自治区", "日喀则市", "桑珠孜区", "日喀则市"),
    *_into(2014, "西藏自治区", "昌都市", "卡若区", "昌都县"),
    *_into(2015, "西藏自治区", "林芝市", "巴宜区", "林芝县"),
    *_into(2017, "西藏自治区", "那曲市", "色尼区", "那曲县"),
    *_into(2016, "陕西省", "西安市", "鄠邑区", "户县"),
    *_into(2015, "陕西省", "渭南市", "华州区", "华县"),
    *_into(2015, "新疆维吾尔自治区", "吐鲁番市", "高昌区", "吐鲁番市"),
    *_into(2016, "新疆维吾尔自治区", "哈密市", "伊州区", "哈密市"),
)
