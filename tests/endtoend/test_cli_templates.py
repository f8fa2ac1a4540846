"""The commands for people who write templates: list, new, check, render."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from labelsvc import cli

BAD = """<page width="50" height="30">
<text left="1" top="1" width="30" height="3" value="<%= _data.name %> and more than fits into so little"/>
</page>"""
FOREIGN = """<page width="60" height="40" splitable="true" xmlns="http://cloudprint.cainiao.com/print">
<layout left="1" top="1" width="58"><table width="58">
<% for (var i = 0; i < _data.rows.length; i++) { %><tr><td width="58" height="9"><%= _data.rows[i].name %></td></tr><% } %>
</table></layout></page>"""


class Typed:
    """Runs a command as it was typed, in a directory of its own."""

    def __init__(self, capsys, monkeypatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self.status = 0
        self.complaint = ""

    def __call__(self, *words: str, stdin: object = None) -> str:
        self._monkeypatch.setattr(sys, "argv", ["labelsvc", "templates", *words])
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(stdin)))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        self.status = end.value.code or 0
        out, self.complaint = self._capsys.readouterr()
        return out


@pytest.fixture
def typed(tmp_path: Path, capsys, monkeypatch) -> Typed:
    """A person in an empty directory, with no service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABELSVC_STATE_DIR", str(tmp_path / "state"))
    return Typed(capsys, monkeypatch)


def test_a_template_is_begun_checked_and_drawn(typed: Typed, tmp_path: Path):
    """From nothing to a picture in three commands, none of which opens a database."""
    assert typed("new", "mine", "--size", "100x150") == "file=mine.xml\n"
    assert (typed("check", "mine.xml"), typed.status) == ("", 0)
    assert "warnings" not in typed("render", "mine.xml")
    with Image.open("mine.png") as picture:
        assert picture.size == (800, 1200)
        assert 0.005 < 1 - sum(picture.convert("1").tobytes().count(one) for one in b"\xff") / 120_000 < 0.5
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("name", "word"), [("pick-list", "B1129-01"), ("slip-58", "261129-000000000001")])
def test_a_standard_template_is_drawn_with_a_sample(typed: Typed, name: str, word: str):
    """Lists and slips say something sensible without data of one's own."""
    assert "warnings" not in typed("render", name, "--language", "zpl")
    assert word in Path(f"{name}.zpl").read_text(errors="replace").replace(">", "")


def test_a_file_that_is_there_stays(typed: Typed):
    """A starter never writes over someone's work."""
    Path("mine.xml").write_text("work")
    typed("new", "mine", "--size", "100x180")
    assert (typed.status, Path("mine.xml").read_text()) == (2, "work")
    typed("new", "mine", "--size", "100×180", "--out", "other.xml")
    assert (typed.status, Path("other.xml").exists()) == (0, True)
    for size in ("100", "ax3", "10x10", "100x99999"):
        typed("new", "x", "--size", size)
        assert (typed.status, "size" in typed.complaint) == (2, True)


def test_faults_are_told_by_file_line_and_element(typed: Typed):
    """As compilers do; exit status 2 for a template that can't be used, 0 for warnings; every file is looked at."""
    for name, text in (
        ("a.xml", '<page width="50" height="30">\n\n<bogus/></page>'),
        ("b.xml", '<page width="50" height="30">\n<text labelsvc:name="the name" xmlns:labelsvc="urn:labelsvc:template"\nstyle="fontSize:big"/></page>'),
        ("c.xml", '<page width="50" height="30"><text>\n<%= _data.x + %></text></page>'),
        ("d.xml", BAD),
        ("e.xml", FOREIGN),
        ("f.xml", '<page width="9" height="9">\n<% _data.a.b.c() %></page>'),
        ("g.xml", '<page width="50" height="30">'),
    ):  # fmt: skip
        Path(name).write_text(text)
    lines = typed("check", *(f"{name}.xml" for name in "abcdefg")).splitlines()
    assert typed.status == 2
    assert lines[:3] == [
        "a.xml:3: bogus: is not an element of CNPL",
        "b.xml:2: the name: style fontSize is not a measure",
        "c.xml:2: script: SyntaxError: unexpected token in expression: ')'",
    ]
    assert lines[3] == "d.xml:2: text: warning: The text doesn't fit its box"
    assert lines[4:] == [
        "f.xml:2: script: warning: with sample data, TypeError: not a function",
        "g.xml:1: template: not well-formed XML (no element found)",
    ]
    (found,) = json.loads(typed("check", "--json", "a.xml"))
    assert found == {
        "file": "a.xml", "line": 3, "element": "bogus", "code": "template.invalid", "reason": "is not an element of CNPL",
        "severity": "error",
    }  # fmt: skip
    typed("check", "d.xml", "e.xml", "f.xml")
    assert typed.status == 0


