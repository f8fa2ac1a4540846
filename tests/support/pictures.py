"""The pictures of docs/templates.md, made from the templates and from the page's own examples.

An example is a block of ``xml``. What stands behind that word says how it is drawn: ``size=60x24``, a fragment on paper of
that size in mm; ``area=NAME``, a custom area in its place in the standard template NAME, of which only that place is shown;
nothing, a whole page. A block of ``json`` right after it is what its data have besides the sample's. A picture whose name
is no standard template's, and none of ``MADE``, is that of the example before it.

    python tests/support/pictures.py            say what is wrong with the pictures, exit code 1 if anything is
    python tests/support/pictures.py --update   draw them anew
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from labelsvc.labels import DOTS_PER_MM, Page, StandardTemplates, Template, compose_all, parse, starter  # noqa: E402
from labelsvc.labels.cnpl import BARCODE_TYPES  # noqa: E402
from labelsvc.labels.symbols import KINDS  # noqa: E402
from labelsvc.languages import raster  # noqa: E402
from labelsvc.waybills import sample_of  # noqa: E402

PAGE = ROOT / "docs" / "templates.md"
FOLDER = ROOT / "docs" / "pictures"
DPI = 203
MOST_BYTES = 40_000
HEAD = '<page xmlns="http://cloudprint.cainiao.com/print" xmlns:labelsvc="urn:labelsvc:template"'

_PART = re.compile(
    r'^```(?P<language>xml|json)(?P<said>[^\n]*)\n(?P<text>.*?)^```$|<img src="pictures/(?P<name>[\w-]+)\.png"',
    re.DOTALL | re.MULTILINE,
)


@dataclass
class Example:
    """A template that the page shows, and what it is drawn with."""

    text: str
    line: int
    area: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def template(self) -> Template:
        """The template, read. Raises TemplateError."""
        return parse(self.text, f"line {self.line}")

    def data(self) -> dict[str, Any]:
        """What it is filled with."""
        return merged(sample_of(self.template().paths), self.more)

    def pages(self) -> tuple[Page, ...]:
        """The example, composed."""
        if self.area:
            standard = StandardTemplates().get(self.area)
            return compose_all(standard, self.data(), DPI, area=self.template())
        return compose_all(self.template(), self.data(), DPI)

    def picture(self) -> Image.Image:
        """All pages side by side; of a custom area its place."""
        drawn = framed(self.pages())
        if not self.area:
            return drawn
        place = next(one for one in StandardTemplates().get(self.area).root.walk() if "area" in one.own)
        left, top, width, height = (
            place.length(name, {}) or 0.0 for name in ("left", "top", "width", "height")
        )
        scale, around = DOTS_PER_MM[DPI], 1.0
        box = (left - around, top - around, left + width + around, top + height + around)
        return drawn.crop(tuple(round(side * scale) for side in box))


def merged(data: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Data with some of it replaced, however deep it lies."""
    found = dict(data)
    for key, value in more.items():
        inner = found.get(key)
        found[key] = (
            merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
        )
    return found


def examples(page: str | None = None) -> list[Example]:
    """Every example of the page, in order."""
    return [one for one, _ in _parts(page) if one]


def sources(page: str | None = None) -> dict[str, Callable[[], Image.Image]]:
    """How each picture that the page shows is drawn, by name."""
    found: dict[str, Callable[[], Image.Image]] = {}
    last: Example | None = None
    for example, name in _parts(page):
        if example:
            last = example
        elif name in StandardTemplates().names():
            found[name] = lambda name=name: _standard(name)
        elif name in MADE:
            found[name] = MADE[name]
        else:
            assert last, f"{name} has no example before it"
            found[name] = last.picture
    return found


def _parts(page: str | None) -> Iterator[tuple[Example | None, str]]:
    text = PAGE.read_text("utf-8") if page is None else page
    last: Example | None = None
    waiting: list[tuple[Example | None, str]] = []
    for part in _PART.finditer(text):
        if part["language"] == "json":
            assert last
            last.more = json.loads(part["text"])
            continue
        yield from waiting
        waiting = []
        if part["name"]:
            yield None, part["name"]
            continue
        said = dict(word.split("=") for word in part["said"].split())
        written = part["text"]
        if "size" in said:
            width, height = said["size"].split("x")
            written = f'{HEAD} width="{width}" height="{height}">{written}</page>'
        last = Example(written, text.count("\n", 0, part.start()) + 1, said.get("area", ""))
        waiting = [(last, "")]
    yield from waiting


def framed(pages: tuple[Page, ...]) -> Image.Image:
    """Pages side by side, with a line of one dot for the paper's edge."""
    gap = 16
    width = sum(page.width + 2 for page in pages) + gap * (len(pages) - 1)
    drawn = Image.new("1", (width, max(page.height for page in pages) + 2), 1)
    left = 0
    for page in pages:
        drawn.paste(0, (left, 0, left + page.width + 2, page.height + 2))
        drawn.paste(raster.image(page), (left + 1, 1))
        left += page.width + 2 + gap
    return drawn


