"""A label's legal steps, a job's state, and printer profiles."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from labelsvc.errors import Conflict, Invalid, NotFound
from labelsvc.languages import LANGUAGES
from labelsvc.printing import JobState, LabelState, Profiles
from labelsvc.printing.model import STEPS, derive, require_step

S = LabelState


def test_only_the_drawn_steps_are_legal():
    """Of all pairs of states exactly the drawn steps pass; every other raises Conflict naming the present state."""
    drawn = {
        (S.QUEUED, S.SENDING),
        (S.QUEUED, S.HELD),
        (S.QUEUED, S.CANCELLED),
        (S.QUEUED, S.FAILED),
        (S.HELD, S.QUEUED),
        (S.HELD, S.CANCELLED),
        (S.SENDING, S.PRINTED),
        (S.SENDING, S.SENT),
        (S.SENDING, S.FAILED),
        (S.SENDING, S.UNCERTAIN),
        (S.SENDING, S.QUEUED),
        (S.SENT, S.PRINTED),
        (S.UNCERTAIN, S.PRINTED),
        (S.UNCERTAIN, S.QUEUED),
    }
    for before in S:
        for after in S:
            if (before, after) in drawn:
                require_step(before, after)
            else:
                with pytest.raises(Conflict) as fault:
                    require_step(before, after)
                assert fault.value.facts["state"] == before.value


def test_what_may_be_on_paper_never_goes_back_to_the_queue_by_itself():
    """P7: from printed and sent no step leads to queued or sending."""
    for state in (S.PRINTED, S.SENT):
        assert not STEPS[state] & {S.QUEUED, S.SENDING, S.HELD}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({S.QUEUED}, JobState.QUEUED),
        ({S.HELD}, JobState.HELD),
        ({S.HELD, S.PRINTED}, JobState.HELD),
        ({S.QUEUED, S.HELD}, JobState.QUEUED),
        ({S.QUEUED, S.PRINTED}, JobState.PRINTING),
        ({S.SENDING}, JobState.PRINTING),
        ({S.PRINTED, S.SENT}, JobState.DONE),
        ({S.PRINTED, S.CANCELLED}, JobState.DONE),
        ({S.CANCELLED}, JobState.CANCELLED),
        ({S.CANCELLED, S.QUEUED}, JobState.QUEUED),
        ({S.FAILED, S.PRINTED}, JobState.FAILED),
        ({S.FAILED, S.QUEUED}, JobState.PRINTING),
    ],
)
def test_a_jobs_state_says_what_is_still_to_come(states, expected):
    """A job's state is derived from its labels' states alone."""
    assert derive(states) is expected


def test_an_uncertain_label_comes_before_all_else():
    """P7: whatever the other labels are, one uncertain label asks for a person."""
    others = [state for state in S if state is not S.UNCERTAIN]
    for size in range(len(others) + 1):
        for some in combinations(others, size):
            assert derive({S.UNCERTAIN, *some}) is JobState.ATTENTION


def test_the_shipped_profiles_can_be_used():
    """Every shipped profile can be read and names a language that exists."""
    profiles = Profiles()
    assert {"virtual-zpl-203", "virtual-zpl-300", "zpl-generic-203", "file-pdf", "browser"} <= set(
        profiles.names()
    )
    for profile in profiles.all():
        assert profile.language in LANGUAGES


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("dpi = 200", "dpi"),
        ('dpi = "203"', "dpi"),
        ("colour = 1", "colour"),
        ('proof = "hope"', "proof"),
        ('proof = "odometer"', "proof"),
        ("head_width_mm = true", "head_width_mm"),
        ('status = "escpos"', "status"),
        ("speeds = [3, 2]", "speeds"),
        ('speeds = ["3"]', "speeds"),
        ("darkness_range = [0, 15, 30]", "darkness_range"),
        ('quirks = ["moody"]', "quirks"),
        ('sensors = ["nose"]', "sensors"),
        ('sources = ["a manual"]', "sources"),
        ('sources = [{document = "a manual", of = ["charm"]}]', "sources"),
        ("cutter = true", "cutter"),
        (
            'sources = [{document = "a manual", of = ["language", "dpi"]}]\nmax_length_mm = 990',
            "max_length_mm",
        ),
    ],
)
def test_a_wrong_profile_names_its_field(tmp_path: Path, line: str, field: str):
    """A profile with a wrong, unknown or ill-typed field, or with a claim that has no source, is refused by name."""
    rest = 'maker = "m"\nmodel = "x"\nlanguage = "zpl"\n' + ("" if field == "dpi" else "dpi = 203\n")
    if "sources" not in line:
        line += '\nsources = [{document = "a manual", of = ["language", "dpi"]}]'
    (tmp_path / "wrong.toml").write_text(rest + line + "\n")
    with pytest.raises(Invalid) as fault:
        Profiles(tmp_path)
    assert [error.field for error in fault.value.errors] == [field]


def test_an_unknown_profile_is_not_found(tmp_path: Path):
    """Asking for a profile that isn't there raises NotFound."""
    with pytest.raises(NotFound):
        Profiles(tmp_path).get("../secret")
