"""Printer profiles: what each model understands and can prove, one TOML file each.

Hides where the files lie (a clone's ``printers/``, or ``labelsvc/data/printers`` in an installed wheel) and their checking.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from labelsvc.errors import Invalid, NotFound
from labelsvc.printing.model import LETTERS, Profile

#: Field -> accepted types; a profile must hold the first four.
_TYPES: dict[str, tuple[type, ...]] = {
    "maker": (str,),
    "model": (str,),
    "language": (str,),
    "dpi": (int,),
    "proof": (str,),
    "status": (str,),
    "head_width_mm": (int, float),
    "max_length_mm": (int, float),
    "speed": (int,),
    "darkness": (int,),
    "graphics": (str,),
    "letters": (str,),
    "font": (str,),
    "coverage": (str,),
    "cutter": (bool,),
    "verified": (str,),
    "sources": (str,),
}
_NEEDED = ("maker", "model", "language", "dpi")
_CHOICES: dict[str, tuple[object, ...]] = {
    "dpi": (203, 300, 600),
    "proof": ("odometer", "none"),
    "status": ("zpl-hs", "none"),
    "graphics": ("raw", "runs", "zip"),
    "letters": LETTERS,
    "coverage": ("gb2312", "gbk", "gb18030", "unicode"),
    "verified": ("emulator", "manual"),
}


def _default_directory() -> Path:
    package = Path(__file__).resolve().parent.parent
    in_wheel = package / "data" / "printers"
    return in_wheel if in_wheel.is_dir() else package.parent / "printers"


class Profiles:
    """All profiles of a directory, read once. Raises Invalid, naming file and field, if one of them is wrong."""

    def __init__(self, directory: Path | None = None) -> None:
        self._profiles = {
            path.stem: _read(path) for path in sorted((directory or _default_directory()).glob("*.toml"))
        }

    def names(self) -> list[str]:
        """Names, sorted."""
        return list(self._profiles)

    def all(self) -> list[Profile]:
        """Every profile, by name."""
        return list(self._profiles.values())

    def get(self, name: str) -> Profile:
        """The profile of this name. Raises NotFound."""
        found = self._profiles.get(name)
        if found is None:
            raise NotFound("no such printer profile", code="profile.not_found", field="profile")
        return found


def _read(path: Path) -> Profile:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise Invalid(f"the printer profile {path.name} isn't TOML", code="profile.invalid") from None
    for name in _NEEDED:
        if name not in content:
            raise _wrong(path, name, "is missing")
    for name, value in content.items():
        if name not in _TYPES:
            raise _wrong(path, name, "is unknown")
        if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and bool not in _TYPES[name]):
            raise _wrong(path, name, "has the wrong type")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise _wrong(path, name, f"must be one of {', '.join(map(str, _CHOICES[name]))}")
    if content.get("proof") == "odometer" and content.get("status") != "zpl-hs":
        raise _wrong(path, "proof", "odometer needs status zpl-hs")
    if content.get("letters") == "font" and not content.get("font"):
        raise _wrong(path, "font", "must name the font that letters asks for")
    known = {field.name for field in fields(Profile)}
    return Profile(name=path.stem, **{name: value for name, value in content.items() if name in known})


def _wrong(path: Path, name: str, why: str) -> Invalid:
    return Invalid(f"the printer profile {path.name}: {name} {why}", code="profile.invalid", field=name)
