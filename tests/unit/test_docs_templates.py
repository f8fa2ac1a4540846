"""docs/templates.md says what the code does: its examples work, its pictures are theirs, its tables are complete and right."""

import re

import pytest
from support import pictures
from support.pictures import PAGE

from labelsvc.labels import DOTS_PER_MM, StandardTemplates
from labelsvc.labels.cnpl import ATTRIBUTES, BARCODE_TYPES, DEFAULT, NEEDED, OWN_ATTRIBUTES, STYLES
from labelsvc.labels.images import MAX_IMAGE_PIXELS
from labelsvc.labels.layout import MAX_PAGES
from labelsvc.labels.script import MAX_PIECES
from labelsvc.labels.symbols import KINDS
from labelsvc.labels.template import MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, MAX_PAGE_MM
from labelsvc.labels.text import LONGEST
from labelsvc.settings import Settings
from labelsvc.waybills import sample_label, sample_list
from labelsvc.waybills.logos import MAX_LOGO_BYTES
from labelsvc.web.codes import is_listed

TEXT = PAGE.read_text("utf-8")
EXAMPLES = pictures.examples()
#: What an example shows on purpose.
SHOWN = {"fitting": {"text.overflow"}, "missing": {"glyph.missing"}}
#: Errors of fonts for printers' memories.
NOT_OF_TEMPLATES = {"font.name", "font.format"}


def table(heading):
    """The rows of the table whose heading begins so: cells without the marks of code."""
    lines = iter(TEXT.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def codes(cell):
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"line-{one.line}" for one in EXAMPLES])
def test_every_example_works(example):
    """It is read and composed, without a warning but those that it is there to show."""
    warned = {warning.code for page in example.pages() for warning in page.warnings}
    after = "\n".join(TEXT.splitlines()[example.line :])
    name = re.search(r'<img src="pictures/([\w-]+)\.png"', after)[1]
    assert warned == SHOWN.get(name, set())


def test_no_block_escapes():
    """What looks like a template is an example, so that this test sees it."""
    assert len(EXAMPLES) == TEXT.count("\n```xml") > 9
    assert not re.findall(r"^```(?!xml|json|$)", TEXT, re.MULTILINE)


def test_every_picture_is_what_its_source_draws():
    """None is missing, stale, unused, large, or of more than one bit; every standard template has one."""
    assert pictures.faults() == []
    assert set(StandardTemplates().names()) <= set(pictures.sources())


def test_a_picture_that_differs_by_a_dot_is_told(tmp_path, monkeypatch):
    """The comparison sees a single dot, and a stranger."""
    name = "missing"
    picture = pictures.sources()[name]()
    monkeypatch.setattr(pictures, "FOLDER", tmp_path)
    monkeypatch.setattr(pictures, "sources", lambda: {name: lambda: picture})
    assert pictures.faults() == [f"{name}.png is missing"]
    (tmp_path / f"{name}.png").write_bytes(pictures.encoded(picture))
    assert pictures.faults() == []
    changed = picture.copy()
    changed.putpixel((9, 9), 255 - changed.getpixel((9, 9)))
    (tmp_path / f"{name}.png").write_bytes(pictures.encoded(changed))
    (tmp_path / "other.png").write_bytes(pictures.encoded(changed))
    assert pictures.faults() == ["other.png isn't shown", f"{name}.png isn't what its source draws"]


def test_every_element_and_attribute_stands_in_the_table():
    """With all that it has beside its box, and what it needs."""
    box = {"left", "top", "width", "height"}
    rows = {name: row for row in table("element") for name in codes(row[0])}
    assert rows.keys() == ATTRIBUTES.keys()
    for name, attributes in ATTRIBUTES.items():
        said = set(codes(rows[name][2]))
        # Of what is drawn, the place goes without saying.
        wanted = set(attributes) - (box if box <= attributes.keys() else set())
        assert said == wanted, name
        needed = rows[name][2].split("(needed")[0]
        assert set(NEEDED.get(name, ())) == (set(codes(needed)) if "(needed" in rows[name][2] else set()), (
            name
        )


