"""Fonts: coverage, measures, and the small static fonts cut for PDF."""

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from labelsvc.errors import NotFound
from labelsvc.labels import fonts, shaping
from labelsvc.labels import text as texts


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


#: The characters of the national list of 2013 (通用规范汉字表) outside the common block: rare surnames and given names.
RARE_A = "㑇㑊㕮㘎㙍㙘㙦㛃㛚㛹㟃㠇㠓㤘㥄㧐㧑㧟㫰㬊㬎㬚㭎㭕㮾㰀㳇㳘㳚㴔㵐㶲㸆㸌㺄㻬㽏㿠䁖䂮䃅䃎䅟䌹䎃䎖䏝䏡䏲䐃䓖䓛䓨䓫䓬䗖䗛䗪䗴䜣䝙䢺䢼䣘䥽䦃䲟䲠䲢䴓䴔䴕䴖䴗䴘䴙䶮"
RARE_B = (
    "𠙶𠳐𡐓𡎚𣗋𣲗𣲘𣸣𤧛𤩽𤫉𥔲𥕢𥖨𥻗𦈡𦒍𦙶𦝼𦭜𦰡𧿹𨐈𨙸𨚕𨟠𨭉𨱇𨱏𨱑𨱔𨺙𩽾𩾃𩾌𪟝𪣻𪤗𪨰𪨶𪩘𪾢𫄧𫄨𫄷𫄸𫇭𫌀𫍣𫍯𫍲𫍽𫐄𫐐𫐓𫑡𫓧𫓯𫓶𫓹𫔍𫔎𫔶𫖮𫖯𫖳𫗧𫗴"
    "𫘜𫘝𫘦𫘧𫘨𫘪𫘬𫚕𫚖𫚭𫛭𫞩𫟅𫟦𫟹𫟼𫠆𫠊𫠜𫢸𫫇𫭟𫭢𫭼𫮃𫰛𫵷𫶇𫷷𫸩𬀩𬀪𬂩𬃊𬇕𬇙𬇹𬉼𬊈𬊤𬌗𬍛𬍡𬍤𬒈𬒔𬒗𬕂𬘓𬘘𬘡𬘩𬘫𬘬𬘭𬘯𬙂𬙊𬙋𬜬𬜯𬞟𬟁𬟽𬣙𬣞𬣡𬣳𬤇𬤊𬤝"
    "𬨂𬨎𬩽𬪩𬬩𬬭𬬮𬬱𬬸𬬹𬬻𬬿𬭁𬭊𬭎𬭚𬭛𬭤𬭩𬭬𬭯𬭳𬭶𬭸𬭼𬮱𬮿𬯀𬯎𬱖𬱟𬳵𬳶𬳽𬳿𬴂𬴃𬴊𬶋𬶍𬶏𬶐𬶟𬶠𬶨𬶭𬶮𬷕𬸘𬸚𬸣𬸦𬸪𬹼𬺈𬺓"
)


def test_every_rare_character_of_the_national_list_has_a_face():
    """77 of extension A and 195 of the 196 beyond the BMP (as typed here); each drawn, and unlike the others."""
    assert (len(set(RARE_A)), len(set(RARE_B))) == (77, 195)
    inks = [fonts.ink("sans-400", 24, char) for char in RARE_A + RARE_B]
    assert None not in inks
    assert len({ink.rows.tobytes() for ink in inks}) == 272


def test_a_character_that_no_font_has_is_known_as_such():
    """No face is claimed for it, and its width is the em of the box drawn in its place."""
    assert fonts.face_for("𬞞", 400) is None
    assert fonts.face("sans-400").advance("𬞞", 30) == 30


def test_an_unknown_face_is_not_found():
    """Keys are from a closed list."""
    for key in ("sans-100", "serif-400", "sans", "../etc-400", "sans-400@", "sans-400@7", "sans-400@101"):
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
    ("char", "family"),
    [("č", "latin"), ("Қ", "latin"), ("ғ", "latin"), ("ώ", "latin"), ("گ", "arabic"), ("ཀ", "tibetan"), ("😀", "emoji"), ("🚚", "emoji"),
     ("≒", "math"), ("✗", "symbols"), ("➔", "symbols"), ("★", "sans"), ("①", "sans"), ("￥", "sans"), ("№", "sans")],
)  # fmt: skip
def test_other_scripts_and_signs_have_a_face(char, family):
    """Kazakh and Czech names, Uyghur, Tibetan, emoji in black, signs."""
    assert fonts.face_for(char, 500).family == family


@pytest.mark.parametrize("char", "ЁЙẤÅ｀〱")
def test_a_character_too_high_for_its_line_box_is_set_smaller(char):
    """As small as it needs to be, to a step of 5 %, and no other for it."""
    face = fonts.face_for(char, 700)
    assert face.family == "sans" and face.percent < 100
    above, below = face.reach(face.gid(char))
    assert above <= fonts.ASCENT + 0.01 and below <= fonts.DESCENT + 0.01
    full = fonts.face("sans-700")
    grown = (face.percent + fonts._STEP) / 100
    above, below = (grown * reach for reach in full.reach(full.gid(char)))
    assert above > fonts.ASCENT or below > fonts.DESCENT
    assert face.units(char) == full.units(char)
    assert face.advance(char, 100) == pytest.approx(full.advance(char, face.percent), rel=0.01)
    assert fonts.face_for("Е", 700).key == "sans-700"


