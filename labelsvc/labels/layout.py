"""A template and data become pages: every length turned into whole dots once, every mark placed.

Hides how boxes nest, float, turn and split, and that a template without statements is laid out once and then only filled.
What is refused: a required text or barcode that doesn't fit (the error says how many millimetres are missing), a barcode
that can't keep whole dots. What is merely bad (an overflow, a character that no font has) is drawn and comes as a warning.

Decisions where CNPL leaves a choice: edges are rounded to dots, not lengths, so that neighbours meet; ``width`` and
``height`` of an element turned by quarters are its box on the page, by other angles its upright box, turned about the
middle; a margin lies inside an element's place, a padding inside its box; text wraps unless ``wrap:false``; a thermal head
has no grey, so what is more than a tenth opaque is printed black and what is less is left out; a shape that says nothing
of border and filling has a border of 1 pt.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labelsvc.errors import Invalid, TemplateError
from labelsvc.labels import text as texts
from labelsvc.labels.barcodes import BarcodePiece
from labelsvc.labels.boxes import EVERYWHERE, Area, Box, Grid
from labelsvc.labels.cnpl import Style
from labelsvc.labels.element import Context, Element, Value
from labelsvc.labels.images import ImagePiece
from labelsvc.labels.page import DOTS_PER_MM, Mark, Page, PageWarning
from labelsvc.labels.plan import Bundle, Datas, Later, Pictures, Piece, Plan, Sheet, Still
from labelsvc.labels.shapes import Pencil
from labelsvc.labels.table import Table
from labelsvc.labels.template import Template
from labelsvc.labels.textbox import TextPiece

#: How little a thing may be opaque and still be printed.
FAINTEST = 0.1
#: The name of the place for a store's custom area.
AREA = "custom"
#: The most pages that one label may split into.
MAX_PAGES = 200
_KEPT_PLANS = 64
_SHAPE_PT = (1.0, 1.0, 1.0, 1.0)
_GEOMETRY = ("left", "top", "width", "height")
#: CNPL's attributes of barcodes, and what the encoders call them.
_BARCODE_OPTIONS = (
    ("errorCorrection", "level"),
    ("mode", "mode"),
    ("primary", "primary"),
    ("symbolSize", "size"),
)
_SAID = {"value", "src", "format", *_GEOMETRY}

#: None: seen once.
_plans: OrderedDict[tuple[Element, int, Element | None], Plan | None] = OrderedDict()
_keeping = threading.Lock()


def compose(
    template: Template,
    data: Mapping[str, Any],
    dpi: int = 203,
    context: Context | None = None,
    area: Template | None = None,
    area_data: Mapping[str, Any] | None = None,
    pictures: Pictures | None = None,
) -> Page:
    """The page of a template filled with data, for a head of 203, 300 or 600 dpi.

    ``area`` is a custom area (a template whose root is a layout): it stands in the template's place of that name, cut to it
    and with a warning if it is larger, or where the template has no such place, where its own left and top say. It is
    filled from ``area_data``, by default the same data. ``pictures`` gets images that aren't data URLs; without it they
    are refused.

    Raises TemplateError (``line``, ``element``; codes ``label.does_not_fit`` with ``missing_mm`` for required text,
    ``label.splits`` if it takes several pages, ``image.source``) and Invalid (``barcode.does_not_fit`` with
    ``missing_mm``, ``barcode.data``, ``barcode.empty``).
    """
    pages = compose_all(template, data, dpi, context, area, area_data, pictures)
    if len(pages) > 1:
        raise TemplateError(f"The label takes {len(pages)} pages", code="label.splits", pages=len(pages))
    return pages[0]


def compose_all(
    template: Template,
    data: Mapping[str, Any],
    dpi: int = 203,
    context: Context | None = None,
    area: Template | None = None,
    area_data: Mapping[str, Any] | None = None,
    pictures: Pictures | None = None,
) -> tuple[Page, ...]:
    """The pages of a template filled with data: several where a table splits. Else as ``compose``.

    TemplateError ``label.row_too_high`` names a row that no page can hold.
    """
    if dpi not in DOTS_PER_MM:
        raise Invalid("The resolution must be 203, 300 or 600 dpi", field="dpi")
    bound = template.bind(data, context)
    area_bound = area.bind(data if area_data is None else area_data, bound.context) if area else None
    datas = (bound, area_bound)
    area_root = None if area_bound is None else area_bound.root
    key = (bound.root, dpi, area_root)
    with _keeping:
        plan, is_known = _plans.get(key), key in _plans
        if is_known:
            _plans.move_to_end(key)
    if plan:
        return (plan.draw(datas, pictures),)
    if _splits(bound.root):
        return tuple(plan.draw(datas, pictures) for plan in lay_out(template, dpi, area_root, datas))
    # Statements may make another tree of each label: what comes once isn't worth keeping.
    is_lasting = bound.root is template.root and (area is None or area_root is area.root)
    keeps = is_known or is_lasting
    (plan,) = lay_out(template, dpi, area_root, None if keeps else datas, bound.root)
    with _keeping:
        _plans[key] = plan if keeps else None
        while len(_plans) > _KEPT_PLANS:
            _plans.popitem(last=False)
    return (plan.draw(datas, pictures),)


def lay_out(
    template: Template,
    dpi: int,
    area: Element | None = None,
    datas: Datas | None = None,
    root: Element | None = None,
) -> list[Plan]:
    """The plan of each page: of what is known without data, or with ``datas`` of all, for these only.

    ``root`` is the tree where it isn't that of ``datas`` or the template.
    """
    composer = Composer(_Paper(template, dpi, area), datas)
    composer.label(root or (datas[0].root if datas else template.root))
    right, bottom = composer.paper.right, composer.paper.bottom
    return [Plan(right, bottom, dpi, pieces, keep=datas is None) for pieces in composer.pages]


def _splits(root: Element) -> bool:
    return root.tag == "page" and root.flag("splitable", {}, default=False) and any(map(flows, root.children))


def flows(element: Element) -> bool:
    """True for a table that may go on on the next page, and for a layout that holds one and has no height of its own."""
    if "height" in element.attributes:
        return False
    return element.tag == "table" or (element.tag == "layout" and any(map(flows, element.children)))


class _Paper:
    """What all elements of one label share."""

    def __init__(self, template: Template, dpi: int, area: Element | None) -> None:
        self.template = template
        self.grid = Grid(dpi)
        self.page = self.grid.box(Area(0, 0, template.width_mm, template.height_mm))
        self.area = area
        self.places = {AREA} if AREA in template.areas else set(template.areas[:1])


class Composer:
    """Lays out elements of one label, with data or (for what is the same on all labels) without."""

    def __init__(self, paper: _Paper, datas: Datas | None, origin: int = 0) -> None:
        self.shared = paper
        self.grid = paper.grid
        self.datas = datas
        self.pages: list[list[Piece]] = [[]]
        self.page = 0  #: the page that is drawn on, from 0
        self.paper: Box = paper.page
        self.pencil = Pencil(self.grid, paper.page)
        self.origin = origin  #: 0 in the template, 1 in the custom area
        self.splits = False
        #: Where the header ends, a further page begins and every page ends.
        self.header_mm, self.top_mm, self.bottom_mm = 0.0, 0.0, paper.template.height_mm
        #: Where the last thing that flows ended: page, and mm from its top.
        self.end: tuple[int, float] = (0, 0.0)

    @property
    def data(self) -> Mapping[str, Any]:
        """What the elements at hand are filled from; nothing where the plan is made."""
        found = self.datas[self.origin] if self.datas else None
        return {} if found is None else found

    def emit(self, piece: Piece) -> None:
        """Put a piece on the page."""
        for part in piece.parts:
            part.origin = self.origin
        piece.origin = self.origin
        self.pages[self.page].append(piece)

    def still(self, element: Element, marks: Iterable[Mark], warnings: Sequence[PageWarning] = ()) -> None:
        """Put marks on the page."""
        if (made := tuple(marks)) or warnings:
            self.emit(Still(element, made, warnings))

    def next_page(self, element: Element) -> None:
        """Go on on the next page."""
        self.page += 1
        if self.page >= MAX_PAGES:
            element.fail(f"takes more than {MAX_PAGES} pages", code="label.splits", pages=MAX_PAGES)
        while len(self.pages) <= self.page:
            self.pages.append([])

    def knows(self, element: Element, *names: str) -> bool:
        """True if nothing of these attributes (and ``style``) is still to be filled."""
        return self.datas is not None or not element.depends(*names)

    def later(self, element: Element, lay_out: Callable[[Composer], None]) -> None:
        """Put on the page what can only be laid out with data."""

        origin = self.origin

        def with_data(datas: Datas) -> Sequence[Piece]:
            composer = Composer(self.shared, datas, origin)
            lay_out(composer)
            return [piece for page in composer.pages for piece in page]

        self.emit(Later(element, with_data))

    # ── the whole label ──

    def label(self, root: Element) -> None:
        """All pages: what stands on the page, then header and footer on each."""
        template, style = self.shared.template, root.styled(self.data)
        header, footer = (
            next((child for child in root.children if child.tag == tag), None) for tag in ("header", "footer")
        )
        high = {child: child.length("height", self.data) or 0.0 for child in (header, footer) if child}
        self.splits = self.datas is not None and _splits(root)
        if header:
            self.top_mm = self.header_mm = high[header]
        elif self.splits:
            # A page that goes on begins where the first one does: the author's margin.
            self.top_mm = self._topmost(root) or 0.0
        if footer:
            self.bottom_mm -= high[footer]
        whole = Area(0, 0, template.width_mm, template.height_mm)
        self._ground(root, style, whole)
        body = [child for child in root.children if child.tag not in {"header", "footer"}]
        self.children(root, body, style, whole, vertical=self._is_vertical(root, style))
        if self.shared.area and not self.shared.places:
            self._area_of_its_own(self.shared.area)
        self.splits = False
        for number in range(len(self.pages)):
            self.page = number
            for child in (header, footer):
                if child:
                    top = 0.0 if child is header else template.height_mm - high[child]
                    area = Area(0, top, template.width_mm, high[child])
                    inner = child.styled(self.data, style)
                    self._ground(child, inner, area)
                    self.children(child, child.children, inner, area, vertical=False)

    def _topmost(self, parent: Element) -> float | None:
        """Where the first thing in an element begins, in mm; None if there is nothing."""
        tops: list[float] = []
        for child in parent.children:
            if child.tag in {"header", "footer"}:
                continue
            names = ("startY", "endY") if child.tag == "line" else ("top",)
            given = [length for name in names if (length := child.length(name, self.data)) is not None]
            inner = None if given or child.tag != "layout" else self._topmost(child)
            tops.append(min(given) if given else inner or 0.0)
        return min(tops, default=None)

    def _area_of_its_own(self, root: Element) -> None:
        """The custom area where its own left and top say."""
        self.origin = 1
        sizes = [root.length(name, {}) or 0.0 for name in _GEOMETRY]
        self.draw(root, Area(*sizes), Style())
        self.origin = 0

    def _area_in_place(self, place: Area, element: Element) -> None:
        root = self.shared.area
        assert root
        own = Area(place.left, place.top, root.length("width", {}) or 0.0, root.length("height", {}) or 0.0)
        box, room = self.grid.box(own), self.grid.box(place)
        warnings = []
        if not room.holds(box):
            warnings = [PageWarning("area.cut", "The custom area is larger than its place", element.source)]
        self.still(element, (), warnings)

        def draw(one: Composer) -> None:
            outer, one.origin = one.origin, 1
            one.draw(root, own, Style())
            one.origin = outer

        self.bundled(element, draw, room, clip=True)

    # ── boxes in boxes ──

    def gathered(self, draw: Callable[[], None], *, unbounded: bool = False) -> list[Piece]:
        """The pieces that something draws, instead of their being put on the page."""
        outer = self.pages, self.page, self.splits, self.paper, self.pencil
        self.pages, self.page, self.splits = [[]], 0, False
        if unbounded:
            self.paper, self.pencil = EVERYWHERE, Pencil(self.grid, EVERYWHERE)
        try:
            draw()
            return self.pages[0]
        finally:
            self.pages, self.page, self.splits, self.paper, self.pencil = outer

    def bundled(
        self,
        element: Element,
        draw: Callable[[Composer], None],
        box: Box,
        *,
        clip: bool = False,
        angle: float = 0.0,
    ) -> None:
        """Draw pieces that are cut or turned together; as they are where nothing is to be done."""
        pieces = self.gathered(lambda: draw(self), unbounded=bool(angle))
        if any(isinstance(part, Later) for piece in pieces for part in piece.parts):
            self.later(element, lambda one: one.bundled(element, draw, box, clip=clip, angle=angle))
        elif not angle and all(box.holds(reach) for piece in pieces for reach in piece.reach):
            self.pages[self.page] += pieces
        else:
            bundle = Bundle(element, pieces, box, clip=clip, angle=angle, page=self.shared.page)
            bundle.origin = self.origin
            self.pages[self.page].append(bundle)

    def children(
        self, parent: Element, elements: Sequence[Element], style: Style, area: Area, *, vertical: bool
    ) -> None:
        """Draw what stands in an element, deeper layouts first."""
        if not all(self.knows(child, *_GEOMETRY) and self._knows_depth(child) for child in elements):
            self.later(parent, lambda one: one.children(parent, elements, style, area, vertical=vertical))
            return
        if self.splits and any(map(flows, elements)):
            self._stack(elements, style, area)
            return
        # Only a layout has a zIndex; the sort is stable, so equals stay in the template's order.
        ordered = sorted(elements, key=lambda child: self._depth(child, style))
        places = self.place(ordered, area, vertical)
        for child in ordered:
            self.draw(child, places[child], style)

    def _knows_depth(self, element: Element) -> bool:
        return self.datas is not None or all(
            isinstance(part, str) for part in element.style.get("zIndex", ())
        )

    def _depth(self, element: Element, style: Style) -> int:
        if element.tag != "layout" or "zIndex" not in element.style:
            return 0
        if not self.knows(element, "style"):
            return int(element.fill(element.style["zIndex"], {}))
        return element.styled(self.data, style).z_index

    def _is_vertical(self, element: Element, style: Style) -> bool:
        return element.word("orientation", self.data) == "vertical" or style.orientation == "vertical"

    def place(self, elements: Sequence[Element], area: Area, vertical: bool) -> dict[Element, Area]:
        """Each child's area on the page. A child without left floats across, one without top down, one without both along
        the layout's orientation; those that float share their parent in proportion to their lengths."""
        across: list[Element] = []
        down: list[Element] = []
        places: dict[Element, Area] = {}
        for element in elements:
            if element.tag == "line":
                places[element] = area
                continue
            given = [element.length(name, self.data) for name in _GEOMETRY]
            left, top = given[0] or 0.0, given[1] or 0.0
            width = max(0.0, area.width - left) if given[2] is None else given[2]
            height = max(0.0, area.height - top) if given[3] is None else given[3]
            places[element] = Area(area.left + left, area.top + top, width, height)
            if given[0] is None and given[1] is None:
                (down if vertical else across).append(element)
            elif given[0] is None and given[2]:
                across.append(element)
            elif given[1] is None and given[3]:
                down.append(element)
        for floating, side, room in ((across, "width", area.width), (down, "height", area.height)):
            if len(floating) < 2:
                continue
            lengths = [element.length(side, self.data) or 0.0 for element in floating]
            if 0.0 in lengths:
                floating[lengths.index(0.0)].fail(f"needs left and top, or a {side} to share its parent by")
            at, total = 0.0, sum(lengths)
            for element, length in zip(floating, lengths, strict=True):
                share = room * length / total
                place = places[element]
                if side == "width":
                    places[element] = Area(area.left + at, place.top, share, place.height)
                else:
                    places[element] = Area(place.left, area.top + at, place.width, share)
                at += share
        return places

    def _stack(self, elements: Sequence[Element], style: Style, area: Area) -> None:
        """Children of which one flows over pages: those without a top stand below one another, each where the last ended."""
        first = self.page
        cursor = (first, max(area.top, self.header_mm))
        furthest = cursor
        for element in sorted(elements, key=lambda child: self._depth(child, style)):
            given = {name: element.length(name, self.data) for name in _GEOMETRY}
            left = area.left + (given["left"] or 0.0)
            width = (
                max(0.0, area.width - (given["left"] or 0.0)) if given["width"] is None else given["width"]
            )
            self.page = first
            if element.tag == "line":
                self.draw(element, area, style)
                continue
            if given["top"] is None:
                self.page, top = cursor
            else:
                top = area.top + given["top"]
            if flows(element):
                self.end = (self.page, top)
                self.draw(element, Area(left, top, width, max(0.0, self.bottom_mm - top)), style)
                cursor = self.end
            else:
                height = given["height"]
                if height is None:
                    height = max(0.0, self.bottom_mm - top)
                elif given["top"] is None and top + height > self.bottom_mm + 1e-6 and top > self.top_mm:
                    self.next_page(element)
                    top = self.top_mm
                self.draw(element, Area(left, top, width, height), style)
                if given["top"] is None:
                    cursor = (self.page, top + height)
            furthest = max(furthest, cursor)
        self.page = first
        self.end = furthest

    # ── one element ──

    def draw(self, element: Element, place: Area, above: Style) -> None:
        """An element in its place."""
        if not self.knows(element, "style", *(element.attributes.keys() - _SAID)) or (
            element.tag == "table" and not self.datas and not element.is_literal
        ):
            self.later(element, lambda one: one.draw(element, place, above))
            return
        style = element.styled(self.data, above)
        if style.alpha <= FAINTEST:
            return
        place = place.inset(style.margin_mm)
        native = element.tag in {"text", "barcode", "pageIndex"} and style.quarter is not None
        splits, self.splits = self.splits, self.splits and flows(element)
        if style.rotation and not native:
            self._turned(element, style, place)
        else:
            self._upright(element, style, place)
        self.splits = splits

    def _turned(self, element: Element, style: Style, place: Area) -> None:
        if element.tag == "barcode" and element.wants("required"):
            element.fail("a required barcode can be turned by quarters only")
        local = place
        if style.quarter in {90, 270}:
            local = place._replace(width=place.height, height=place.width)
        upright = replace(style, rotation=0.0)
        if element.tag == "barcode":
            slanted = PageWarning(
                "barcode.slanted", "The bars aren't parallel to the paper's edges", element.source
            )
            self.still(element, (), [slanted])
        self.bundled(
            element,
            lambda one: one._upright(element, upright, local),
            self.grid.box(place),
            angle=style.rotation,
        )

    def _upright(self, element: Element, style: Style, place: Area) -> None:
        box = self.grid.box(place)
        inside = self.grid.box(place.inset(style.padding_mm))
        match element.tag:
            case "layout":
                self._layout(element, style, place)
            case "text":
                self._text(element, style, box, inside, element.content)
            case "pageIndex":
                self._text(element, style, box, inside, (self._page_number(element),))
            case "barcode":
                self._ground(element, style, place)
                self._barcode(element, style, inside)
            case "line":
                if not style.white_line and style.line_pt:
                    self._line(element, style, place)
            case "rect" | "circle" | "round":
                self._shape(element, style, box)
            case "image":
                self._ground(element, style, place)
                may_fail = element.flag("allowFailure", self.data, default=True)
                source = element.attributes.get("src", ())
                piece = ImagePiece(
                    element,
                    inside,
                    self.paper,
                    source,
                    may_fail=may_fail,
                    alpha=style.alpha,
                )
                self.emit(self._filled(piece))
            case "table":
                Table(element, style, place, self).draw()
            case _:
                element.fail("can't stand here")

    def _filled(self, piece: Piece) -> Piece:
        """The piece, or its marks if they are the same on every label."""
        if piece.is_elsewhere or not all(isinstance(part, str) for part in piece.value or ()):
            return piece
        value = "".join(map(str, piece.value or ()))
        sheet = Sheet([], [], None)
        piece.draw(sheet, value if piece.raw else texts.clean(value))
        return Still(piece.element, sheet.marks, tuple(sheet.warnings))

    def _ground(self, element: Element, style: Style, place: Area) -> None:
        """Background and border."""
        self.still(element, self.backdrop(element, style, self.grid.box(place)))

    def backdrop(self, element: Element, style: Style, box: Box) -> tuple[Mark, ...]:
        """The marks of an element's background and border."""
        marks: list[Mark] = []
        if style.black_background is not None:
            marks += self.pencil.filled(box, element.source, erase=not style.black_background)
        if style.border_pt:
            marks += self.pencil.frame(box, style.border_pt, style.border_strokes, element.source)
        return tuple(marks)

    def _layout(self, element: Element, style: Style, place: Area) -> None:
        if not self.splits:
            self._ground(element, style, place)
        inner = place.inset(style.padding_mm)
        vertical = self._is_vertical(element, style)

        def draw(one: Composer) -> None:
            if one.shared.area and one.origin == 0 and element.own.get("area") in one.shared.places:
                one._area_in_place(inner, element)
            else:
                one.children(element, element.children, style, inner, vertical=vertical)

        if style.hidden_overflow and not self.splits:
            self.bundled(element, draw, self.grid.box(place), clip=True)
        else:
            draw(self)

    # ── what prints ──

    def _text(self, element: Element, style: Style, box: Box, inside: Box, value: Value) -> None:
        backdrop = self.backdrop(element, style, box)
        if not element.wants("hideEmpty"):
            self.still(element, backdrop)
            backdrop = ()
        self.emit(self._filled(TextPiece(element, style, inside, self.grid, self.paper, value, backdrop)))

    def _page_number(self, element: Element) -> str:
        form = element.fill(element.content, self.data) or "currentPageNumber/totalPageNumber"
        form = form.replace("currentPageNumber", str(self.page + 1))
        return form.replace("totalPageNumber", str(len(self.pages)))

    def _barcode(self, element: Element, style: Style, box: Box) -> None:
        kind = element.word("type", self.data)
        options: dict[str, Any] = {
            option: said for name, option in _BARCODE_OPTIONS if (said := element.word(name, self.data))
        }
        if kind == "pdf417" and box.height > 0:
            options["aspect"] = round(box.width / box.height, 3)
        stretch = element.word("ratioMode", self.data) != "keepRatio"
        content = element.content
        piece = BarcodePiece(
            element, style, box, self.grid, self.paper, content, kind, options, stretch=stretch
        )
        self.emit(self._filled(piece))

    def _line(self, element: Element, style: Style, place: Area) -> None:
        ends = [element.length(name, self.data) or 0.0 for name in ("startX", "startY", "endX", "endY")]
        left, top = place.left, place.top
        x1, x2 = (self.grid.dots(left + x) for x in (ends[0], ends[2]))
        y1, y2 = (self.grid.dots(top + y) for y in (ends[1], ends[3]))
        thick = self.grid.thickness(style.line_pt)
        self.still(element, self.pencil.line(x1, y1, x2, y2, thick, style.line_stroke, element.source))

    def _shape(self, element: Element, style: Style, box: Box) -> None:
        black = bool(style.filled or style.black_background)
        white = not black and (style.filled is False or style.black_background is False)
        bare = style.border_pt is None and not black and not white
        border = _SHAPE_PT if bare else style.border_pt or (0.0, 0.0, 0.0, 0.0)
        marks: list[Mark] = []
        if element.tag == "rect":
            if black or white:
                marks += self.pencil.filled(box, element.source, erase=white)
            marks += self.pencil.frame(box, border, style.border_strokes, element.source)
        else:
            draw = self.pencil.ellipse if element.tag == "circle" else self.pencil.round
            marks += draw(box, max(border), element.source, fill=black)
        self.still(element, marks)
