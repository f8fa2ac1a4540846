"""The peers of ``./dev bench render``: the same label as a person who knows each library would write it by hand.

Hides the libraries. Each peer is a function from a label's data to bytes, made once with what such a program keeps between
labels: fonts opened, styles parsed. One that can't be imported says so and is left out.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.label import CODES, FIELDS, HEIGHT_MM, QR, RULE_MM, RULES, WIDTH_MM, Field, Label

Maker = Callable[[Label], bytes]
Pages = Callable[[list[Label]], bytes]
#: Dots per mm of a 203 dpi head.
DOTS = 8
#: From the top of a line down to its baseline, in ems, as our template sets it.
ASCENT = 0.88
MM = 72 / 25.4


# ── reportlab ──


def reportlab_pages(fonts: dict[bool, Path], qr_as_path: bool) -> Pages:
    """One PDF with a page a label; the QR by reportlab's own widget, or as one path of its dark modules."""
    from reportlab.graphics import renderPDF
    from reportlab.graphics.barcode import code128, qr
    from reportlab.graphics.shapes import Drawing
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas

    for bold, path in fonts.items():
        pdfmetrics.registerFont(TTFont(f"peer-{bold}", str(path)))

    def page(canvas: Any, label: Label) -> None:
        for field in FIELDS:
            canvas.setFont(f"peer-{field.bold}", field.em * MM)
            canvas.drawString(field.x * MM, (HEIGHT_MM - _baseline(field)) * MM, label.texts[field.key])
        for (left, top, _, height), dots in zip(CODES, (3, 2), strict=True):
            bars = code128.Code128(
                label.number, barWidth=dots / DOTS * MM, barHeight=height * MM, quiet=False
            )
            bars.drawOn(canvas, (left + 10 * dots / DOTS) * MM, (HEIGHT_MM - top - height) * MM)
        left, top, side = QR
        if qr_as_path:
            rows = qr_rows(label.qr)
            module = side / (len(rows) + 8) * MM
            path = canvas.beginPath()
            x0, y0 = left * MM + 4 * module, (HEIGHT_MM - top) * MM - 5 * module
            for down, row in enumerate(rows):
                for across, dark in enumerate(row):
                    if dark:
                        path.rect(x0 + across * module, y0 - down * module, module, module)
            canvas.drawPath(path, stroke=0, fill=1)
        else:
            widget = qr.QrCodeWidget(label.qr, barLevel="M", barWidth=side * MM, barHeight=side * MM)
            drawing = Drawing(side * MM, side * MM)
            drawing.add(widget)
            renderPDF.draw(drawing, canvas, left * MM, (HEIGHT_MM - top - side) * MM)
        canvas.setLineWidth(RULE_MM * MM)
        canvas.lines(
            [
                (
                    rule.x1 * MM,
                    (HEIGHT_MM - rule.y1) * MM,
                    rule.x2 * MM,
                    (HEIGHT_MM - rule.y2) * MM,
                )
                for rule in RULES
            ]
        )
        canvas.showPage()

    def make(labels: list[Label]) -> bytes:
        out = io.BytesIO()
        canvas = Canvas(out, pagesize=(WIDTH_MM * MM, HEIGHT_MM * MM), pageCompression=1)
        for label in labels:
            page(canvas, label)
        canvas.save()
        return out.getvalue()

    return make


def zebrafy_z64(pdf: Pages) -> Maker:
    """The PDF drawn by PDFium inside zebrafy and sent as a Z64 picture. Without dithering, which makes bars ragged."""
    from zebrafy import ZebrafyPDF

    return lambda label: ZebrafyPDF(pdf([label]), format="Z64", dither=False, dpi=203).to_zpl().encode()


# ── WeasyPrint ──


def weasyprint_pdf(fonts: dict[bool, Path]) -> Maker:
    """HTML with each text in its place and symbols as SVG pictures; style sheet and font configuration kept."""
    import zxingcpp
    from weasyprint import CSS, HTML
    from weasyprint.text.fonts import FontConfiguration

    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    configuration = FontConfiguration()
    faces = "".join(
        f"@font-face{{font-family:peer;font-weight:{700 if bold else 400};src:url({path.as_uri()})}}"
        for bold, path in fonts.items()
    )
    style = CSS(
        string=f"{faces}@page{{size:{WIDTH_MM}mm {HEIGHT_MM}mm;margin:0}}body{{margin:0;font-family:peer;line-height:1}}"
        "div,img{position:absolute;white-space:pre}div.r{background:#000}",
        font_config=configuration,
    )
    rules = "".join(
        f'<div class=r style="left:{min(rule.x1, rule.x2)}mm;top:{min(rule.y1, rule.y2)}mm;'
        f'width:{max(abs(rule.x2 - rule.x1), RULE_MM)}mm;height:{max(abs(rule.y2 - rule.y1), RULE_MM)}mm"></div>'
        for rule in RULES
    )

    def picture(data: str, format: Any, place: str, **options: Any) -> str:
        svg = zxingcpp.create_barcode(data, format, **options).to_svg(add_quiet_zones=False)
        return (
            f'<img style="{place}" src="data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}">'
        )

    def make(label: Label) -> bytes:
        body = [
            f'<div style="left:{field.x}mm;top:{field.y}mm;font-size:{field.em}mm;'
            f'font-weight:{700 if field.bold else 400}">{_escaped(label.texts[field.key])}</div>'
            for field in FIELDS
        ]
        for (left, top, _, height), dots in zip(CODES, (3, 2), strict=True):
            place = (
                f"left:{left + 10 * dots / DOTS}mm;top:{top}mm;height:{height}mm;width:{156 * dots / DOTS}mm"
            )
            body.append(picture(label.number, zxingcpp.BarcodeFormat.Code128, place))
        left, top, side = QR
        place = f"left:{left + 2}mm;top:{top + 2}mm;width:{side - 4}mm;height:{side - 4}mm"
        body.append(picture(label.qr, zxingcpp.BarcodeFormat.QRCode, place, ec_level="M"))
        document = HTML(string=f"<!doctype html><body>{''.join(body)}{rules}</body>")
        pdf: bytes = document.write_pdf(stylesheets=[style], font_config=configuration)
        return pdf

    return make


