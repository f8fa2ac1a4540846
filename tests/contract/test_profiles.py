"""Every shipped profile can print: its language is spoken, and a label that its paper holds becomes bytes for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelsvc.errors import Invalid
from labelsvc.labels import StandardTemplates
from labelsvc.languages import LANGUAGES
from labelsvc.printing import DocumentRequest, Printers, PrintJobs, PrintRequest, Profiles
from labelsvc.waybills import sample_label

NAMES = [profile.name for profile in Profiles().all() if profile.name != "browser"]


def test_every_language_for_printers_has_a_profile():
    """Nobody has to write a profile to use a language that is there."""
    assert {profile.language for profile in Profiles().all()} >= set(LANGUAGES) - {"png"}


@pytest.mark.parametrize("name", NAMES)
def test_a_label_is_made_for_every_profile(database, factory, tmp_path: Path, name: str):
    """P4: the widest of the shipped templates that its head takes; a wider one is refused before anything is stored."""
    printers = Printers(database, Profiles())
    profile = Profiles().get(name)
    printers.add(factory, "p", "tcp://127.0.0.1:9", name)
    jobs = PrintJobs(database, printers, StandardTemplates())
    width = profile.head_width_mm or 1000
    template = "slip-58" if width < 72 else "slip-80" if width < 76 else "waybill-76x130"
    document = DocumentRequest(template, sample_label(), title="N")
    job = jobs.submit(factory, PrintRequest("p", (document,), "k"))
    printer = printers.get(factory, "p")
    with database.reading() as connection:
        from labelsvc.printing import journal

        stored = journal.document_of(connection, job.labels[0].id)
    assert len(jobs.rendering.bytes_for(stored, printer, profile).data) > 500
    assert [grade.grade for grade in job.grades if grade.grade in "DF"] == []
    if width < 100:
        with pytest.raises(Invalid) as caught:
            jobs.submit(
                factory, PrintRequest("p", (DocumentRequest("waybill-100x180", sample_label()),), "k2")
            )
        assert caught.value.code == "label.too_wide"
