"""Fonts: coverage, measures, and the small static fonts cut for PDF."""

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFilter

from labelsvc.errors import NotFound
from labelsvc.labels import fonts


def _blackness(image):
    return sum(level * dots for level, dots in enumerate(image.histogram())) / 255


def _ink(key, char, size=64):
    image = Image.new("L", (2 * size, 2 * size))
    ImageDraw.Draw(image).text(
        (size // 2, 3 * size // 2), char, font=fonts.pil(key, size), anchor="ls", fill=255
    )
    return _blackness(image)


def test_importing_the_room_loads_no_font_library():
    """The daemon and the command line start without paying for fonts that they may not need."""
    code = "import sys, labelsvc.labels; print(sorted({'PIL','fontTools','numpy','uharfbuzz','zint','barcode'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("char", "key"),
    [("张", "sans-400"), ("㛃", "sans-400"), ("䶮", "sans-400"), ("𬭎", "sans-400"), ("𠮷", "jp-400"), ("𡋾", "tc-400"),
     ("한", "kr-400"), ("A", "sans-400")],
)  # fmt: skip
def test_rare_name_characters_have_a_face(char, key):
    """Characters of rare surnames are found along the chain of families."""
    assert fonts.face_for(char, 400).key == key


def test_a_character_that_no_font_has_is_known_as_such():
    """No face is claimed for it, and its width is the em of the box drawn in its place."""
    assert fonts.face_for("𬞞", 400) is None
    assert fonts.face("sans-400").advance("𬞞", 30) == 30


def test_an_unknown_face_is_not_found():
    """Keys are from a closed list."""
    for key in ("sans-100", "serif-400", "sans", "../etc-400"):
        with pytest.raises(NotFound):
            fonts.face(key)


def test_widths_are_those_of_the_picture_font():
    """Layout and Pillow agree on how long a line is, to a thousandth of an em a character, at each weight."""
    for weight in fonts.WEIGHTS:
        face = fonts.face(f"sans-{weight}")
        for text in ("浙江省杭州市", "WAVE Tokyo 13812345678", "A"):
            drawn = sum(fonts.pil(face.key, 1000).getlength(char) for char in text)
            assert face.width(text, 1000) == pytest.approx(drawn, abs=len(text))
    assert fonts.face("sans-400").width("AB", 20, letter_spacing=3) == pytest.approx(
        fonts.face("sans-400").width("AB", 20) + 3
    )


def test_weights_are_really_heavier():
    """The picture font is at its weight and not at the file's Thin default."""
    light, medium, bold = (_ink(f"sans-{weight}", "国") for weight in fonts.WEIGHTS)
    assert light * 1.05 < medium and medium * 1.1 < bold


@pytest.mark.parametrize(
    ("key", "chars"), [("sans-400", "𬭎㛃永A1 "), ("sans-700", "𬭎㛃永A1 "), ("jp-400", "𠮷")]
)
def test_a_subset_is_a_static_font_with_just_these_characters(key, chars):
    """True Unicode values, also beyond the BMP, the face's widths and weight, the original's vertical metrics."""
    content = fonts.subset_ttf(key, chars)
    font = TTFont(io.BytesIO(content))
    assert "fvar" not in font and "gvar" not in font
    assert set(font.getBestCmap()) == set(map(ord, chars))
    widths = {char: font["hmtx"][font.getBestCmap()[ord(char)]][0] for char in chars}
    assert widths == {char: fonts.face(key).units(char) for char in chars}
    original = TTFont(str(fonts.face(key).path), lazy=True)
    assert (font["hhea"].ascent, font["hhea"].descent) == (original["hhea"].ascent, original["hhea"].descent)
    assert font["name"].getDebugName(6) == fonts.face(key).postscript_name
    assert len(content) < 10_000
    assert content == fonts.subset_ttf(key, reversed(chars))


def _pasted(ink, size):
    """A glyph's dots on a field with the pen at (size // 2, 3 * size // 2)."""
    field = np.zeros((2 * size, 2 * size), bool)
    top, left = 3 * size // 2 + ink.top, size // 2 + ink.left
    field[top : top + ink.rows.shape[0], left : left + ink.rows.shape[1]] = ink.rows
    return field


