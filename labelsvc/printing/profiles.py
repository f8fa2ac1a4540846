"""Printer profiles: what each model understands and can prove, one TOML file each.

Hides where the files lie (a clone's ``printers/``, or ``labelsvc/data/printers`` in an installed wheel) and their checking: a
claim without a source is refused, so what isn't written anywhere is left out, and a printer of unknown habits is asked nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from labelsvc.errors import Invalid, NotFound
from labelsvc.languages.identity import Identity
from labelsvc.printing.model import LETTERS, Coverage, Graphics, Profile, Proof, Sensor, Source, Status

#: A habit that code takes notice of -> what it is, and who says so.
QUIRKS: Mapping[str, str] = {
    "silent-when-blocked": "Answers no status query while paper or ribbon is out or the head is open, so that silence in the"
    " middle of a label is most likely one of these (Zebra, ZPL programming guide, ~HS).",
    "reprints-after-error": "Prints the label again that an error cut short, once the error is cleared, so that its counter may"
    " move by one more (Zebra, ZPL programming guide, ^JZ).",
}

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
    "speeds": (list,),
    "darkness": (int,),
    "darkness_range": (list,),
    "sensors": (list,),
    "graphics": (str,),
    "letters": (str,),
    "font": (str,),
    "fonts": (list,),
    "coverage": (str,),
    "cutter": (bool,),
    "peeler": (bool,),
    "options": (list,),
    "quirks": (list,),
    "matches": (list,),
    "verified": (str,),
    "sources": (list,),
}
_NEEDED = ("maker", "model", "language", "dpi")
_CHOICES: dict[str, tuple[object, ...]] = {
    "dpi": (203, 300, 600),
    "proof": get_args(Proof),
    "status": get_args(Status),
    "graphics": get_args(Graphics),
    "letters": LETTERS,
    "coverage": get_args(Coverage),
    "verified": ("manual", "emulator", "hardware"),
}
#: What each entry of a list must be: one of these, or of this type.
_ENTRIES: dict[str, tuple[object, ...] | type | tuple[type, ...]] = {
    "speeds": (int, float),
    "darkness_range": int,
    "sensors": get_args(Sensor),
    "fonts": str,
    "options": ("cutter", "peeler"),
    "quirks": tuple(QUIRKS),
    "matches": str,
    "sources": dict,
}
#: A status or proof that only one language has -> that language; ``usb-port`` is a matter of the wire.
_SPOKEN_IN = {
    "zpl-hs": "zpl",
    "odometer": "zpl",
    "escpos": "escpos",
    "process-id": "escpos",
    "tspl": "tspl",
    "label-count": "tspl",
}
#: The maker of a profile that stands for every printer of its language.
_ANY = "various"
#: What needs no source: names and what they are looked up by, our own choices, and how sure we are.
_UNCLAIMED = frozenset(
    {"name", "maker", "model", "verified", "sources", "speed", "darkness", "letters", "font", "matches"}
)


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

    def propose(self, identity: Identity) -> tuple[Profile | None, bool]:
        """The profile for a printer that says it is ``identity``, and whether its model is known; else its language's generic.

        Of several models whose names fit, the one with the longest: TSC's "TTP-244 Plus" is no "TTP-244". A profile for
        another resolution or language than the printer's own doesn't fit. None: nothing is known of it, a person chooses.
        """
        said = _letters(f"{identity.maker} {identity.model}")
        fitting = [
            (len(each), profile)
            for profile in self._profiles.values()
            if identity.dpi in (None, profile.dpi)
            and (not identity.languages or profile.language in identity.languages)
            for each in map(_letters, profile.matches)
            if re.search(rf"(?<![A-Z0-9]){re.escape(each)}(?![A-Z0-9])", said)
        ]
        if fitting:
            return max(fitting, key=lambda one: one[0])[1], True
        for language in identity.languages:
            generic = [
                profile
                for profile in self._profiles.values()
                if profile.language == language and profile.maker == _ANY
            ]
            # 203 dots an inch if it doesn't say: most have them, and a label is then too small rather than cut.
            generic.sort(
                key=lambda profile: (profile.dpi != (identity.dpi or 203), -(profile.head_width_mm or 0))
            )
            if generic:
                return generic[0], False
        return None, False


def _letters(name: str) -> str:
    """A name as it is compared: capitals, and one space where makers write a space, a hyphen or an underscore."""
    return re.sub(r"[ _-]+", " ", name.upper())


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
        if name in _ENTRIES:
            _check_entries(path, name, value)
    for name in ("status", "proof"):
        language = _SPOKEN_IN.get(content.get(name, "none"), content["language"])
        if language != content["language"]:
            raise _wrong(path, name, f"is one of {language} printers")
    proof, status = content.get("proof", "none"), content.get("status", "none")
    if proof != "none" and _SPOKEN_IN[proof] != _SPOKEN_IN.get(status):
        raise _wrong(path, "proof", f"{proof} needs a status of the same language")
    if content.get("letters") == "font" and not content.get("font"):
        raise _wrong(path, "font", "must name the font that letters asks for")
    content["sources"] = [_source(path, source) for source in content.get("sources", ())]
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    profile = Profile(name=path.stem, **values)
    sourced = {claim for source in profile.sources for claim in source.claims}
    for field in fields(Profile):
        claimed = field.name in content and getattr(profile, field.name) != field.default
        if claimed and field.name not in sourced | _UNCLAIMED:
            raise _wrong(path, field.name, "is claimed without a source")
    return profile


def _check_entries(path: Path, name: str, entries: Any) -> None:
    wanted = _ENTRIES[name]
    for entry in entries:
        if isinstance(wanted, type) or isinstance(wanted[0], type):
            if not isinstance(entry, wanted) or isinstance(entry, bool):  # type: ignore[arg-type]
                raise _wrong(path, name, "holds an entry of the wrong type")
        elif entry not in wanted:
            raise _wrong(path, name, f"must hold only {', '.join(map(str, wanted))}")
    if name == "darkness_range" and (len(entries) != 2 or entries[0] > entries[1]):
        raise _wrong(path, name, "must be the least and the most")
    if name == "speeds" and (entries != sorted(entries) or any(speed <= 0 for speed in entries)):
        raise _wrong(path, name, "must be above zero, slowest first")


def _source(path: Path, content: dict[str, Any]) -> Source:
    """``document`` with the names of the fields that it is the source ``of``."""
    known = {field.name for field in fields(Profile)} - _UNCLAIMED
    claims = content.get("of")
    if set(content) != {"document", "of"} or not isinstance(content["document"], str):
        raise _wrong(path, "sources", "must each have a document, and what it is the source of")
    if not isinstance(claims, list) or not claims or not all(claim in known for claim in claims):
        raise _wrong(path, "sources", f"can be of {', '.join(sorted(known))} only")
    return Source(content["document"], tuple(claims))


def _wrong(path: Path, name: str, why: str) -> Invalid:
    return Invalid(f"the printer profile {path.name}: {name} {why}", code="profile.invalid", field=name)
