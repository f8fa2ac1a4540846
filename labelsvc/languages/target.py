"""What bytes are wanted for, and what a printer language is: the two nouns of this room.

Hides nothing: it stands apart so that each language can import it without importing the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol, runtime_checkable

from labelsvc.errors import Invalid
from labelsvc.labels import Page


@dataclass(frozen=True)
class Target:
    """The printer (or reader) that the bytes are for.

    ``darkness`` is the language's own scale (ZPL: 0 to 30), ``speed`` inches a second; None leaves the printer's setting.
    ``offset_x`` and ``offset_y`` move the print right and down, in dots, to correct a printer whose paper sits askew;
    languages that no printer speaks (PDF, PNG) take no notice of any but the first two.

    ``letters`` says how characters beyond ASCII come on paper: as dots (every printer can), or by a font in the
    printer, whose own name is then ``font`` (ZPL ``E:SIMSUN.TTF``, TSPL ``TSS24.BF2``). ``graphics`` is how dots are packed
    for the wire: ``raw`` is every dot as it stands (the language's plain form), ``runs`` run lengths (ZPL's own
    alternative compression), ``zip`` deflate (ZPL's Z64); a language that lacks one takes ``raw``. ``cut`` cuts the paper after
    the label.

    ``coverage`` is what the printer's font has besides ASCII: the characters of GB 2312 (6,763), of GBK, of GB 18030's first
    level (GBK and Extension A), or all that are printable. A text with any other goes as dots. ``slow_link`` says that the
    wire carries a few ten kB a second at most (serial): bytes then count for more than milliseconds.
    """

    language: str
    dpi: int = 203
    darkness: int | None = None
    speed: int | None = None
    offset_x: int = 0
    offset_y: int = 0
    letters: Literal["dots", "font"] = "dots"
    font: str = ""
    graphics: Literal["raw", "runs", "zip"] = "runs"
    cut: bool = False
    coverage: Literal["gb2312", "gbk", "gb18030", "unicode"] = "gbk"
    slow_link: bool = False

    def require_dpi(self, page: Page) -> None:
        """Raise Invalid ``page.dpi`` for a page that was composed for another resolution."""
        if page.dpi != self.dpi:
            raise Invalid(
                f"The page was composed for {page.dpi} dpi, the printer has {self.dpi}",
                code="page.dpi",
                field="dpi",
            )


class Language(Protocol):
    """A printer language: one module of this room, listed in ``LANGUAGES``. 打印语言"""

    name: str
    media_type: str

    def encode(self, page: Page, target: Target, title: str = "") -> bytes:
        """The bytes that make one copy of the page; the same page and target give the same bytes."""
        ...


@runtime_checkable
class Document(Language, Protocol):
    """A language whose pages don't simply follow each other: it writes them all at once."""

    def write(self, pages: Iterable[Page], target: Target, out: BinaryIO, title: str = "") -> int:
        """All pages to ``out``, none kept once it is written; how many they were. Invalid ``page.none``, ``page.several``."""
        ...
