"""Text that is shaped: joined letters, stacks, marks, emoji, and text that runs from right to left."""

import bidi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from labelsvc.labels import fonts, shaping
from labelsvc.labels import text as texts

UYGHUR_NAMES = ("ئەركىن تۇرسۇن", "قېيۇم ئابدۇللا", "گۈلنار ھۈسەيىن", "مەمەتجان ژۈسۈپ", "پەرىدە چوڭ ۋاڭ ئۆمەر")
TIBETAN_NAMES = ("བསོད་ནམས་རྡོ་རྗེ", "བཀྲ་ཤིས་ཚེ་རིང་", "སྒྲོལ་མ", "ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ", "རྒྱལ་མཚན")
_RAQM = {"layout_engine": ImageFont.Layout.RAQM}

# Letters of every family of the chain, marks, digits, brackets, emoji parts, and a character that no font has.
MIXED = st.text(
    "浙江 省，（）abĄЁẤگڭېۇەن،١٢12-.བསྐྲོ་།གྱཾm\u0302か\u309a\u064b\u0301😀👩\u200d🚀🏽🇨🇳❤1\u20e3✗한𠮷𬞞ก\n",
    max_size=40,
)


def _setter(width=400, height=400, wrap=True, direction="ltr", spacing=0, weight=500):
    return texts.Setter(
        width, height, wrap, 1.2, lambda size: weight, lambda size: spacing, True, direction=direction
    )


def _line(text, size=40, **options):
    return _setter(10_000, 10_000, wrap=False, **options).fit(text, size, size).lines[0]


def _inks(line, size, spacing=0):
    """The pictures of a line's runs, each from (0, 0) of the line's pen on the baseline."""
    for run in line.runs:
        if run.glyphs:
            yield run.x, fonts.ink_of_run(run.face, size, run.glyphs)
            continue
        pen = float(run.x)
        for char in run.text:
            if char not in line.missing:
                yield round(pen), fonts.ink(run.face, size, char)
            pen += fonts.face(run.face).advance(char, size) + spacing


def _drawn(line, size, left=0, up=0):
    """The line on a field of its own: the pen begins ``left`` dots from the side, on a baseline ``up`` dots from the top."""
    field = np.zeros((3 * size, line.width + 2 * size), bool)
    for x, ink in _inks(line, size):
        if ink is not None:
            top, start = up + ink.top, left + x + ink.left
            field[top : top + ink.rows.shape[0], start : start + ink.rows.shape[1]] |= ink.rows
    return field