def _standard(name: str, **more: Any) -> Image.Image:
    template = StandardTemplates().get(name)
    return framed(compose_all(template, merged(sample_of(template.paths), more), DPI))


# ── what no example shows ───────────────────────────────────────────────────────────────────────────────────────────

#: Something that each type can hold.
CODED = {
    "code128": "YT0000000000000", "code128a": "ABC-123", "code128b": "Abc-123", "ean128": "(01)06901234567892",
    "gs128Linear": "(10)A1(21)7", "code39": "BOX 42", "code93": "BOX 42", "code11": "12-345", "codabar": "A12345B",
    "c25inter": "123456", "itf14": "1690123456789", "ean13": "690123456789", "ean8": "6901234", "upca": "03600029145",
    "upce": "0123456", "qrcode": "YT0000000000000", "datamatrix": "YT0000000000000",
    "gs1Datamatrix": "(01)06901234567892(10)A1", "aztec": "YT0000000000000", "hibcAztec": "A123BJC5D6E71",
    "pdf417": "YT0000000000000", "postnet": "123456789", "rm4scc": "SN3 4RD", "maxicode": "YT0000000000000",
}  # fmt: skip


def barcodes() -> str:
    """A page with every type of barcode under its name."""
    families = ("bars", "matrix", "postal", "picture")
    ordered = sorted(BARCODE_TYPES, key=lambda name: families.index(KINDS[name].family))
    cells: list[str] = []
    top, high = 2.0, 0.0
    for at, name in enumerate(ordered):
        if at % 3 == 0:
            top += high
        high = 17 if KINDS[name].family == "bars" else 36 if at >= 21 else 24
        left = 2 + at % 3 * 49
        cells.append(
            f'<text left="{left}" top="{top}" width="47" height="4" value="{name}" style="fontSize:8;fontWeight:bold"/>'
            f'<barcode left="{left}" top="{top + 4}" width="47" height="{high - 6}" type="{name}" value="{CODED[name]}"'
            ' style="hideText:false"/>'
        )
    return f'{HEAD} width="150" height="{top + high}">{"".join(cells)}</page>'


def _piece() -> Image.Image:
    return _standard(
        "waybill-100x150",
        parcel={"text": "2/3", "parent": "母单 YT0000000000001"},
        reprint={"mark": "补打 第1次"},
        print={"sequence": "2/3"},
        custom={"text": "易碎品，请轻放"},
    )


def _full() -> Image.Image:
    words = ["抱枕套", "马克杯", "置物架", "毛巾", "香薰蜡烛", "桌旗", "收纳盒", "餐垫", "杯垫", "围裙", "手套", "挂钟",
             "花瓶", "坐垫", "门帘", "相框"]  # fmt: skip
    return _standard(
        "waybill-76x130",
        goods={"short": "\n".join(f"{word}×{at % 3 + 1}" for at, word in enumerate(words, 1)), "count": 31},
    )


#: The pictures that are neither a standard template with its sample nor an example of the page.
MADE: dict[str, Callable[[], Image.Image]] = {
    "starter": lambda: Example(starter("my-label", 100, 150), 0).picture(),
    "barcodes": lambda: framed(compose_all(parse(barcodes()), {}, DPI)),
    "waybill-100x150-piece": _piece,
    "waybill-76x130-many": _full,
}


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def encoded(picture: Image.Image) -> bytes:
    """A picture as its file."""
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def faults() -> list[str]:
    """What is wrong with the files in the folder."""
    wanted, found = sources(), {path.stem for path in FOLDER.glob("*.png")}
    said = [f"{name}.png is missing" for name in sorted(wanted.keys() - found)]
    said += [f"{name}.png isn't shown" for name in sorted(found - wanted.keys())]
    for name in sorted(wanted.keys() & found):
        file = FOLDER / f"{name}.png"
        with Image.open(file) as kept:
            drawn = wanted[name]()
            if kept.mode != "1" or kept.size != drawn.size or kept.tobytes() != drawn.tobytes():
                said.append(f"{name}.png isn't what its source draws")
        if file.stat().st_size > MOST_BYTES:
            said.append(f"{name}.png has more than {MOST_BYTES} bytes")
    return said


def main() -> None:
    """See the module's docstring."""
    if "--update" in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for file in FOLDER.glob("*.png"):
            file.unlink()
        for name, draw in sources().items():
            (FOLDER / f"{name}.png").write_bytes(encoded(draw()))
    if said := faults():
        print("\n".join(said), "\npython tests/support/pictures.py --update draws them anew", sep="")
        sys.exit(1)


if __name__ == "__main__":
    main()
