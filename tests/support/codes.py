"""docs/errors.md from the code: every error code that can reach a caller, its status, meaning, and what to do (A3).

The words stand in labelsvc/web/codes.py; which codes are raised, and as what, is read from the source's syntax trees. A code
that is raised and not listed is a fault, and so is one that is listed and raised nowhere.

    python tests/support/codes.py            say what is wrong with the list or docs/errors.md, exit code 1 if anything is
    python tests/support/codes.py --update   write docs/errors.md anew
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from labelsvc.web.codes import CODES  # noqa: E402

PAGE = ROOT / "docs" / "errors.md"
#: Programs apart, which speak the platform's numbers and not our codes; and the demo, which no program calls.
_APART = {"mockcarrier", "virtualprinter", "demo.py"}
_CODE = re.compile(r"[a-z_]+(\.[a-z_]+)?")
_FAILS = "TemplateError"


class Source:
    """The package's error classes and the places that make errors; ``raised`` is code -> statuses, ``open_`` what is unclear."""

    def __init__(self, modules: dict[str, ast.Module]) -> None:
        self._classes = {
            node.name: node
            for module in modules.values()
            for node in ast.walk(module)
            if isinstance(node, ast.ClassDef)
        }
        self.raised: dict[str, set[int]] = defaultdict(set)
        self.open_: list[str] = []
        for name, module in modules.items():
            self._read(name, module)

    def _errors(self, name: str) -> Iterator[ast.ClassDef]:
        """The class and its bases up to the root, if it is an error."""
        chain = []
        while name in self._classes:
            chain.append(self._classes[name])
            if name == "LabelsvcError":
                yield from chain
                return
            bases = [base.id for base in chain[-1].bases if isinstance(base, ast.Name)]
            name = bases[0] if bases else ""

    def _said(self, name: str, what: str) -> object:
        """A class's ``status`` or ``default_code``, its own or inherited."""
        for one in self._errors(name):
            for node in one.body:
                if isinstance(node, ast.Assign) and any(ast.unparse(at) == what for at in node.targets):
                    return ast.literal_eval(node.value)
        raise LookupError(f"{name} has no {what}")

    def _by_itself(self, name: str) -> set[str]:
        """The codes of an error whose maker names none: what its constructor chooses, or the class's own."""
        for one in self._errors(name):
            if one.name == "LabelsvcError":
                break
            for call in ast.walk(one):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    said = next((each.value for each in call.keywords if each.arg == "code"), None)
                    if isinstance(said, ast.Constant):
                        return {str(said.value)}
                    if isinstance(said, ast.BoolOp):  # code or (None if ... else "other")
                        return set(_texts(said)) | {str(self._said(name, "default_code"))}
        return {str(self._said(name, "default_code"))}

    def _read(self, module: str, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                self._table(node)
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            code = next((one.value for one in node.keywords if one.arg == "code"), None)
            where = f"{module}:{node.lineno}"
            if called == "unfit":
                self._note(where, 422, node.args[2])
            elif called == "fail" and code is not None:
                self._note(where, int(str(self._said(_FAILS, "status"))), code)
            elif list(self._errors(called)):
                status = int(str(self._said(called, "status")))
                if code is None:
                    for one in self._by_itself(called):
                        self.raised[one].add(status)
                else:
                    self._note(where, status, code)
            elif called == "Outcome" and len(node.args) > 3:  # a refusal told later, to whoever asks
                for one in _texts(node.args[3]):
                    self.raised[one].add(422)
            elif called == "values" and isinstance(code, ast.Constant) and code.value:
                self.raised[str(code.value)].update(())  # stored as an item's result
            elif called == "_answer" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                status = node.args[0]
                self.raised[str(node.args[1].value)].add(
                    int(status.value) if isinstance(status, ast.Constant) else 422
                )

    def _table(self, node: ast.Assign | ast.AnnAssign) -> None:
        """The network's texts and HTTP's own statuses stand in tables."""
        names = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is None or not isinstance(names[0], ast.Name):
            return
        if names[0].id == "_SENSES":
            for _, code, _sense in ast.literal_eval(node.value):
                self.raised[code].add(422)
        if names[0].id == "_HTTP":
            for status, (code, _detail) in ast.literal_eval(node.value).items():
                self.raised[code].add(status)
            self.raised["http"].update(())

    def _note(self, where: str, status: int, code: ast.expr) -> None:
        if isinstance(code, ast.Constant):
            self.raised[str(code.value)].add(status)
        elif isinstance(code, ast.JoinedStr):
            form = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in code.values)
            fitting = [one for one in CODES if one == form] or [
                one for one in CODES if fnmatchcase(one, form)
            ]
            for one in fitting or [form]:
                self.raised[one].add(status)
        elif isinstance(code, ast.Attribute) or "reason" in ast.unparse(code):
            for one in _texts(code):  # passed on from an error, or from what was stored of one
                self.raised[one].add(status)
        elif not (isinstance(code, ast.Name) and code.id in ("word", "code")):  # of a table, of a caller
            self.open_.append(f"{where}: which codes can {ast.unparse(code)} be?")


def _texts(node: ast.expr) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and _CODE.fullmatch(one.value):
            yield one.value


def read(folder: Path = ROOT / "labelsvc") -> Source:
    """What the package raises."""
    files = sorted(path for path in folder.rglob("*.py") if not _APART & set(path.relative_to(folder).parts))
    return Source({str(path.relative_to(folder)): ast.parse(path.read_text()) for path in files})


def page(raised: dict[str, set[int]]) -> str:
    """The page's text."""
    lines = [
        "# Error codes",
        "",
        "Every problem of the API, every item's result and every error of the command line carries a `code`. Codes are stable: one that",
        "is listed keeps its meaning. New ones may come; treat an unknown one by its status. `errors` names fields, `detail` is for people,",
        "neither repeats what was sent. 401 to 422 won't go away by asking again unchanged; 503 may, and with the same idempotency key it is",
        "safe. Under 503 a code may also tell what an open call waits for. No status: it is an item's result, or HTTP's own.",
        "",
        "Written by `python tests/support/codes.py --update` from labelsvc/web/codes.py and the code; `./dev check` compares.",
        "",
        "| code | status | meaning | what to do |",
        "|---|---|---|---|",
    ]
    for code, (meaning, advice) in sorted(CODES.items()):
        statuses = ", ".join(str(status) for status in sorted(raised.get(code, ())))
        lines.append(f"| `{code}` | {statuses} | {meaning} | {advice} |")
    return "\n".join([*lines, ""])


def faults(source: Source) -> list[str]:
    """What is wrong with the list and with the page."""
    wrong = [
        *source.open_,
        *(
            f"{code}: raised, and not in labelsvc/web/codes.py"
            for code in sorted(source.raised.keys() - CODES.keys())
        ),
        *(f"{code}: listed, and raised nowhere" for code in sorted(CODES.keys() - source.raised.keys())),
    ]
    if not PAGE.exists() or PAGE.read_text() != page(source.raised):
        wrong.append("docs/errors.md isn't up to date: python tests/support/codes.py --update")
    return wrong


if __name__ == "__main__":
    found = read()
    if "--update" in sys.argv:
        PAGE.write_text(page(found.raised))
    said = faults(found)
    print("\n".join(said))
    sys.exit(bool(said))
