"""Every shipped profile can print: its language is spoken, and a label that its paper holds becomes bytes for it."""

from __future__ import annotations

import pytest
from support.models import PAGE, page

from labelsvc.errors import Invalid
from labelsvc.labels import StandardTemplates
from labelsvc.languages import LANGUAGES
from labelsvc.printing import DocumentRequest, Printers, PrintJobs, PrintRequest, Profile, Profiles, journal
from labelsvc.waybills import sample_label


def _kinds() -> list[Profile]:
    """One profile of each kind that makes other bytes, or refuses other paper, than the rest."""
    kinds = {}
    for profile in Profiles().all():
        if profile.name != "browser":
            kind = (profile.language, profile.dpi, profile.head_width_mm, profile.graphics, profile.cutter)
            kinds.setdefault(kind, profile)
    return list(kinds.values())


def test_every_language_for_printers_has_a_profile():
    """Nobody has to write a profile to use a language that is there."""
    assert {profile.language for profile in Profiles().all()} >= set(LANGUAGES) - {"png"}


def test_the_page_of_models_is_up_to_date():
    """docs/printers.md says what the profiles say: python tests/support/models.py --update."""
    assert PAGE.read_text("utf-8") == page(Profiles().all())


def test_a_label_is_made_for_every_kind_of_profile(sqlite_database, factory):
    """P4: the widest of the shipped templates that its head takes; a wider one is refused before anything is stored."""
    printers = Printers(sqlite_database, Profiles())
    jobs = PrintJobs(sqlite_database, printers, StandardTemplates())
    for profile in _kinds():
        printers.add(factory, profile.name, "tcp://127.0.0.1:9", profile.name)
        width = profile.head_width_mm or 1000
        template = "slip-58" if width < 72 else "slip-80" if width < 76 else "waybill-76x130"
        document = DocumentRequest(template, sample_label(), title="N")
        job = jobs.submit(factory, PrintRequest(profile.name, (document,), profile.name))
        printer = printers.get(factory, profile.name)
        with sqlite_database.reading() as connection:
            stored = journal.document_of(connection, job.labels[0].id)
        assert len(jobs.rendering.bytes_for(stored, printer, profile).data) > 500
        assert [grade.grade for grade in job.grades if grade.grade in "DF"] == [], profile.name
        if width < 100:
            wide = DocumentRequest("waybill-100x180", sample_label())
            with pytest.raises(Invalid) as caught:
                jobs.submit(factory, PrintRequest(profile.name, (wide,), f"{profile.name} wide"))
            assert caught.value.code == "label.too_wide"


@pytest.mark.parametrize(
    ("field", "wrong", "right", "profile"),
    [("darkness", 16, 15, "tsc-te200"), ("speed", 1, 2, "tsc-te200"), ("speed", 7, 6, "tsc-te200")],
)
def test_a_printer_takes_the_darkness_and_speed_of_its_model(
    sqlite_database, factory, field: str, wrong: int, right: int, profile: str
):
    """What a model can't do is refused where it is chosen, not found out at the printer."""
    printers = Printers(sqlite_database, Profiles())
    with pytest.raises(Invalid) as caught:
        printers.add(factory, "p", "tcp://127.0.0.1:9", profile, **{field: wrong})
    assert [error.field for error in caught.value.errors] == [field]
    assert getattr(printers.add(factory, "p", "tcp://127.0.0.1:9", profile, **{field: right}), field) == right