# ── python-escpos ──


def escpos_image(fonts: dict[bool, Path]) -> Maker:
    """The label as a Pillow picture, fonts kept open, sent by python-escpos as ``GS v 0``."""
    from barcode import Code128
    from escpos.printer import Dummy
    from PIL import Image, ImageDraw, ImageFont

    opened = {
        (field.bold, field.em): ImageFont.truetype(
            str(fonts[field.bold]), round(field.em * DOTS), layout_engine=ImageFont.Layout.BASIC
        )
        for field in FIELDS
    }

    def make(label: Label) -> bytes:
        picture = Image.new("1", (WIDTH_MM * DOTS, HEIGHT_MM * DOTS), 1)
        draw = ImageDraw.Draw(picture)
        for field in FIELDS:
            place = field.x * DOTS, _baseline(field) * DOTS
            draw.text(place, label.texts[field.key], 0, opened[field.bold, field.em], anchor="ls")
        pattern = Code128(label.number).build()[0]
        row = Image.new("1", (len(pattern), 1))
        row.putdata([digit == "0" for digit in pattern])
        for (left, top, _, height), dots in zip(CODES, (3, 2), strict=True):
            bars = row.resize((len(pattern) * dots, height * DOTS), Image.Resampling.NEAREST)
            picture.paste(bars, (left * DOTS + 10 * dots, top * DOTS))
        rows = qr_rows(label.qr)
        left, top, side = QR
        matrix = Image.new("1", (len(rows), len(rows)))
        matrix.putdata([not dark for each in rows for dark in each])
        module = side * DOTS // (len(rows) + 8)
        matrix = matrix.resize((len(rows) * module, len(rows) * module), Image.Resampling.NEAREST)
        picture.paste(matrix, (left * DOTS + 4 * module, top * DOTS + 4 * module))
        for rule in RULES:
            draw.line([each * DOTS for each in rule], 0, 3)
        printer = Dummy()
        # It prints at each picture that its profile has no width, which centring alone would need.
        with redirect_stdout(io.StringIO()):
            printer.image(picture, impl="bitImageRaster")
        sent: bytes = printer.output
        return sent

    return make


# ── f-strings ──


def fstring_zpl() -> Maker:
    """A ZPL format put together field by field with f-strings, Chinese by a font in the printer."""

    def field(x: float, y: float, em: float, bold: bool, text: str) -> str:
        # What a careful author does against data that holds a command.
        text = text.replace("_", "_5F").replace("^", "_5E").replace("~", "_7E")
        return f"^FO{x * DOTS:.0f},{y * DOTS:.0f}^A@N,{em * DOTS:.0f},{em * DOTS:.0f},E:SIMSUN.TTF^FH^FD{text}^FS"

    def make(label: Label) -> bytes:
        said = [f"^XA^CI28^PW{WIDTH_MM * DOTS}^LL{HEIGHT_MM * DOTS}"]
        for each in FIELDS:
            said.append(field(each.x, each.y, each.em, each.bold, label.texts[each.key]))
        for (left, top, _, height), dots in zip(CODES, (3, 2), strict=True):
            said.append(
                f"^FO{left * DOTS + 10 * dots},{top * DOTS}^BY{dots}^BCN,{height * DOTS},N,N,N,A^FD{label.number}^FS"
            )
        left, top, _ = QR
        said.append(f"^FO{left * DOTS + 16},{top * DOTS + 16}^BQN,2,4^FDMA,{label.qr}^FS")
        for rule in RULES:
            width, height = (rule.x2 - rule.x1) * DOTS, (rule.y2 - rule.y1) * DOTS
            said.append(
                f"^FO{rule.x1 * DOTS:.0f},{rule.y1 * DOTS:.0f}^GB{max(width, 3):.0f},{max(height, 3):.0f},3^FS"
            )
        said.append("^XZ")
        return "".join(said).encode()

    return make


# ── shared ──


@cache
def font_files(chars: str, folder: Path) -> dict[bool, Path]:
    """Static fonts with these characters, regular and bold: small ones, which flatters the peers."""
    from labelsvc.labels import fonts

    files = {}
    for bold, key in ((False, "sans-500"), (True, "sans-700")):
        files[bold] = folder / f"peer-{key}.ttf"
        files[bold].write_bytes(fonts.subset_ttf(key, chars))
    return files


def qr_rows(text: str) -> list[list[bool]]:
    """The modules of a QR at level M by zxing-cpp, without quiet zone."""
    import numpy
    import zxingcpp

    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    rows: list[list[bool]] = (numpy.asarray(symbol.to_image(scale=1, add_quiet_zones=False)) == 0).tolist()
    return rows


def _baseline(field: Field) -> float:
    return field.y + ASCENT * field.em


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
