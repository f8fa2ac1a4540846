"""The list of error codes: what finds the codes in the source, and that the list, the page and the code agree."""

from __future__ import annotations

import ast

import pytest
from support.codes import PAGE, Source, faults, page, read

from labelsvc.web.codes import CODES, is_listed

_TREE = """
class LabelsvcError(Exception):
    status = 500
    default_code = "internal"

class Refused(LabelsvcError):
    status = 422
    default_code = "refused"

class Silent(LabelsvcError):
    status = 503
    default_code = "network.silent"
    def __init__(self, code=None):
        super().__init__("", code=code or (None if self else "network.unreachable"))

class Busy(Silent):
    def __init__(self):
        super().__init__(code="network.busy")
"""


def _raised(text):
    return dict(Source({"made.py": ast.parse(_TREE + text)}).raised)


@pytest.mark.parametrize(
    ("text", "raised"),
    [
        ('raise Refused("no", code="moon.full")', {"moon.full": {422}}),
        ('found = errors.Refused("no", code="moon.full")', {"moon.full": {422}}),
        ('raise Refused("no")', {"refused": {422}}),
        ("raise Busy()", {"network.busy": {503}}),
        ("raise Silent()", {"network.silent": {503}, "network.unreachable": {503}}),
        ('raise Refused("no", code=f"moon.{phase}")', {"moon.*": {422}}),
        ('raise Refused("no", code=f"label.too_{how}")', {"label.too_long": {422}, "label.too_wide": {422}}),
        ('raise Refused("no", code=fault.code)', {}),
        ('raise Refused("no", code=update.reason or "moon.full")', {"moon.full": {422}}),
        ('element.fail("no", code="moon.full")\nclass TemplateError(Refused): pass', {"moon.full": {422}}),
        ('raise self.unfit(element, "no", "moon.full")', {"moon.full": {422}}),
        ('_SENSES = (("full", "moon.full", "it is"),)', {"moon.full": {422}}),
        ('out = Outcome(waybill, fence, WaybillState.REFUSED, "moon.full")', {"moon.full": {422}}),
        ('raise KeyError("no", code="moon.full")', {}),
    ],
)
def test_a_code_is_found_however_it_is_raised(text, raised):
    """A3: constants, an error's own code, parts that are open, codes of tables; not what is no error."""
    assert _raised(text) == raised


def test_a_code_that_cant_be_read_is_a_fault():
    """A3: nobody hides a code from the list by keeping it in a variable."""
    source = Source({"made.py": ast.parse(_TREE + 'raise Refused("no", code=choose())')})
    assert any("made.py" in fault and "choose()" in fault for fault in faults(source))


def test_a_code_that_is_not_listed_or_not_raised_is_a_fault():
    """A3: the list is complete and holds nothing else."""
    source = Source({"made.py": ast.parse(_TREE + 'raise Refused("no", code="moon.full")')})
    found = faults(source)
    assert any(fault.startswith("moon.full: raised") for fault in found)
    assert any(fault.startswith("balance.empty: listed") for fault in found)


def test_every_code_that_the_service_raises_is_listed():
    """A3: no fault in the list, and docs/errors.md is what the code says."""
    source = read()
    assert faults(source) == []
    assert PAGE.read_text() == page(source.raised)
    assert {"balance.empty", "origin.mismatch", "route.unknown", "network.busy"} <= source.raised.keys()


def test_the_networks_own_numbers_are_listed_as_one():
    """A3: network.* stands for numbers alone."""
    assert is_listed("network.50001") and is_listed("network.busy")
    assert not is_listed("network.moon") and not is_listed("moon.full")
    assert all(meaning.endswith(".") and advice.endswith(".") for meaning, advice in CODES.values())