def test_a_check_with_data_means_it(typed: Typed):
    """With a label's own data, what goes wrong is an error of this label."""
    Path("f.xml").write_text('<page width="9" height="9">\n<% _data.a.b.c() %></page>')
    assert typed("check", "f.xml", "--data", "-", stdin={"a": {}}) == (
        "f.xml:2: script: TypeError: cannot read property 'c' of undefined\n"
    )
    assert typed.status == 2
    for wrong in ([1], "x"):
        typed("check", "f.xml", "--data", "-", stdin=wrong)
        assert (typed.status, "data" in typed.complaint) == (2, True)
    typed("check", "nothing.xml")
    assert (typed.status, "can't be read" in typed.complaint) == (2, True)


def test_labels_are_drawn_in_any_language(typed: Typed):
    """A standard template by name, or a file; with data; as bytes of a printer, as document, as pictures of each page."""
    said = json.loads(typed("render", "waybill-76x130", "--language", "zpl", "--dpi", "300", "--json"))
    assert (said["files"], said["pages"], said["width_mm"]) == (["waybill-76x130.zpl"], 1, 76)
    assert Path("waybill-76x130.zpl").read_bytes().rstrip().endswith(b"^XZ")
    Path("e.xml").write_text(FOREIGN)
    rows = {"rows": [{"name": f"茶 {n}"} for n in range(9)]}
    said = json.loads(typed("render", "e.xml", "--data", "-", "--json", stdin=rows))
    assert said["files"] == [f"e-{n}.png" for n in range(1, said["pages"] + 1)]
    assert said["pages"] > 1
    assert all(Path(file).read_bytes().startswith(b"\x89PNG") for file in said["files"])
    said = json.loads(
        typed("render", "e.xml", "--data", "-", "--language", "pdf", "--out", "x.pdf", "--json", stdin=rows)
    )
    assert (said["files"], Path("x.pdf").read_bytes()[:5]) == (["x.pdf"], b"%PDF-")
    Path("d.xml").write_text(BAD)
    assert "text line 2: The text doesn't fit its box [text.overflow]" in typed("render", "d.xml")


def test_a_custom_area_is_seen_in_its_place(typed: Typed):
    """T6: a store's area is drawn into the place that a template has for it, or alone; a page is no area."""
    typed("new", "mine", "--size", "100x180")
    Path("area.xml").write_text(
        '<layout width="90" height="20"><rect width="90" height="20" style="fillColor:#000000"/></layout>'
    )
    typed("render", "mine.xml", "--out", "without.png")
    typed("render", "mine.xml", "--area", "area.xml", "--out", "with.png")
    with Image.open("without.png") as without, Image.open("with.png") as filled:
        dark = [one.convert("L").histogram()[0] for one in (without, filled)]
    assert dark[1] - dark[0] > 0.9 * 720 * 160
    typed("render", "area.xml")
    with Image.open("area.png") as alone:
        assert alone.size == (720, 160)
    typed("render", "mine.xml", "--area", "mine.xml")
    assert (typed.status, "layout" in typed.complaint) == (2, True)


def test_what_can_not_be_drawn_leaves_no_file(typed: Typed):
    """Unknown template, language or resolution, a place that can't be written to: a word and a status, no half file."""
    for words, status in (
        (("render", "nothing"), 3), (("render", "nothing.xml"), 2), (("render", "waybill-76x130", "--language", "prn"), 2),
        (("render", "waybill-76x130", "--dpi", "72"), 2), (("render", "waybill-76x130", "--out", "no/such/dir.png"), 2),
    ):  # fmt: skip
        typed(*words)
        assert (typed.status, bool(typed.complaint)) == (status, True), words
    assert not list(Path().glob("*.p*"))


def test_the_standard_templates_are_listed(typed: Typed):
    """With their sizes."""
    assert "name=waybill-76x130  width_mm=76.0  height_mm=130.0\n" in typed("list")