@pytest.mark.parametrize("key", ["sans-400", "sans-700", "jp-500", "kr-400"])
@pytest.mark.parametrize("char", "国gÅ，一%")
def test_ink_lies_where_another_rasterizer_puts_it(key, char):
    """FreeType draws the same dots at the same place, but for those on an edge (its hinting moves edges by part of a dot)."""
    size = 200
    image = Image.new("L", (2 * size, 2 * size))
    ImageDraw.Draw(image).text(
        (size // 2, 3 * size // 2), char, font=fonts.pil(key, size), anchor="ls", fill=255
    )
    ours = Image.fromarray(np.where(_pasted(fonts.ink(key, size, char), size), 255, 0).astype("uint8"))
    theirs = image.point(lambda cover: 255 if cover >= 112 else 0)
    for inner, outer in ((ours, theirs), (theirs, ours)):
        near = outer.filter(ImageFilter.MaxFilter(3))
        assert not (np.asarray(inner) & ~np.asarray(near)).any()


def test_ink_is_cut_to_its_black_dots_and_cannot_be_changed():
    """No empty row or column at its edges; a caller can't spoil what the next one gets."""
    ink = fonts.ink("sans-400", 24, "国")
    for side in (ink.rows[0], ink.rows[-1], ink.rows[:, 0], ink.rows[:, -1]):
        assert side.any()
    with pytest.raises(ValueError, match="read-only"):
        ink.rows[0, 0] = True
    assert fonts.ink("sans-400", 24, "国") is ink


def test_what_has_no_ink_gives_none():
    """A space, and a character that the face lacks: its box is the language's to draw."""
    assert fonts.ink("sans-400", 24, " ") is None
    assert fonts.ink("sans-400", 24, "𠮷") is None
    assert fonts.ink("jp-400", 24, "𠮷") is not None


def test_italic_leans_to_the_right_about_the_baseline():
    """The top moves right by a fifth of its height, the foot stays."""
    upright, italic = fonts.ink("sans-400", 100, "l"), fonts.ink("sans-400", 100, "l", italic=True)
    assert upright.rows.shape[0] == italic.rows.shape[0]
    foot = [np.flatnonzero(each.rows[-1])[0] + each.left for each in (upright, italic)]
    head = [np.flatnonzero(each.rows[0])[0] + each.left for each in (upright, italic)]
    assert foot[1] - foot[0] in {0, 1}
    assert head[1] - head[0] == pytest.approx(-upright.top * fonts.SLANT, abs=1.5)


def test_a_run_is_drawn_as_its_glyphs_are():
    """On whole dots, a run's picture is its glyphs' pictures together."""
    face = fonts.face("sans-400")
    one, two = face.gid("国"), face.gid("王")
    run = fonts.ink_of_run("sans-400", 30, ((one, 0.0, 0.0), (two, 30.0, 0.0)))
    apart = [fonts.ink_of_glyph("sans-400", 30, gid) for gid in (one, two)]
    assert run.rows.sum() == sum(each.rows.sum() for each in apart)
    assert run.left == apart[0].left
    assert run.left + run.rows.shape[1] == 30 + apart[1].left + apart[1].rows.shape[1]
    lifted = fonts.ink_of_run("sans-400", 30, ((one, 2.0, 5.0),))
    assert (lifted.left, lifted.top) == (apart[0].left + 2, apart[0].top - 5)


def test_drawn_glyphs_take_bounded_memory():
    """What is kept stays under the limit; what was used lately is still the same object."""
    kept = fonts._Drawn(200_000)
    for number in range(300):
        kept.keep(number, fonts.Ink(0, 0, np.ones((40, 40), bool)))
    held = [*kept.young.values(), *kept.old.values()]
    assert 40 < len(held) < 100
    assert sum(ink.rows.nbytes for ink in held) <= 200_000
    assert 299 in kept.young


def test_a_subset_draws_what_the_face_draws(tmp_path):
    """The cut glyphs have the ink of the variable font at that weight."""
    from PIL import ImageFont

    for key in ("sans-400", "sans-700"):
        path = tmp_path / f"{key}.ttf"
        path.write_bytes(fonts.subset_ttf(key, "国"))
        image = Image.new("L", (128, 128))
        font = ImageFont.truetype(str(path), 64)
        ImageDraw.Draw(image).text((32, 96), "国", font=font, anchor="ls", fill=255)
        assert _blackness(image) == pytest.approx(_ink(key, "国"), rel=0.02)


def test_postscript_names_are_unlike():
    """A PDF writer takes fonts of one name for one font."""
    faces = [fonts.face(f"{family}-{weight}") for family in fonts.FAMILIES for weight in fonts.WEIGHTS]
    assert len({face.postscript_name for face in faces}) == len(faces)


def test_any_thread_may_measure_and_cut():
    """Eight threads at once get what one gets."""
    text = "".join(chr(code) for code in range(0x6E00, 0x6E50))
    fresh = fonts.Face("sans", 500)
    wanted = fonts.subset_ttf("sans-500", text)
    results = []

    def work():
        results.append((fresh.width(text, 100), fonts.subset_ttf("sans-500", text)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [(100.0 * len(text), wanted)] * 8
