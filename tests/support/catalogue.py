"""The English catalogue of the pages against the words that stand in them: what is missing, and what nobody says any more.

python tests/support/catalogue.py          say so, exit code 1 if there is anything
python tests/support/catalogue.py --update write the catalogue anew: missing words with an empty translation, stale ones out
"""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

WEB = Path(__file__).parents[2] / "labelsvc" / "web"
CATALOGUE = WEB / "pages" / "en.po"


def spoken() -> list[str]:
    """Every message of the pages and their templates, in the order of the files."""
    found: dict[str, None] = {}
    for _file, _line, message, _comments, _context in extract_from_dir(
        str(WEB),
        [("**.py", "python"), ("ui/templates/**.html", "jinja2.ext:babel_extract")],
        options_map={"ui/templates/**.html": {"silent": "false"}},
        keywords={"_": None, "gettext": None, "lazy_gettext": None},
    ):
        found[str(message)] = None
    return list(found)


def translated() -> dict[str, str]:
    """The catalogue: message -> English."""
    with CATALOGUE.open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file, locale="en") if one.id}


def faults() -> list[str]:
    """What is wrong with the catalogue, one line each."""
    there, said = translated(), spoken()
    wrong = [f"not translated: {message}" for message in said if not there.get(message)]
    wrong += [f"said nowhere: {message}" for message in there if message not in set(said)]
    for message, english in there.items():
        for place in ("%(a)s", "%(b)s", "%(n)s", "%(v)s"):
            if english and (place in message) != (place in english):
                wrong.append(f"{place} differs: {message}")
    return wrong


def write(english: dict[str, str]) -> None:
    """Write the catalogue with these translations."""
    catalogue = Catalog(locale="en", header_comment="# The pages' words in English.", fuzzy=False)
    for message in spoken():
        catalogue.add(message, english.get(message, ""))
    with CATALOGUE.open("wb") as file:
        write_po(file, catalogue, width=0, omit_header=True)


if __name__ == "__main__":
    if "--update" in sys.argv:
        write(translated() if CATALOGUE.exists() else {})
    found = faults()
    print("\n".join(found))
    sys.exit(bool(found))
