"""The scripts of a template: ``<% … %>`` compiled to a program that says, for each label, which pieces of the template
stand in it and what its values are.

Hides how scripts and markup are told apart, the process that runs them (``interpreter.py``), and its limits. A program
never holds or makes markup: it names pieces by their number and gives values as texts, so a script, even one that breaks
out of its engine, can do no more than put the template's own pieces in another order and fill its places.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import queue
import re
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from labelsvc.errors import TemplateError, Unavailable

#: How long an interpreter may take over a label, in seconds of the clock. Its own limit, of processor time, is a quarter of
#: a second; this one holds where the engine doesn't look at its own.
PATIENCE_S = 5.0
#: How many scripts run at once.
INTERPRETERS = 2
#: What a program may be long, its includes counted.
MAX_CODE = 512 * 1024
#: The most pieces and values of one label; the interpreter stops there too.
MAX_PIECES = 20_000
_LONGEST_ANSWER = 8 << 20
#: From here on a JavaScript number is no longer exact.
_EXACT = 2**53 - 1

_SCRIPT = re.compile(r"<%(.*?)%>|<%", re.DOTALL)
_INCLUDE = re.compile(r"""@\s*include\s+(?:file\s*=\s*)?(?:"([^"\n]*)"|'([^'\n]*)')\s*""")
# These go on with a statement of the script before: blanks between the two are no piece of the label.
_GOES_ON = re.compile(r"\s*(?:\}?\s*(?:else|catch|finally)\b|case\b|default\s*:)")
_WHERE = re.compile(r"<input>:([0-9]+)(?::[0-9]+)?\)?\s*$", re.MULTILINE)
_WORD = re.compile(r"[\w$]+")
#: The words of the engine's own messages. A message with others may quote data.
_ENGINE_WORDS = frozenset(
    _WORD.findall("""
    a an and argument array assignment at be call called cannot circular class code const constructor convert
    could defined delete does duplicate end exceeded expected expecting expression field for found from function
    get got has have identifier in initialized initializer inside instance interrupted invalid is it iterable
    label left length lexical limit literal long main maximum memory method missing must name negative not null
    number object of operand operator or out own parameter private property proto prototype read redeclaration
    reference regexp regular reserved result return set should side size stack statement strict string syntax
    take text the this to token too truth type undefined unexpected unsupported unterminated value variable
    while with without writable yield
    """)
)


class Piece(NamedTuple):
    """A stretch of a template between its scripts, and the line it begins on."""

    text: str
    line: int


class Code(NamedTuple):
    """A ``<% … %>``: what stands in it, ``=`` or ``@`` included, its line, and how many line breaks it has."""

    text: str
    line: int
    breaks: int


def split(text: str) -> Iterator[Piece | Code]:
    r"""The pieces and scripts of a template in order; ``<\%`` and ``%\>`` are taken back to what they stand for."""
    at, line = 0, 1
    for match in _SCRIPT.finditer(text):
        if match.start() > at:
            before = text[at : match.start()]
            yield Piece(_unescaped(before), line)
            line += before.count("\n")
        if match[1] is None:
            raise TemplateError(
                f"Line {line}: a script without its end, %>", code="template.script", line=line
            )
        breaks = match[0].count("\n")
        yield Code(_unescaped(match[1]), line, breaks)
        line += breaks
        at = match.end()
    if at < len(text):
        yield Piece(_unescaped(text[at:]), line)


def _unescaped(text: str) -> str:
    return text.replace("<\\%", "<%").replace("%\\>", "%>")


@dataclass(frozen=True)
class Said:
    """What a program said for one label: the numbers of pieces in order, -1 where a value stands, and the values."""

    pieces: tuple[int, ...]
    values: tuple[str, ...]


