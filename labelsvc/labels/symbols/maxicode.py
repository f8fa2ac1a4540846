"""MaxiCode as dots: hexagons and a bull's eye, at the one size that the standard allows.

Hides the geometry (ISO/IEC 16023) and how it is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

#: From flat to flat of a hexagon, and from row to row, in mm.
PITCH_MM = 0.88
_ROW_MM = PITCH_MM * 3**0.5 / 2
_COLUMNS, _LINES = 30, 33
#: A hexagon is printed a little smaller than its cell: heat and ink spread.
_FILL = 0.92
#: Outer and inner radii of the three dark rings, in mm.
_RINGS = ((3.87, 3.20), (2.53, 1.86), (1.18, 0.51))


@dataclass(frozen=True)
class Picture:
    """A symbol that isn't made of squares: MaxiCode. ``rows`` are its 33 lines of 30 hexagons, 1 dark (every second line
    lies half a hexagon to the right and has 29)."""

    kind: str
    data: str
    rows: tuple[str, ...]
    mode: str = ""
    #: Without quiet zone.
    width_mm: float = PITCH_MM * _COLUMNS
    height_mm: float = _ROW_MM * (_LINES - 1) + PITCH_MM / (3**0.5 / 2)

    def bits(self, dots_per_mm: float) -> tuple[int, int, bytes]:
        """(width, height, rows of ``(width + 7) // 8`` bytes, 1 = black, high bit left) at the standard's size."""
        return _drawn(self.rows, dots_per_mm, self.width_mm, self.height_mm)


@lru_cache(maxsize=8)
def _drawn(
    rows: tuple[str, ...], dots_per_mm: float, width_mm: float, height_mm: float
) -> tuple[int, int, bytes]:
    from PIL import Image, ImageDraw

    width, height = round(width_mm * dots_per_mm), round(height_mm * dots_per_mm)
    # Drawn several times as large and then averaged: an edge that falls within a dot goes to the nearer one.
    finer = max(3, round(64 / dots_per_mm))
    scale = dots_per_mm * finer
    picture = Image.new("L", (width * finer, height * finer), 0)
    draw = ImageDraw.Draw(picture)
    radius = PITCH_MM / 3**0.5 * scale * _FILL
    half = PITCH_MM / 2 * scale * _FILL
    corners = (
        (0.0, -radius),
        (half, -radius / 2),
        (half, radius / 2),
        (0.0, radius),
        (-half, radius / 2),
        (-half, -radius / 2),
    )
    for line, row in enumerate(rows):
        y = (PITCH_MM / 3**0.5 + line * _ROW_MM) * scale
        for column, cell in enumerate(row):
            if cell == "1":
                x = PITCH_MM * (column + 0.5 + line % 2 / 2) * scale
                draw.polygon([(x + right, y + down) for right, down in corners], fill=255)
    x, y = 14.5 * PITCH_MM * scale, (PITCH_MM / 3**0.5 + 16 * _ROW_MM) * scale
    for outer, inner in _RINGS:
        for radius_mm, shade in ((outer, 255), (inner, 0)):
            reach = radius_mm * scale
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=shade)
    small = picture.reduce(finer).point(lambda level: 255 if level >= 128 else 0)
    return width, height, small.convert("1").tobytes()
