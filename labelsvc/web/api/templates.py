"""The standard label templates over the API. 模板"""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from labelsvc.web.api.shape import Answer
from labelsvc.web.rooms import rooms

api = APIBlueprint("templates", __name__, url_prefix="/api/v1/templates", tag="templates")


class TemplateOut(Answer):
    name: str
    width_mm: float
    height_mm: float
    paths: list[str]


class TemplatesOut(Answer):
    items: list[TemplateOut]


@api.get("")
@api.output(TemplatesOut)
def listed() -> dict[str, Any]:
    """Every standard template, its size, and the data paths that it uses."""
    shelf = rooms().templates
    found = [shelf.get(name) for name in shelf.names()]
    return {
        "items": [
            {
                "name": template.name,
                "width_mm": template.width_mm,
                "height_mm": template.height_mm,
                "paths": sorted(template.paths),
            }
            for template in found
        ]
    }