class Program:
    """The scripts of a template as one function; ``pieces`` is what it puts in order.

    ``statements`` is false where there are values only: then every label has all pieces, and only the values differ.
    """

    def __init__(self, parts: Sequence[Piece | Code], includes: Mapping[str, str]) -> None:
        self.pieces = [part for part in parts if isinstance(part, Piece)]
        self.statements = any(isinstance(part, Code) and not part.text.startswith("=") for part in parts)
        self._lines: list[int] = []
        self._words = {word for part in parts if isinstance(part, Code) for word in _WORD.findall(part.text)}
        self._source = self._written(parts, includes)
        answer = _interpreters.ask({"script": self._source})
        if "error" in answer:
            self._fail(answer["error"])

    def run(self, data: Mapping[str, Any], context: Mapping[str, Any]) -> Said:
        """What the template says of a label's data; TemplateError with the line of the script that fails, code
        ``template.script``, or ``template.script_limit`` where it takes too much. ``context`` is as the interpreter's
        prelude wants it."""
        try:
            plain = json.dumps(_exact(data), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise TemplateError("The data is not plain JSON, which scripts need", field="data") from None
        answer = _interpreters.ask(
            {"script": self._source, "data": plain, "context": json.dumps(context, allow_nan=False)}
        )
        if "error" in answer:
            self._fail(answer["error"])
        return self._checked(answer.get("said", ""))

    def _written(self, parts: Sequence[Piece | Code], includes: Mapping[str, str]) -> str:
        """The function's source; ``_lines`` is the template's line of each of its lines."""
        source: list[str] = []
        number = 0
        for at, part in enumerate(parts):
            if isinstance(part, Piece):
                following = parts[at + 1] if at + 1 < len(parts) else None
                goes_on = isinstance(following, Code) and _GOES_ON.match(following.text)
                if self.statements and not (goes_on and not part.text.strip()):
                    source.append(f"$piece({number});\n")
                    self._lines.append(part.line)
                number += 1
                continue
            code = part.text
            if "\0" in code:
                raise TemplateError(
                    f"Line {part.line}: a NUL in a script", code="template.script", line=part.line
                )
            if code.startswith("="):
                source.append(f"$value(({code[1:].rstrip().rstrip(';')}\n));\n")
                self._lines += [part.line + n for n in range(code[1:].rstrip().count("\n") + 1)] + [part.line]
            elif code.startswith("@"):
                included = self._included(part, includes)
                source.append(included + "\n")
                self._lines += [part.line] * (included.count("\n") + 1)
            else:
                source.append(code + "\n")
                self._lines += [part.line + n for n in range(part.breaks + 1)]
            if sum(map(len, source)) > MAX_CODE:
                raise TemplateError(
                    "The template's scripts are too long", code="template.too_long", line=part.line
                )
        return "(function (_data, _config, _context, $piece, $value) {\n" + "".join(source) + "})"

    def _included(self, part: Code, includes: Mapping[str, str]) -> str:
        match = _INCLUDE.fullmatch(part.text)
        name = (match[1] or match[2] or "") if match else ""
        if not match or name not in includes:
            raise TemplateError(
                f"Line {part.line}: " + ("includes a file that isn't allowed" if match else "not an include"),
                code="template.script",
                line=part.line,
            )
        self._words |= set(_WORD.findall(includes[name]))
        return includes[name].replace("\0", "")

    def _fail(self, message: str) -> NoReturn:
        kind, _, rest = message.partition("\n")
        if any(limit in kind for limit in _LIMITS):
            reason = next(reason for limit, reason in _LIMITS.items() if limit in kind)
            raise TemplateError(f"A script takes too much: {reason}", code="template.script_limit")
        found = [int(number) - 2 for number in _WHERE.findall(rest) if number != "1"]  # the prelude is line 1
        # What a script throws, and the names in a message, can be data: only what the template says itself is told.
        known = all(word in self._words or word.lower() in _ENGINE_WORDS for word in _WORD.findall(kind)[1:])
        told = kind if known and re.match(r"[A-Za-z]*Error: ", kind) else "an error was thrown"
        if not found:  # what is thrown needn't be an Error, and says then not from where
            raise TemplateError(f"A script of the template: {told}", code="template.script", element="script")
        # An error past the last line is about the end of the script: a brace that is missing.
        line = self._lines[min(found[0], len(self._lines) - 1)] if self._lines else 1
        raise TemplateError(
            f"Line {line}, script: {told}", code="template.script", element="script", line=line
        )

    def _checked(self, said: str) -> Said:
        """The answer, if it is one: numbers of pieces there are, and as many texts as it has values."""
        try:
            pieces, values = json.loads(said)
        except (ValueError, TypeError, RecursionError):
            pieces, values = None, None
        if (
            not isinstance(pieces, list)
            or not isinstance(values, list)
            or len(pieces) > MAX_PIECES
            or not all(type(one) is int and -1 <= one < len(self.pieces) for one in pieces)
            or not all(isinstance(one, str) for one in values)
            or sum(one == -1 for one in pieces) != len(values)
        ):
            raise TemplateError("The template's scripts gave no label", code="template.script")
        return Said(tuple(pieces), tuple(values))


_LIMITS = {
    "interrupted": "time",
    "out of memory": "memory",
    "call stack": "depth of calls",
    "too long": "length",
    "array length": "memory",
}


def _exact(value: Any) -> Any:
    """The data with whole numbers that JavaScript can't hold as texts: an order's number must not change its last digits."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, Mapping):
        return {str(key): _exact(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(inner) for inner in value]
    return value


# ── the processes ───────────────────────────────────────────────────────────────────────────────────────────────────


class _Broken(Exception):
    """The interpreter ended, or doesn't answer."""


class _Interpreter:
    """One process that runs scripts, as long as it behaves."""

    def __init__(self) -> None:
        engine = importlib.util.find_spec("quickjs")
        if not engine or not engine.origin:
            raise Unavailable("The engine for templates' scripts isn't installed", code="script.unavailable")
        program = Path(__file__).with_name("interpreter.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), str(Path(engine.origin).parent.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={"TZ": "CST-8"},  # Asia/Shanghai, written so that no time zone files are needed
        )

    def ask(self, message: bytes) -> bytes:
        """The answer to a request; _Broken if there is none in time."""
        until = time.monotonic() + PATIENCE_S
        self._write(struct.pack(">I", len(message)) + message, until)
        (size,) = struct.unpack(">I", self._read(4, until))
        if size > _LONGEST_ANSWER:
            raise _Broken
        return self._read(size, until)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def _write(self, message: bytes, until: float) -> None:
        assert self.process.stdin
        descriptor = self.process.stdin.fileno()
        os.set_blocking(descriptor, False)
        view = memoryview(message)
        while view:
            _wait(descriptor, select.POLLOUT, until)
            try:
                view = view[os.write(descriptor, view) :]
            except OSError:
                raise _Broken from None

    def _read(self, size: int, until: float) -> bytes:
        assert self.process.stdout
        descriptor = self.process.stdout.fileno()
        got = bytearray()
        while len(got) < size:
            _wait(descriptor, select.POLLIN, until)
            part = os.read(descriptor, min(size - len(got), 1 << 16))
            if not part:
                raise _Broken
            got += part
        return bytes(got)


def _wait(descriptor: int, event: int, until: float) -> None:
    poll = select.poll()  # select() refuses descriptors over 1024, and a daemon has many
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
        raise _Broken


class _Interpreters:
    """Some interpreters, started when first needed, each used by one thread at a time."""

    def __init__(self) -> None:
        self._begin()
        atexit.register(self.end)

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._free = threading.BoundedSemaphore(INTERPRETERS)
        self._idle: queue.SimpleQueue[_Interpreter] = queue.SimpleQueue()

    def ask(self, request: Mapping[str, str]) -> dict[str, str]:
        """What an interpreter answers. One that breaks is replaced; the script that broke it took too much."""
        if self._owner != os.getpid():  # a fork has the parent's pipes: both would read from them
            self._begin()
        message = json.dumps(request).encode()
        with self._free:
            one = self._taken()
            try:
                answer = json.loads(one.ask(message))
            except (_Broken, ValueError, RecursionError):
                one.end()
                return {"error": "interrupted"}
            except BaseException:
                one.end()
                raise
            self._idle.put(one)
        return answer if isinstance(answer, dict) else {}

    def _taken(self) -> _Interpreter:
        while True:
            try:
                one = self._idle.get_nowait()
            except queue.Empty:
                return _Interpreter()
            if one.process.poll() is None:
                return one
            one.end()  # ended from outside while it waited

    def end(self) -> None:
        """End those that wait for work."""
        if self._owner == os.getpid():
            while not self._idle.empty():
                self._idle.get_nowait().end()


_interpreters = _Interpreters()
