"""Finished PDFs and pictures as print jobs, lists of several pages, and what a job says of its barcodes."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image
from support import readers
from support.web import House, build, label_data

from labelsvc.errors import Gone, Invalid, KeyReused, NotFound
from labelsvc.labels import StandardTemplates
from labelsvc.printing import DocumentRequest, Picture, Printers, PrintJobs, PrintRequest, Profiles, journal

LIST = """<page xmlns="http://cloudprint.cainiao.com/print" width="76" height="40" splitable="true">
  <footer height="5"><pageIndex left="0" top="0" width="70" height="5" format="currentPageNumber/totalPageNumber"/></footer>
  <layout left="0" top="0" width="76"><table left="2" top="2" width="70">
    <tr><th width="70" height="6">货</th></tr>
    <% for (var i = 0; i < _data.rows; i++) { %><tr><td height="8"><text value="第<%= i + 1 %>行"/></td></tr><% } %>
  </table></layout>
</page>"""


def barcode_png(text: str = "YT0012345678901") -> bytes:
    """A picture of a Code 128 with three dots a module, on paper 76 × 30 mm at 203 dpi."""
    from labelsvc.labels import compose, parse
    from labelsvc.languages import Target, encode

    template = parse(
        '<page width="76" height="30"><barcode left="2" top="4" width="72" height="20" type="code128" value="<%= _data.n %>"/></page>'
    )
    return encode(compose(template, {"n": text}), Target("png"))


@pytest.fixture
def jobs(database, factory, tmp_path: Path) -> PrintJobs:
    """The jobs' verbs, and a printer that is a folder."""
    printers = Printers(database, Profiles())
    printers.add(factory, "p", f"file://{tmp_path}", "file-zpl-203")
    return PrintJobs(database, printers, StandardTemplates())


def request(*documents: DocumentRequest, key: str = "k") -> PrintRequest:
    """A request for the folder."""
    return PrintRequest("p", documents, key)


def picture(content: bytes, **other) -> DocumentRequest:
    """A picture on 76 × 30 mm."""
    return DocumentRequest("picture", {}, picture=Picture(content, 76, 30, **other))


def test_a_picture_prints_as_it_is(jobs: PrintJobs, factory):
    """P4: the barcode on it is read from the label's dots."""
    job = jobs.submit(factory, request(picture(barcode_png())))
    (page,) = jobs.pages(factory, job.labels[0].id)
    assert (page.width, page.height) == (608, 240)
    shown = Image.open(io.BytesIO(jobs.preview(factory, job.labels[0].id)))
    assert ("Code 128", "YT0012345678901") in readers.decode(shown)


def test_the_same_key_with_another_picture_is_another_request(jobs: PrintJobs, factory):
    """P7: what is compared is the picture, not its name."""
    first = jobs.submit(factory, request(picture(barcode_png())))
    assert jobs.submit(factory, request(picture(barcode_png()))).id == first.id
    for other in (picture(barcode_png("YT0012345678902")), picture(barcode_png(), fit="fill")):
        with pytest.raises(KeyReused):
            jobs.submit(factory, request(other))


def test_a_wrong_picture_is_refused_before_anything_is_stored(jobs: PrintJobs, factory, database):
    """With its field and reason."""
    wrong = Picture(b"x" * 10, 0, 30, fit="stretch", rotate="45", dither="none")  # type: ignore[arg-type]
    with pytest.raises(Invalid) as caught:
        jobs.submit(factory, request(DocumentRequest("picture", {"a": 1}, picture=wrong)))
    fields = {fault.field.removeprefix("documents[0].") for fault in caught.value.errors}
    assert fields == {"picture", "width_mm", "fit", "rotate", "dither"}
    with pytest.raises(Invalid):
        jobs.submit(factory, request(picture(b"no picture at all")))
    with pytest.raises(Invalid):
        jobs.submit(factory, request(picture(b"")))
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM documents").scalar() == 0


def test_a_reprint_of_a_picture_is_the_picture(jobs: PrintJobs, factory, database):
    """W8: counted; nothing can be written on a finished picture."""
    from labelsvc.printing import LabelState

    job = jobs.submit(factory, request(picture(barcode_png())))
    with database.transaction() as connection:
        assert journal.claim(connection, job.labels[0].id, b"x", None, database.now(), "spooler")
        journal.step(connection, job.labels[0].id, LabelState.SENT, database.now(), actor="spooler")
    again = jobs.reprint(factory, job.labels[0].id, "torn", "r1")
    assert again.labels[0].reprint_count == 1
    assert jobs.preview(factory, again.labels[0].id) == jobs.preview(factory, job.labels[0].id)


