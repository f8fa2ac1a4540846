"""Pages built by hand, mark by mark, for tests of the printer languages."""

from __future__ import annotations

from labelsvc.labels import BarMark, Mark, MatrixMark, Page, Rotation, Run, TextMark, fonts, symbols


def page(*marks: Mark, size: tuple[int, int] = (608, 400), dpi: int = 203) -> Page:
    """A page of these marks."""
    return Page(size[0], size[1], dpi, tuple(marks))


def bars(
    data: str, x: int = 40, y: int = 40, module: int = 3, height: int = 80, rotation: Rotation = 0
) -> BarMark:
    """A Code 128 as the layout plans it."""
    symbol = symbols.code128(data)
    length = symbol.modules * module
    wide, high = (height, length) if rotation in {90, 270} else (length, height)
    return BarMark(
        x, y, wide, high, module, 10 * module, "code128", data, symbol.widths, symbol.plan, rotation
    )


def qr(data: str, x: int = 40, y: int = 40, module: int = 4, rotation: Rotation = 0) -> MatrixMark:
    """A QR code at level M."""
    symbol = symbols.qrcode(data, "M")
    side = len(symbol.rows) * module
    return MatrixMark(
        x,
        y,
        side,
        side,
        module,
        4 * module,
        "qrcode",
        data,
        symbol.rows,
        "M",
        rotation,
    )


def text(
    words: str,
    x: int = 40,
    y: int = 40,
    size: int = 24,
    weight: int = 400,
    rotation: Rotation = 0,
    inverse: bool = False,
    letter_spacing: int = 0,
    underline: bool = False,
) -> TextMark:
    """A line of text, each character from the first face that has it."""
    runs: list[Run] = []
    missing = ""
    pen = 0.0
    for char in words:
        face = fonts.face_for(char, weight)
        if face is None:
            missing += char
            face = fonts.face(f"sans-{weight}")
        if runs and runs[-1].face == face.key:
            runs[-1] = Run(face.key, runs[-1].text + char, runs[-1].x)
        else:
            runs.append(Run(face.key, char, round(pen)))
        pen += face.advance(char, size) + letter_spacing
    length, height = round(pen), round(1.08 * size)
    wide, high = (height, length) if rotation in {90, 270} else (length, height)
    return TextMark(
        x, y, wide, high, size, round(0.88 * size), words, tuple(runs), weight, rotation, inverse, letter_spacing,
        underline, missing,
    )  # fmt: skip
