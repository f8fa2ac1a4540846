"""The demo leaves a label that is proven printed and that scanners and eyes read."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.readers import (
    decode,
    missing_js,
    pdf_size,
    pdf_text,
    pdf_to_image,
    zpl_to_image,
    zpl_to_image_js,
)

from labelsvc.labels import DOTS_PER_MM

TEMPLATES = ("waybill-76x130", "waybill-100x180")


@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_demo_leaves_one_proven_scannable_label(template: str, tmp_path: Path):
    """The main job by its own command: the printer's bytes, the PDF and the picture all give the waybill's number."""
    out = tmp_path / "label"
    command = [sys.executable, "-m", "labelsvc", "demo", "--out", str(out), "--template", template]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((out / "demo.json").read_text())
    assert report["label_state"] == "printed"
    assert report["template"] == template
    size = round(report["width_mm"] * 8), round(report["height_mm"] * 8)
    pictures = {
        "zplkit": zpl_to_image((out / "label.zpl").read_bytes(), size),
        "pdf": pdf_to_image((out / "label.pdf").read_bytes(), DOTS_PER_MM[203] * 25.4),
        "png": Image.open(io.BytesIO((out / "label.png").read_bytes())),
    }
    if missing_js() is None:
        pictures["zpl-renderer-js"], _ = zpl_to_image_js((out / "label.zpl").read_bytes(), size)
    for reader, picture in pictures.items():
        assert {text for _, text in decode(picture)} == {report["waybill_number"]}, reader
    points = [side * 72 / 25.4 for side in (report["width_mm"], report["height_mm"])]
    assert pdf_size((out / "label.pdf").read_bytes()) == pytest.approx(points, abs=0.01)
    words = pdf_text((out / "label.pdf").read_bytes()).replace("\n", "").replace(" ", "")
    for part in ("name", "phone", "address"):
        assert report["recipient"][part].replace(" ", "") in words, part
    assert report["route_code"].replace(" ", "") in words
