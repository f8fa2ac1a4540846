"""W9: the carriers' public number formats, checked against the carrier chosen; only S10 has a check digit."""

from __future__ import annotations

import pytest

from labelsvc.errors import Invalid
from labelsvc.waybills import check_number, guess, looks_like
from labelsvc.waybills.numbers import NUMBER_FORMATS, s10_check_digit

#: Numbers that public tests use (reference/platform-waybill-api.md, 3.1).
SAMPLES = {
    "ZTO": ("73610555582883", "78636098066239"),
    "YTO": ("YT8962646785389",),
    "SF": ("SF1385628716739",),
    "STO": ("773277027280336", "77316523125896"),
    "YUNDA": ("463431409940372", "5301156237108"),
    "EMS": ("1207119765021", "9889510569807"),
    "JD": ("JDX024407261700",),
    "JTSD": ("JT5261988016578", "JT0006968326954"),
    "DBKD": ("DPK202252612836", "DPK364112047425"),
    "CNSD": ("621000000000001",),
}


def test_ten_carriers():
    """W9: the formats of ten carriers are data, and each is tested."""
    assert set(NUMBER_FORMATS) == set(SAMPLES)


@pytest.mark.parametrize(("carrier", "number"), [(c, n) for c, numbers in SAMPLES.items() for n in numbers])
def test_samples(carrier: str, number: str):
    """W9: a real number fits its carrier's format in force, and the carrier is among those proposed for it."""
    assert looks_like(carrier, number)
    assert check_number(carrier, number) == number
    assert carrier in guess(number)


@pytest.mark.parametrize(("carrier", "number"), [(c, n) for c, numbers in SAMPLES.items() for n in numbers])
def test_other_carriers(carrier: str, number: str):
    """W9: a number is refused for a carrier that has no such numbers, without repeating it, and others are proposed."""
    others = set(NUMBER_FORMATS) - set(guess(number))
    assert others
    for other in others:
        with pytest.raises(Invalid) as caught:
            check_number(other, number)
        assert (caught.value.code, caught.value.errors[0].field) == ("number.format", "number")
        assert carrier in caught.value.facts["could_be"]
        assert number not in str(caught.value)


@pytest.mark.parametrize(
    ("carrier", "number"),
    [
        ("SF", "123456789012"),
        ("STO", "268123456789"),
        ("YTO", "8812345678"),
        ("ZTO", "361234567890"),
        ("YUNDA", "1234567890123"),
        ("JTSD", "JT123456789012"),
        ("JD", "JDVA02440726170-1-2-"),
        ("DBKD", "12345678"),
    ],
)
def test_also_known(carrier: str, number: str):
    """W9: an older or wider format of the carrier chosen is accepted, but isn't the one in force."""
    assert check_number(carrier, number) == number
    assert not looks_like(carrier, number)


@pytest.mark.parametrize(
    "wrong", ["", " ", "ZTO", "7361055558288", "736105555828834", "73610555582883\n1", "９" * 41]
)
def test_wrong(wrong: str):
    """W9: what isn't a number, is one digit short or long, or is two, is refused."""
    with pytest.raises(Invalid) as caught:
        check_number("ZTO", wrong)
    assert caught.value.errors[0].field == "number"


@pytest.mark.parametrize(
    "written",
    ["yt8962646785389", "ＹＴ８９６２６４６７８５３８９", " YT 8962 6467 85389 ", "YT8962646785389\r\n", "YT8962646785389\u200b"],
)  # fmt: skip
def test_as_it_is_meant(written: str):
    """W9, S5: full-width characters, small letters, blanks and a scanner's line end don't make it another number."""
    assert check_number("YTO", written) == "YT8962646785389"


def test_s10():
    """W9: an S10 number is refused for its check digit, and only for that."""
    assert check_number("EMS", "EB000717618HK") == "EB000717618HK"
    assert check_number("EMS", "RR473124829GB") == "RR473124829GB"
    for digit in "012345679":
        with pytest.raises(Invalid) as caught:
            check_number("EMS", f"EB00071761{digit}HK")
        assert caught.value.code == "number.check_digit"


@pytest.mark.parametrize(("serial", "digit"), [("47312482", "9"), ("00071761", "8"), ("00000000", "5")])
def test_check_digit(serial: str, digit: str):
    """W9: UPU S10's check digit: 11 stands for 5, 10 for 0."""
    assert s10_check_digit(serial) == digit


def test_check_digit_ten_is_nought():
    """W9: where the sum leaves 1, the digit would be 10, and is 0."""
    serial = next(
        f"{n:08d}"
        for n in range(1000)
        if sum(w * int(d) for w, d in zip((8, 6, 4, 2, 3, 5, 9, 7), f"{n:08d}", strict=True)) % 11 == 1
    )
    assert s10_check_digit(serial) == "0"


def test_no_other_check_digit():
    """W9: of no other carrier a number is refused for a digit: each of the ten last digits is good."""
    for carrier, numbers in SAMPLES.items():
        for digit in "0123456789":
            check_number(carrier, numbers[0][:-1] + digit)


def test_two_carriers_one_number():
    """W9: a number that fits two carriers is proposed for both, and accepted for whichever was chosen."""
    number = "431234567890123"
    assert {"STO", "YUNDA"} <= set(guess(number))
    assert check_number("STO", number) == check_number("YUNDA", number) == number


def test_in_force_before_older():
    """W9: carriers whose format in force fits are proposed before those with an older one."""
    found = guess("5301156237108")
    assert found[0] == "YUNDA"
    assert "EMS" not in found[:1]


def test_unknown_carrier():
    """W9: of a carrier without a known format anything that a barcode of the trade holds is accepted, and nothing else."""
    assert check_number("BEST", "a-1234567") == "A-1234567"
    for wrong in ("12345", "单号123456", "1" * 41, "AB_123456"):
        with pytest.raises(Invalid):
            check_number("BEST", wrong)


def test_digits_of_other_scripts():
    """W9: digits that no scanner prints, as Arabic-Indic ones, aren't digits."""
    with pytest.raises(Invalid):
        check_number("ZTO", "٧٣٦١٠٥٥٥٥٨٢٨٨٣")