def _bodies(field):
    """How many pieces of ink hang together, diagonals counted."""
    left, count = {(int(y), int(x)) for y, x in zip(*np.nonzero(field), strict=True)}, 0
    while left:
        count += 1
        edge = [left.pop()]
        while edge:
            y, x = edge.pop()
            near = {(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            edge += near
    return count


def test_ordinary_text_is_never_shaped(monkeypatch):
    """Chinese, Latin, Russian, Japanese, Korean, single emoji: one test of the text tells, and HarfBuzz isn't asked."""
    monkeypatch.setattr(shaping, "Paragraph", None)
    for text in (
        "浙江省杭州市余杭区文一西路969号",
        "Unit 12, WAVE",
        "Ёжик Ấn é",
        "東京とカナガ",
        "한국",
        "😀✗",
        "𠮷㛃䶮𬭎𬞞",
    ):
        assert not shaping.needed(text)
        assert not _setter().fit(text, 20, 10).lines[0].runs[0].glyphs


@pytest.mark.parametrize("letter", "ئاەبپتجچخدرزژسشغفقكگڭلمنھوۇۆۈۋېىي")
def test_every_uyghur_letter_has_a_glyph(letter):
    """The alphabet of Uyghur names."""
    assert fonts.face_for(letter, 500).family == "arabic"
    assert not _line(letter).missing


@pytest.mark.parametrize(("family", "name"), [
    *(("arabic", name) for name in UYGHUR_NAMES), *(("tibetan", name) for name in TIBETAN_NAMES)
])  # fmt: skip
def test_a_shaped_line_is_drawn_as_another_engine_draws_it(family, name):
    """Raqm in Pillow (its own HarfBuzz, FriBidi and FreeType) puts the same ink at the same place, but for edges and its
    rounding of each pen position."""
    size = 160
    line = _line(name, size, weight=400)
    (run,) = line.runs
    face = fonts.face(run.face)
    assert (face.family, run.text) == (family, name)
    font = ImageFont.truetype(str(face.path), size * face.percent / 100, **_RAQM)
    theirs = Image.new("L", (line.width + 2 * size, 3 * size))
    # Where the script was raised to stay in its line box, so is the other engine's line.
    rise = min(glyph.y for glyph in run.glyphs) - _lowest(font, name, face, size)
    where = (size // 2, 2 * size - round(rise))
    ImageDraw.Draw(theirs).text(
        where, name, font=font, anchor="ls", fill=255, language="ug" if family == "arabic" else "bo"
    )
    ours = Image.fromarray(np.where(_drawn(line, size, size // 2, 2 * size), 255, 0).astype("uint8"))
    theirs = theirs.point(lambda cover: 255 if cover >= 112 else 0)
    assert line.width == pytest.approx(font.getlength(name), abs=6)
    for inner, outer in ((ours, theirs), (theirs, ours)):
        near = np.asarray(outer.filter(ImageFilter.MaxFilter(9)))
        assert not (np.asarray(inner) & ~near).any()


def _lowest(font, name, face, size):
    """The least y of the glyphs' places without any raising."""
    places = shaping._shape(f"{face.family}-{face.weight}", name, face.family == "arabic")
    return min(place.up for place in places) * size / face.units_per_em


def test_uyghur_letters_are_joined():
    """A word of letters that all join is one body of ink (with its dots), also at the size of a label, and not one a letter."""
    for size in (20, 24, 33):
        joined = _bodies(_drawn(_line("مەھسۇل", size, weight=400), size, size, 2 * size))
        apart = sum(_bodies(_drawn(_line(char, size, weight=400), size, size, 2 * size)) for char in "مەھسۇل")
        assert joined < apart
        assert _bodies(_drawn(_line("سسسسسس", size, weight=400), size, size, 2 * size)) == 1


def test_uyghur_runs_from_right_to_left():
    """The first letter stands rightmost; the text stays in reading order."""
    line = _line("بن")
    (run,) = line.runs
    assert run.text == "بن"
    clusters = [glyph.cluster for glyph in shaping._shape("arabic-500", "بن", True)]
    places = [glyph.x for glyph in run.glyphs]
    assert min(place for place, cluster in zip(places, clusters, strict=True) if cluster == 0) > 10
    assert min(places) < 10


def test_a_name_from_right_to_left_stands_among_chinese_as_read():
    """Chinese, name, digits from left to right; within the name from right to left."""
    line = _line("收件人 ئەركىن تۇرسۇن 先生 12")
    assert "".join(run.text for run in line.runs) == "收件人 ئەركىن تۇرسۇن 先生 12"
    assert [run.x for run in line.runs] == sorted(run.x for run in line.runs)
    assert "".join(run.text for run in line.runs if run.glyphs).strip() == "ئەركىن تۇرسۇن"
    # A number after such a name goes on where the eye goes on: at its left (rule W2 of the algorithm).
    assert [run.text.strip() for run in _line("收件人 ئەركىن 138").runs if run.text.strip()] == [
        "收件人",
        "138",
        "ئەركىن",
    ]


def test_direction_rtl_turns_the_order_of_a_line_and_no_word():
    """CNPL's direction: the base of the line; Latin and Chinese words stay readable, brackets look the right way."""
    line = _line("ئەركىن (Erkin) 12", direction="rtl")
    assert [run.text for run in line.runs] == ["12", ") ", "Erkin", "ئەركىن ("]
    plain = _line("收件人，abc。", direction="rtl")
    assert [run.text for run in plain.runs] == ["。", "收件人，abc"]
    # The bracket that opens the word in reading order stands on its right and is drawn as the other one.
    gids = {glyph.gid for run in _line("(ب", direction="rtl").runs for glyph in run.glyphs}
    assert fonts.face("sans-500").gid(")") in gids or fonts.face("arabic-500").gid(")") in gids


@settings(max_examples=200, deadline=None)
@given(st.text("ادرو١٢12 -.,张aB!:/+%()[]（）", max_size=20), st.sampled_from([0, 1]))
def test_the_order_on_paper_is_that_of_the_bidirectional_algorithm(text, base):
    """The glyphs from left to right are those of the text as another implementation displays it (these letters don't join)."""
    shown = ""
    for run in _line(text, direction="rtl" if base else "ltr").runs:
        face = fonts.face(run.face)
        chars = {face.gid(char): char for char in run.text + "()[]（）"}
        shown += "".join(chars[glyph.gid] for glyph in run.glyphs) if run.glyphs else run.text
    # That one leaves brackets unturned; which way they look is tested above.
    alike = str.maketrans(")]）", "([（")
    assert shown.translate(alike) == bidi.get_display(text, base_dir="LR"[base]).translate(alike)


def test_tibetan_letters_are_stacked():
    """A stack takes the room of one letter, and goes deeper."""
    single, stack = _line("ག", 100), _line("སྒྲོ", 100)
    assert stack.width < 1.5 * single.width
    shares = [fonts.face(line.runs[0].face).percent for line in (single, stack)]
    assert shares[1] < 0.8 * shares[0]


def test_tibetan_breaks_after_the_point_of_a_syllable():
    """Every line but the last ends with a point; none begins with a point or a stroke; nothing is lost."""
    text = "བསོད་ནམས་རྡོ་རྗེ་བཀྲ་ཤིས་ཚེ་རིང་།"
    fitted = _setter(130).fit(text, 24, 24)
    lines = [line.text for line in fitted.lines]
    assert len(lines) > 1 and "".join(lines) == text
    assert all(line.endswith("་") for line in lines[:-1])
    assert not any(line[0] in "་།" for line in lines)
    assert all(line.width <= 130 for line in fitted.lines)


def test_uyghur_breaks_at_spaces():
    """Whole words, as wide as allowed."""
    text = "ئۈرۈمچى شەھىرى تەڭرىتاغ رايونى جەنۇبىي شىنخۇا يولى"
    fitted = _setter(240).fit(text, 24, 24)
    assert len(fitted.lines) > 1 and fitted.fits
    assert " ".join(line.text for line in fitted.lines) == text


def test_a_script_has_one_size_in_a_text():
    """Lines of a name don't differ in size for what their own letters reach."""
    fitted = _setter(240).fit("ئاتا ئانا ئاكا ئۇكا قېيۇم گۈلنار ئابدۇللا", 24, 24)
    faces = {run.face for line in fitted.lines for run in line.runs if run.glyphs}
    assert len(fitted.lines) > 1 and len(faces) == 1


def test_letter_spacing_leaves_joined_letters_joined():
    """Arabic letters aren't pulled apart; Tibetan syllables are."""
    assert _line("مەھسۇل", spacing=5).width == _line("مەھسۇل").width
    assert _line("ཀ་ཀ", spacing=5).width == _line("ཀ་ཀ").width + 10


@pytest.mark.parametrize("emoji", ["👨‍👩‍👧", "👩🏽‍🚀", "👍🏿", "🇨🇳", "1⃣", "❤‍🔥"])
def test_an_emoji_sequence_is_one_picture(emoji):
    """A family, a skin tone, a flag, a key: as wide as one emoji, with no part missing."""
    line = _line(emoji)
    assert not line.missing
    assert line.width == _line("😀").width
    (run,) = line.runs
    assert run.face == "emoji-500" and run.text == emoji


def test_a_sequence_that_the_font_lacks_falls_back_to_its_parts():
    """Two emoji joined by nobody: both are drawn."""
    line = _line("🍎‍🚚")
    assert not line.missing and line.width == 2 * _line("😀").width


def test_marks_that_do_not_compose_stand_over_their_letter():
    """Letter and mark from one font, the mark taking no room of its own."""
    marked, bare = _line("m\u0302", 100), _line("ŵm", 100)
    (run,) = marked.runs
    assert run.face.startswith("latin-500") and len(run.glyphs) == 2
    assert marked.width < bare.width
    ink = _drawn(marked, 100, 100, 200)
    assert ink[:200].any(axis=1).sum() > _drawn(_line("m", 100), 100, 100, 200)[:200].any(axis=1).sum()


def test_what_no_font_has_is_reported_within_shaped_text_too():
    """A Thai letter between Uyghur ones: reported, its place kept."""
    line = _line("ئەركىن กิ 𬞞")
    assert set(line.missing) == {"ก", "ิ", "𬞞"}
    assert not [run for run in line.runs if run.glyphs and set(run.text) & {"ก", "𬞞"}]


@settings(max_examples=150, deadline=None)
@given(MIXED, st.integers(40, 300), st.integers(12, 30), st.sampled_from(["ltr", "rtl"]), st.integers(0, 3))
def test_lines_hold_the_whole_text_and_keep_the_width(dirty, width, size, direction, spacing):
    """No character but spaces is lost or doubled, runs cover their line, and what is said to fit does."""
    text = texts.clean(dirty)
    fitted = _setter(width, 100_000, direction=direction, spacing=spacing).fit(text, size, size)
    whole = "".join(line.text for line in fitted.lines)
    assert whole.replace(" ", "") == text.replace(" ", "").replace("\n", "")
    for line in fitted.lines:
        assert sorted("".join(run.text for run in line.runs)) == sorted(line.text)
        assert [run.x for run in line.runs] == sorted(run.x for run in line.runs)
        assert not fitted.fits or line.width <= width
        assert set(line.missing) == {char for char in line.text if fonts.face_for(char, 500) is None} - {
            "\u200d"
        }


@settings(max_examples=100, deadline=None)
@given(MIXED, st.integers(10, 60), st.sampled_from(fonts.WEIGHTS))
def test_no_ink_leaves_its_line_box(dirty, size, weight):
    """Whatever scripts and stacks a line holds, its dots lie between the line box's top and bottom."""
    fitted = _setter(400, 10_000, weight=weight).fit(texts.clean(dirty), size, size)
    below = texts.line_height(size) - texts.baseline(size)
    for line in fitted.lines:
        for _, ink in _inks(line, size):
            if ink is not None:
                assert -ink.top <= texts.baseline(size)
                assert ink.top + ink.rows.shape[0] <= below


def test_a_tower_of_marks_stays_in_its_line():
    """Forty marks over a letter are drawn over each other rather than over the lines above."""
    line = _line("a" + "\u030d" * 40, 40)
    for _, ink in _inks(line, 40):
        assert -ink.top <= texts.baseline(40)


@settings(max_examples=40, deadline=None)
@given(MIXED, st.integers(10, 50))
def test_shaped_text_shrinks_to_the_largest_size_that_fits(dirty, size):
    """The search ends where trying size by size from the top would."""
    setter, text = _setter(150, 60), texts.clean(dirty)
    found = setter.fit(text, size, 8)
    tried = size
    while tried > 8 and not setter.fit(text, tried, tried).fits:
        tried -= 1
    assert found == setter.fit(text, tried, tried)


def test_a_cut_name_keeps_its_beginning():
    """The ellipsis follows what is left of the name in reading order, and the line fits."""
    cut = _setter(150, 40, wrap=False).cut("ئابدۇرېھىم ئۆتكۈر ئوغلى مۇھەممەت", 24)
    (line,) = cut.lines
    assert cut.fits and line.text.endswith("…") and "ئابدۇرېھىم ئۆتكۈر ئوغلى".startswith(line.text[:4])


def test_an_endless_shaped_text_costs_little():
    """A megabyte of letters is neither shaped nor measured whole."""
    fitted = _setter(200, 50).fit("س" * 1_000_000, 24, 20)
    assert not fitted.fits
    assert sum(len(line.text) for line in fitted.lines) <= texts.LONGEST + 1