def test_every_style_property_stands_in_the_table_as_it_is():
    """Its default, and whether it is inherited, as the code has them."""
    rows = {name: row for row in table("property") for name in codes(row[0])}
    assert rows.keys() == STYLES.keys()
    for name, known in STYLES.items():
        _, _, default, inherited, _ = rows[name]
        assert inherited == ("yes" if known.inherits else "no"), name
        value = getattr(DEFAULT, known.sets)
        assert value in (None, "") if default == "–" else known.read(default.strip("`")) == value, name


def test_our_own_attributes_stand_in_the_table():
    """All of them."""
    assert {codes(row[0])[0] for row in table("attribute")} == {f"labelsvc:{name}" for name in OWN_ATTRIBUTES}


def test_every_type_of_barcode_stands_in_the_table_as_it_is():
    """Its narrowest module at each resolution and its quiet zones."""
    rows = {codes(row[0])[0]: row for row in table("type")}
    assert rows.keys() == set(BARCODE_TYPES)
    for name, (_, title, narrowest, quiet, _) in rows.items():
        kind = KINDS[name]
        assert title == kind.title
        assert narrowest.split() == [
            str(max(1, round(kind.smallest_mm * scale))) for scale in DOTS_PER_MM.values()
        ]
        assert quiet == f"{kind.quiet_left} / {kind.quiet_right} / {kind.quiet_around}", name


def test_every_code_is_told():
    """The warnings and errors that the room of labels gives, and no others."""
    warnings, errors = set(), {"template.invalid"}
    for file in (pictures.ROOT / "labelsvc" / "labels").rglob("*.py"):
        text = file.read_text("utf-8")
        warnings |= set(re.findall(r'(?:\.warn\(|PageWarning\()\s*"([a-z]+\.[a-z_]+)"', text))
        errors |= set(re.findall(r'(?:code=|unfit\([^"]*"[^"]*", |[^(]detail, )"([a-z]+\.[a-z_]+)"', text))
    assert warnings == {code for row in table("warning") for code in codes(row[0])}
    named = {code for row in table("error") for code in codes(row[0])}
    assert errors - named <= NOT_OF_TEMPLATES and named <= errors | {"barcode.does_not_fit"}
    assert all(map(is_listed, named))


def leaves(data, way="_data"):
    """Every path of data that holds a value; of a list its first item's."""
    if isinstance(data, dict):
        return {path for key, inner in data.items() for path in leaves(inner, f"{way}.{key}")}
    return leaves(data[0], f"{way}[0]") if isinstance(data, list) else {way}


@pytest.mark.parametrize("sample", [sample_label(), sample_list()], ids=["label", "list"])
def test_every_path_of_the_data_is_named(sample):
    """The last name of each path stands in the page, as code."""
    named = set(
        re.findall(r"[\w$]+", " ".join(codes(TEXT[TEXT.index("## Data") : TEXT.index("## Scripts\n")])))
    )
    missing = {key for path in leaves(sample) for key in re.findall(r"[^\W\d]\w*", path)} - named
    assert missing == set()


def test_limits_and_settings_are_the_codes():
    """Figures that stand in the text, and settings that it names."""
    assert f"{MAX_BYTES // 1024} KiB, {MAX_DEPTH} levels, {MAX_ELEMENTS:,} elements" in TEXT
    assert f"{MAX_PAGE_MM:,.0f} mm a side" in TEXT and f"A label: {MAX_PAGES} pages" in TEXT
    assert (
        f"{LONGEST:,}" in TEXT.replace("\n", " ")
        and f"{MAX_IMAGE_PIXELS // 1_000_000} million pixels" in TEXT
    )
    assert f"{MAX_PIECES:,} pieces" in TEXT and f"at most {MAX_LOGO_BYTES // 1024} kB" in TEXT
    assert "logo_folder" in Settings.model_fields
