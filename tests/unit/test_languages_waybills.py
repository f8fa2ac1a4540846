"""The shipped waybill templates in every language, read by readers that this project did not write."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from support.readers import decode, missing_js, pdf_text, pdf_to_image, zpl_to_image, zpl_to_image_js

from labelsvc.labels import DOTS_PER_MM, StandardTemplates, compose
from labelsvc.languages import Target, encode

NUMBER = "YT0012345678901"
NAME = "欧阳𠮷㛃"
DETAIL = "文一西路969号 ^XZ~JR"
ADDRESS = {"province": "浙江省", "city": "杭州市", "district": "余杭区", "town": "五常街道", "detail": DETAIL}
DATA = {
    "waybillCode": NUMBER,
    "qr": NUMBER,
    "carrierName": "圆通速递",
    "routingInfo": {
        "routeCode": "330-A12-08",
        "bigShotName": "杭州余杭",
        "consolidation": {"name": "杭州转运中心"},
    },
    "recipient": {"name": NAME, "mobile": "13800138000", "phone": "", "address": ADDRESS},
    "sender": {"name": "云上小店", "mobile": "13900139000", "phone": "", "address": ADDRESS},
    "goods": {"summary": "T恤 × 2", "count": 2, "lines": "白色T恤 L × 2"},
    "print": {"time": "2026-11-23 20:15", "sequence": "1/1"},
}


@pytest.mark.parametrize("dpi", [203, 300])
@pytest.mark.parametrize("template", ["waybill-76x130", "waybill-100x180"])
def test_every_symbol_of_a_waybill_is_read_from_every_language(template, dpi):
    """Drawn by zplkit (as specified and as a ZD621), zpl-renderer-js and PDFium, and as PNG, each symbol gives the number."""
    page = compose(StandardTemplates().get(template), DATA, dpi)
    size = (page.width, page.height)
    zpl, pdf, png = (encode(page, Target(name, dpi), NUMBER) for name in ("zpl", "pdf", "png"))
    pictures = {
        "zplkit": zpl_to_image(zpl, size, dpi),
        "zplkit zd621": zpl_to_image(zpl, size, dpi, "zd621"),
        "pdf": pdf_to_image(pdf, DOTS_PER_MM[dpi] * 25.4),
        "png": Image.open(io.BytesIO(png)),
    }
    if missing_js() is None:
        pictures["zpl-renderer-js"], _ = zpl_to_image_js(zpl, size, dpi)
    for reader, picture in pictures.items():
        found = decode(picture)
        assert {text for _, text in found} == {NUMBER}, reader
        assert sorted(kind for kind, _ in found) == ["Code 128", "Code 128", "QR Code"], reader
    words = pdf_text(pdf).replace("\n", "")
    assert NAME in words and "330-A12-08" in words and DETAIL.replace(" ", "") in words.replace(" ", "")
