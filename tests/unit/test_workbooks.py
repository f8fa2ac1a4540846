"""Workbooks that strangers hand in: read as they were meant, and refused before they cost anything."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
import xlsxwriter

from labelsvc.errors import Invalid
from labelsvc.waybills.workbooks import first_sheet

HEAD = '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TAIL = "</sheetData></worksheet>"
STRINGS = (
    '<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</sst>'
)


def _workbook(*rows):
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for row, cells in rows:
            for at, cell in enumerate(cells):
                if cell != "":
                    sheet.write(row - 1, at, cell)
        book.add_worksheet("second").write(0, 0, "not this one")
    return file.getvalue()


def _rewritten(sheet, strings=None):
    """A workbook whose first sheet, and table of texts, are these."""
    content, source = io.BytesIO(), zipfile.ZipFile(io.BytesIO(_workbook((1, ["x"]))))
    parts = {"xl/worksheets/sheet1.xml": sheet, "xl/sharedStrings.xml": strings}
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        for name in source.namelist():
            package.writestr(name, parts.get(name) or source.read(name))
    return content.getvalue()


def test_cells_keep_their_places_and_kinds():
    """Texts, numbers, truths and gaps of the first sheet; blanks at the ends are no part of a text."""
    content = _workbook((1, [" 订单号 ", "", "数量"]), (3, ["A<1>", 7, 2.5, True]))
    assert first_sheet(content, 10) == [["订单号", "", "数量"], [], ["A<1>", 7.0, 2.5, True]]


def test_texts_of_every_writer_are_read():
    """In the table, in pieces, with a reading beside them, in the cell itself, of a formula; places may be left out."""
    strings = STRINGS.format("<si><r><t>云</t></r><r><t>上</t></r><rPh><t>yun</t></rPh></si>")
    sheet = (
        f'{HEAD}<row><c t="s"><v>0</v></c><c t="inlineStr"><is><t>小</t></is></c><c t="str"><f>A1</f><v>店</v></c>'
        f'<c><v></v></c></row><row r="3"><c r="B3" t="e"><v>#N/A</v></c></row>{TAIL}'
    )
    assert first_sheet(_rewritten(sheet, strings), 10) == [["云上", "小", "店"], [], ["", "#N/A"]]


def test_a_cell_in_the_last_corner_costs_nothing():
    """A hundred bytes that span 17 thousand million cells: the empty ones aren't made, nor far columns kept."""
    sheet = (
        f'{HEAD}<row r="1"><c r="A1"><v>1</v></c></row>'
        f'<row r="1048576"><c r="A1048576"><v>2</v></c><c r="XFD1048576"><v>3</v></c></row>{TAIL}'
    )
    found = first_sheet(_rewritten(sheet), 10)
    assert (len(found), found[0], found[-1]) == (1_048_576, [1.0], [2.0])
    assert len({id(row) for row in found[1:-1]}) == 1


def test_one_long_text_in_many_cells_is_refused():
    """Each cell is a few bytes in the file and thousands once it is read."""
    strings = STRINGS.format(f"<si><t>{'x' * 30_000}</t></si>")
    cells = '<c t="s"><v>0</v></c>' * 200
    sheet = HEAD + "".join(f"<row>{cells}</row>" for _ in range(50)) + TAIL
    with pytest.raises(Invalid) as refused:
        first_sheet(_rewritten(sheet, strings), 100)
    assert refused.value.code == "file.size"


def test_a_part_that_unpacks_to_too_much_is_refused():
    """A zip bomb, whether or not its directory tells the truth."""
    honest = _rewritten(HEAD + " " * (33 * 1024 * 1024) + TAIL)
    with pytest.raises(Invalid) as refused:
        first_sheet(honest, 10)
    assert refused.value.code == "file.size"
    size = len(HEAD + " " * (33 * 1024 * 1024) + TAIL)
    lying = honest.replace(struct.pack("<I", size), struct.pack("<I", 100))
    assert lying != honest
    with pytest.raises(Invalid):
        first_sheet(lying, 10)


def test_too_many_rows_are_refused():
    """Rows without values don't count."""
    sheet = HEAD + "<row/>" * 50 + "<row><c><v>1</v></c></row>" * 3 + TAIL
    assert len(first_sheet(_rewritten(sheet), 3)) == 53
    with pytest.raises(Invalid) as refused:
        first_sheet(_rewritten(sheet), 2)
    assert refused.value.code == "file.size"


@pytest.mark.parametrize(
    "sheet",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><worksheet>&b;</worksheet>',
        HEAD,
        f'{HEAD}<row r="0"><c><v>1</v></c></row>{TAIL}',
        f'{HEAD}<row r="2000000"><c><v>1</v></c></row>{TAIL}',
        f'{HEAD}<row r="x"><c><v>1</v></c></row>{TAIL}',
        f'{HEAD}<row r="2"><c><v>1</v></c></row><row r="1"><c><v>1</v></c></row>{TAIL}',
        f"{HEAD}<row><c><v>seven</v></c></row>{TAIL}",
        f"{HEAD}<row><c><v>1e999</v></c></row>{TAIL}",
        f"{HEAD}<row><c><v>nan</v></c></row>{TAIL}",
        f'{HEAD}<row><c t="s"><v>9</v></c></row>{TAIL}',
        f'{HEAD}<row><c t="s"><v>-1</v></c></row>{TAIL}',
    ],
    ids=["entities", "cut", "row-0", "row-far", "row-x", "backwards", "words", "endless", "nan", "no-text", "before"],
)  # fmt: skip
def test_a_sheet_that_is_wrong_is_refused(sheet):
    """Whatever is in it, the answer is that the file can't be read."""
    with pytest.raises(Invalid) as refused:
        first_sheet(_rewritten(sheet), 10)
    assert refused.value.code == "file.unreadable"
    assert [fault.field for fault in refused.value.errors] == ["file"]


@pytest.mark.parametrize("cut", [0, 4, 100, 2000])
def test_a_file_that_is_no_workbook_is_refused(cut):
    """Cut, or another kind of archive."""
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as package:
        package.writestr("readme.txt", "x")
    for content in (_workbook((1, ["x"]))[:cut], other.getvalue()):
        with pytest.raises(Invalid) as refused:
            first_sheet(content, 10)
        assert refused.value.code == "file.unreadable"
