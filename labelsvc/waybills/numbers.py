"""The carriers' public number formats (W9): what a waybill number may look like, and whose it might be; pure.

Hides the table of formats, and that a number doesn't identify its carrier: it is checked against the carrier that was
chosen, and detection only proposes. A check digit refuses nothing but an S10 number, the only rule that is public.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from labelsvc.errors import Invalid


@dataclass(frozen=True)
class NumberFormat:
    """A carrier's format in force, and older or wider ones that parcels still carry; regular expressions of whole numbers."""

    pattern: str
    also_known: tuple[str, ...] = ()


#: UPU S10: service indicator, eight digits, check digit, country.
S10 = r"[A-Z]{2}\d{9}[A-Z]{2}"

#: reference/platform-waybill-api.md, 3.1: column A is in force; of column B what tells numbers from other text.
NUMBER_FORMATS: dict[str, NumberFormat] = {
    "SF": NumberFormat(r"SF[0-9A-Z]\d{12}", (r"SF\d{12,15}", r"\d{12}")),
    "STO": NumberFormat(
        r"(77|43)\d{12,15}",
        (r"77\d{13}", r"(268|888|588|688|368)\d{9}", r"(33|55|66|77|88|99)\d{11}", r"4\d{12}"),
    ),
    "YTO": NumberFormat(r"YT\d{13}", (r"[A-Z0-9]{2}\d{8}", r"[A-Z0-9]{2}\d{10}", r"[89]\d{17}")),
    "ZTO": NumberFormat(r"7[3-68]\d{12}", (r"(36|37|53)\d{10}", r"4\d{11}")),
    "YUNDA": NumberFormat(r"[34]\d{14}|5\d{12}", (r"\d{13}", r"(31|39|43|50|55|58|66|77|80|88)\d{13}")),
    "JTSD": NumberFormat(r"JT\d{13}", (r"JT\d{12}",)),
    "EMS": NumberFormat(
        r"[981]\d{12}|P[A-Z]\d{11}",
        (S10, r"(10|11|12)\d{11}", r"(50|51|52)\d{11}", r"(95|96|97|98|99)\d{11}"),
    ),
    # A parcel of a set is the main number, its count, the total and the crossing.
    "JD": NumberFormat(
        r"JD[A-Z0-9]{2}\d{11}",
        (r"JD[A-Z]{0,3}\d{10,15}", r"JD[A-Z0-9]{2}\d{11}-[1-9]\d{0,5}-\d{1,5}-\d{0,4}", r"F\d{11}"),
    ),
    "DBKD": NumberFormat(r"DPK\d{12}", (r"\d{8,10}", r"DPK\d{11,}(-\d+)*")),
    "CNSD": NumberFormat(r"621\d{12}"),
}

#: What the wire and a barcode of the trade take, of a carrier whose format we don't know.
_ANY = r"[0-9A-Z-]{6,40}"
#: Carriers whose S10-shaped numbers are S10.
_POST = frozenset({"EMS"})


def looks_like(carrier: str, number: str) -> bool:
    """Whether ``number`` has ``carrier``'s format in force; True for a carrier without a known one."""
    known = NUMBER_FORMATS.get(carrier)
    return known is None or re.fullmatch(known.pattern, number) is not None


def tidy(number: str) -> str:
    """The number as it is meant, whatever keyboard or input method wrote it: half-width, upper-case, without blanks."""
    plain = unicodedata.normalize("NFKC", number)
    return "".join(char for char in plain if unicodedata.category(char)[0] not in "CZ").upper()


def check_number(carrier: str, number: str) -> str:
    """The tidied number of a parcel that ``carrier``, the one chosen, carries (W9).

    Raises Invalid naming ``number``: code ``number.format``, or ``number.check_digit`` for S10 and nothing else. ``facts``
    propose other carriers whose number it could be.
    """
    if not isinstance(number, str) or not (plain := tidy(number)):
        raise Invalid("is missing", code="number.format", field="number")
    if len(plain) > 40:
        raise Invalid("must have at most 40 characters", code="number.format", field="number")
    known = NUMBER_FORMATS.get(carrier)
    patterns = (known.pattern, *known.also_known) if known else (_ANY,)
    if not any(re.fullmatch(pattern, plain, re.ASCII) for pattern in patterns):
        raise Invalid(
            "isn't a number of this carrier",
            code="number.format",
            field="number",
            could_be=[other for other in guess(plain) if other != carrier],
        )
    if carrier in _POST and re.fullmatch(S10, plain, re.ASCII) and plain[10] != s10_check_digit(plain[2:10]):
        raise Invalid("has a wrong check digit", code="number.check_digit", field="number")
    return plain


def guess(number: str) -> list[str]:
    """Carriers whose number it could be: those with the format in force first, then those with an older one.

    For proposing only: many numbers fit several carriers.
    """
    plain = tidy(number)
    now = [code for code, known in NUMBER_FORMATS.items() if re.fullmatch(known.pattern, plain, re.ASCII)]
    before = [
        code
        for code, known in NUMBER_FORMATS.items()
        if code not in now and any(re.fullmatch(pattern, plain, re.ASCII) for pattern in known.also_known)
    ]
    return now + before


def s10_check_digit(serial: str) -> str:
    """The check digit of an eight-digit serial number (UPU S10, section 5): weights 8 6 4 2 3 5 9 7, modulo 11."""
    total = sum(weight * int(digit) for weight, digit in zip((8, 6, 4, 2, 3, 5, 9, 7), serial, strict=True))
    rest = 11 - total % 11
    return str({10: 0, 11: 5}.get(rest, rest))