def test_erasure_takes_the_picture_too(jobs: PrintJobs, factory, database):
    """What a picture shows is personal data."""
    job = jobs.submit(factory, request(picture(barcode_png())))
    jobs.erase(database.now())
    with pytest.raises(Gone):
        jobs.pages(factory, job.labels[0].id)
    with database.reading() as connection:
        row = connection.exec_driver_sql("SELECT content, picture, images, area_text FROM documents").one()
        assert tuple(row) == (None, None, None, None)


def test_a_list_of_several_pages_is_one_label(jobs: PrintJobs, factory):
    """Its pages are counted, each can be looked at, and they leave in one piece."""
    job = jobs.submit(factory, request(DocumentRequest("list", {"rows": 9}, template_text=LIST)))
    (label,) = job.labels
    assert label.pages == len(jobs.pages(factory, label.id)) == 3
    second = Image.open(io.BytesIO(jobs.preview(factory, label.id, 2)))
    assert second.size == (608, 320)
    with pytest.raises(NotFound):
        jobs.preview(factory, label.id, 5)


def test_documents_know_their_number(jobs: PrintJobs, factory):
    """CNPL's _context: the number of a document, of how many; the same when it is rendered again."""
    text = '<page width="76" height="20"><text width="70" height="8" value="<%= _context.documentNumber() %>/<%= _context.documentCount() %>"/></page>'
    document = DocumentRequest("own", {}, template_text=text)
    job = jobs.submit(factory, request(document, document, document))
    said = [jobs.pages(factory, label.id)[0].marks[0].text for label in job.labels]
    assert said == ["1/3", "2/3", "3/3"]


def test_a_job_tells_how_well_its_barcodes_scan(jobs: PrintJobs, factory):
    """The quality report: geometry of every symbol, and nothing of what it says."""
    text = '<page width="76" height="30"><barcode left="2" top="2" width="72" height="15" type="code128" value="YT0012345678901"/></page>'
    job = jobs.submit(factory, request(DocumentRequest("own", {}, template_text=text)))
    assert [(grade.document_no, grade.grade) for grade in job.grades] == [(1, "A")]
    (symbol,) = jobs.quality(factory, job.labels[0].id)
    assert (symbol["kind"], symbol["grade"], symbol["module_mm"]) == ("code128", "A", 0.375)
    assert "YT0012345678901" not in str(symbol)
    assert jobs.get(factory, job.id).grades == job.grades


def test_a_large_job_doesnt_keep_its_bytes(jobs: PrintJobs, factory):
    """Only what is printed first stays in memory: the rest is rendered again at its turn."""
    text = '<page width="50" height="20"><text width="40" height="8" value="<%= _data.n %>"/></page>'
    documents = tuple(DocumentRequest("own", {"n": str(n)}, template_text=text) for n in range(60))
    job = jobs.submit(factory, request(*documents))
    assert len(job.labels) == 60
    assert len(jobs.rendering._results) == 32


# ---------------------------------------------------------------- over the API


@pytest.fixture
def house(tmp_path: Path):
    """An app on real rooms."""
    found = House(build(tmp_path))
    yield found
    found.rooms.database.close()


def test_the_api_takes_a_picture(house: House, tmp_path: Path):
    """POST /jobs with a base64 PNG; the answer has the quality report and the pages."""
    api = house.caller("云上小店")
    api("POST", "/printers", {"name": "p", "uri": f"file://{tmp_path}", "profile": "file-zpl-203"})
    wanted = {
        "template": "logo",
        "picture": {
            "content_base64": base64.b64encode(barcode_png()).decode(),
            "width_mm": 76,
            "height_mm": 30,
        },
    }
    answer = api("POST", "/jobs", {"printer": "p", "documents": [wanted]}, key="k1")
    assert answer.status_code == 201, answer.text
    assert answer.json["labels"][0]["pages"] == 1
    assert answer.json["grades"] == []  # a picture's barcodes are dots like all others
    label = answer.json["labels"][0]["id"]
    assert api("GET", f"/labels/{label}/quality").json == {"items": []}
    waybill = {"template": "waybill-76x130", "data": label_data()}
    job = api("POST", "/jobs", {"printer": "p", "documents": [waybill]}, key="k0").json
    assert job["grades"] == [{"document_no": 1, "grade": "B"}]  # the second number's bars are two dots wide
    report = api("GET", f"/labels/{job['labels'][0]['id']}/quality").json["items"]
    assert [symbol["kind"] for symbol in report] == ["code128", "code128", "qrcode"]
    assert all(symbol["quiet"]["left"] >= symbol["quiet_needed"]["left"] for symbol in report)
    wanted["picture"]["content_base64"] = "!!!!"
    wrong = api("POST", "/jobs", {"printer": "p", "documents": [wanted]}, key="k2")
    assert wrong.status_code == 422 and "base64" in wrong.text
