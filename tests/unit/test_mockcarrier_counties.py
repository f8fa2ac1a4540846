"""Where the mock network has points: in every county there is, and nowhere else."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from labelsvc.mockcarrier.counties import covers, every_county, region_ids, regions, settle
from labelsvc.mockcarrier.network import CARRIERS, DIRECT, network_points
from labelsvc.waybills.divisions import Divisions

_SURVEY = """
import hashlib, sys
from labelsvc.mockcarrier.counties import every_county
from labelsvc.mockcarrier.network import CARRIERS, network_points
seen = hashlib.sha256()
for place in every_county():
    for carrier in CARRIERS.values():
        seen.update(repr(network_points(carrier, *place)).encode())
print(seen.hexdigest())
"""


def test_every_county_has_points_of_every_carrier_that_serves_it() -> None:
    """E3: over all counties, a direct-operated carrier has one point and a franchise one to three; only YUNDA leaves out Tibet."""
    counties = list(every_county())
    assert 2800 < len(counties) < 2900
    assert len(set(counties)) == len(counties)
    for place in counties:
        for carrier in CARRIERS.values():
            points = network_points(carrier, *place)
            if carrier.wp_code == "YUNDA" and place[0] == "西藏自治区":
                assert points == (), place
            else:
                assert 1 <= len(points) <= (1 if carrier.wp_type == DIRECT else 3), (place, carrier.wp_code)


def test_points_are_the_same_in_every_run() -> None:
    """Two runs with other hash seeds find the very same points in every county."""
    digests = [
        subprocess.run(
            [sys.executable, "-c", _SURVEY],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 2 * hashlib.sha256().digest_size


def test_network_point_codes_tell_points_apart() -> None:
    """Hardly any two points of a carrier in all the country have the same branch code, and none in one county."""
    for carrier in CARRIERS.values():
        codes = [p.branch_code for place in every_county() for p in network_points(carrier, *place)]
        assert len(codes) - len(set(codes)) < len(codes) / 200
    for place in every_county():
        points = network_points(CARRIERS["ZTO"], *place)
        assert len({p.branch_code for p in points}) == len(points)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("北京市", "北京市", "东城区"), ("北京市", "北京市", "东城区")),
        (("北京市", "市辖区", "东城区"), ("北京市", "北京市", "东城区")),
        (("重庆市", "县", "云阳县"), ("重庆市", "重庆市", "云阳县")),
        (("广东省", "东莞市", "东莞市"), ("广东省", "东莞市", "东莞市")),
        (("广东省", "东莞市", "虎门镇"), ("广东省", "东莞市", "虎门镇")),
        (("海南省", "儋州市", "那大镇"), ("海南省", "儋州市", "那大镇")),
        (("湖北省", "仙桃市", "仙桃市"), ("湖北省", "仙桃市", "仙桃市")),
        (("湖北省", "省直辖县级行政区划", "仙桃市"), ("湖北省", "仙桃市", "仙桃市")),
        (("河南省", "济源市", "济源市"), ("河南省", "济源市", "济源市")),
        (("新疆维吾尔自治区", "石河子市", "石河子市"), ("新疆维吾尔自治区", "石河子市", "石河子市")),
        (("新疆维吾尔自治区", "和田地区", "和安县"), ("新疆维吾尔自治区", "和田地区", "和安县")),
        (("新疆维吾尔自治区", "和田地区", "和康县"), ("新疆维吾尔自治区", "和田地区", "和康县")),
        (("浙江省", "杭州市", "临平区"), ("浙江省", "杭州市", "临平区")),
    ],
)
def test_every_shape_of_the_tree_has_points(asked: tuple[str, str, str], found: tuple[str, str, str]) -> None:
    """Municipalities, cities without districts, county-level units under a province and new counties are served, under any wording the same."""
    assert settle(*asked) == found
    points = network_points(CARRIERS["ZTO"], *asked)
    assert points
    assert points == network_points(CARRIERS["ZTO"], *found)


@pytest.mark.parametrize(
    "place",
    [
        ("浙江省", "杭州市", "江干区"),  # merged in 2021
        ("山东省", "莱芜市", "莱城区"),  # merged in 2019
        ("浙江省", "杭州市", "天河区"),
        ("广东省", "东莞市", "天河区"),
        ("广东省", "东莞市", ""),
        ("浙江", "杭州", "余杭"),
        ("浙江省", "市辖区", "余杭区"),
        ("湖北省", "省直辖县级行政区划", "武昌区"),
        ("台湾省", "台北市", "大安区"),
        ("亚特兰蒂斯", "亚特兰蒂斯", "东城区"),
        ("", "", ""),
    ],
)
def test_a_place_that_does_not_exist_has_no_points(place: tuple[str, str, str]) -> None:
    """Abolished, misplaced and invented names have no network point, of no carrier."""
    assert not covers(*place)
    assert all(network_points(carrier, *place) == () for carrier in CARRIERS.values())


def test_the_product_asks_for_places_that_the_network_knows() -> None:
    """E3: each place as labelsvc puts it on the wire, the city in the district's place where there is none, is a place here."""
    divisions = Divisions()
    asked = 0
    for province in divisions.provinces():
        for city in divisions.cities(province):
            for district in divisions.districts(province, city) or [""]:
                place = divisions.check(province, city, district)
                assert covers(place.province, place.city, place.district or place.city), place
                asked += 1
    assert asked == len(list(every_county()))


def test_the_region_tree_is_whole() -> None:
    """Every region's parent is listed before it and one level above, ids count up, codes have six digits."""
    listed = regions()
    by_id = {region.id: region for region in listed}
    assert [region.id for region in listed] == list(range(1, len(listed) + 1))
    for region in listed[1:]:
        assert region.parent_id < region.id
        assert by_id[region.parent_id].level == region.level - 1
        assert len(region.code) == 6
        assert region.code.isdecimal()
    assert [by_id[id_].name for id_ in region_ids("浙江省", "杭州市", "余杭区")] == [
        "浙江省",
        "杭州市",
        "余杭区",
    ]
    assert region_ids("广东省", "东莞市", "虎门镇")[2] == 0
    assert [region.name for region in listed if region.level == 0] == ["中国"]