def _outside(step, weights, sizes):
    """Characters whose dots leave the line box; every ``step``th of each family is tried."""
    for weight in weights:
        for family in fonts.FAMILIES:
            for code in sorted(fonts._family(family).face.unicodes)[::step]:
                char = chr(code)
                face = fonts.face_for(char, weight)
                if face.family != family or shaping.needed(char):
                    continue
                for size in sizes:
                    ink = fonts.ink(face.key, size, char)
                    above = texts.baseline(size)
                    if ink and (
                        -ink.top > above or ink.top + ink.rows.shape[0] > texts.line_height(size) - above
                    ):
                        yield face.key, char, size


def test_no_character_leaves_its_line_box():
    """A sample of every font; the sweep tries them all."""
    assert not list(_outside(61, (400, 700), (17, 24, 39)))


@pytest.mark.sweep
def test_no_character_of_any_font_leaves_its_line_box():
    """Each of some 50,000 characters, at each weight."""
    assert not list(_outside(1, fonts.WEIGHTS, (12, 17, 24, 31, 39)))


@pytest.mark.parametrize("family", fonts.FAMILIES)
def test_a_cut_font_draws_what_the_face_draws_at_its_size(family, tmp_path):
    """Also where the face is set smaller: the cut font's em is the text's."""
    char = {"arabic": "ۋ", "tibetan": "ཀ", "emoji": "😀", "symbols": "✗", "latin": "č", "math": "≒"}.get(
        family, "国"
    )
    for key in (f"{family}-400", f"{family}-400@70"):
        font = ImageFont.truetype(io.BytesIO(fonts.subset_ttf(key, char)), 200)
        image = Image.new("L", (600, 600))
        ImageDraw.Draw(image).text((200, 300), char, font=font, anchor="ls", fill=255)
        box = image.point(lambda cover: 255 if cover >= 112 else 0).getbbox()
        ink = fonts.ink(key, 200, char)
        ours = (ink.left, ink.top, ink.left + ink.rows.shape[1], ink.top + ink.rows.shape[0])
        ours = np.add(ours, (200, 300, 200, 300))
        # Tibetan strokes are made stronger, which no cut font is.
        assert np.abs(np.subtract(ours, box)).max() <= (4 if family == "tibetan" else 2)
        assert font.getname()[0] == fonts.face(key).postscript_name
        assert font.getlength(char) == pytest.approx(fonts.face(key).advance(char, 200), abs=1)


def test_an_outline_is_the_glyph_as_drawn():
    """The commands, filled, cover what the dots cover; y runs upwards."""
    face = fonts.face("tibetan-700@70")
    gid = face.gid("ཀ")
    steps = face.outline(gid)
    assert {name for name, _ in steps} <= {"moveTo", "lineTo", "curveTo", "closePath"}
    assert steps[0][0] == "moveTo" and steps[-1] == ("closePath", ())
    ends = np.array([points[-2:] for _, points in steps if points]) * 200 / face.units_per_em
    ink = fonts.ink_of_glyph(face.key, 200, gid)
    assert ends[:, 0].min() == pytest.approx(ink.left, abs=2)
    assert -ends[:, 1].max() == pytest.approx(ink.top, abs=2)
    assert -ends[:, 1].min() == pytest.approx(ink.top + ink.rows.shape[0], abs=2)


def test_a_printers_font_covers_its_character_set(tmp_path):
    """GB 2312 and ASCII as one static TrueType font of 2 MB; kept in a folder, whole, and the same ever after."""
    content = fonts.static_ttf("sans-500", "gb2312", tmp_path / "fonts")
    font = TTFont(io.BytesIO(content))
    assert "fvar" not in font and "glyf" in font
    wanted = {
        bytes((high, low)).decode("gb2312", "ignore")
        for high in range(0xA1, 0xFF)
        for low in range(0xA1, 0xFF)
    }
    surplus = set(font.getBestCmap()) - {*map(ord, "".join(wanted)), *range(0x20, 0x7F)}
    # HarfBuzz adds the mirror images of signs.
    assert len(font.getBestCmap()) - len(surplus) == 7445 + 95 and len(surplus) < 10
    assert 1_500_000 < len(content) < 2_500_000
    (kept,) = (tmp_path / "fonts").iterdir()
    assert kept.name == "sans-500-gb2312.ttf" and kept.read_bytes() == content
    kept.write_bytes(b"as it was")
    assert fonts.static_ttf("sans-500", "gb2312", tmp_path / "fonts") == b"as it was"


def test_the_fonts_in_the_house_carry_their_licence():
    """Every file of ``faces`` is named in the licence beside it."""
    folder = fonts.face("tibetan-400").path.parent
    licence = (folder / "OFL.txt").read_text()
    assert {path.name for path in folder.glob("*.ttf")} == {
        "NotoEmoji-Regular.ttf",
        "NotoSerifTibetan-Regular.ttf",
    }
    assert all(path.name in licence for path in folder.glob("*.ttf"))


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
