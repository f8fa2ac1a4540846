"""The process that runs templates' scripts: a program apart, started by ``script.py``, which trusts nothing it says.

Hides the JavaScript engine (quickjs-ng: an interpreter without JIT) and its limits. It stands in a process of its own
because the engine looks at its time limit between its own instructions only: ``[].sort`` on a long empty array runs on
for minutes, and a fault of the engine must end this process and not the daemon. The process opens no file and no
connection once it has begun, has few megabytes and little time, and gets one script after another, each in a context
made for it alone: no label's data can be kept for the next.

Messages are JSON behind four bytes of length. It imports nothing of labelsvc, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO

#: What a script may take: seconds of processor time, bytes of the engine's heap and stack, characters of its answer.
CPU_S = 0.25
MEMORY = 16 << 20
STACK = 256 << 10
ANSWER = 1 << 20
#: What the whole process may take.
_ADDRESS_SPACE = 512 << 20

# Runs in the fresh context before the template's script, keeps what it needs of the language to itself, and takes away
# what no label needs. The answer is two lists: which pieces of the template the script said, in order (-1: a value),
# and the values as texts. Whatever a script does to this, the other side takes nothing but small numbers and texts.
_PRELUDE = r"""
(function () {
  "use strict";
  var parse = JSON.parse, stringify = JSON.stringify, freeze = Object.freeze, text = String, keys = Object.keys;
  var apply = Reflect.apply, replace = String.prototype.replace, big = 20000;
  ["eval", "Atomics", "SharedArrayBuffer", "WeakRef", "FinalizationRegistry", "performance", "queueMicrotask"].forEach(
    function (name) { delete globalThis[name]; });
  function frozen(root) {
    var todo = [root], next, name, names, at;
    while (todo.length) {
      next = todo[todo.length - 1];
      todo.length -= 1;
      if (next !== null && typeof next === "object") {
        freeze(next);
        names = keys(next);
        for (at = 0; at < names.length; at += 1) todo[todo.length] = next[names[at]];
      }
    }
    return root;
  }
  return function (script, data, context) {
    var pieces = [], values = [];
    data = frozen(parse(data));
    context = frozen(parse(context));
    function piece(number) {
      if (pieces.length >= big) throw new RangeError("label is too long");
      pieces[pieces.length] = number;
    }
    function value(found) {
      var kind = typeof found;
      if (found === undefined || found === null) found = "";
      else if (kind !== "string" && kind !== "number" && kind !== "boolean" && kind !== "bigint")
        throw new TypeError("not a text, a number or a truth value");
      piece(-1);
      values[values.length] = text(found);
    }
    script(data, context.config, freeze({
      documentNumber: function () { return context.number; },
      documentCount: function () { return context.count; },
      formatStartTime: function (pattern) {
        return apply(replace, text(pattern), [new RegExp(context.letters, "g"), function (letters) {
          return context.words[letters];
        }]);
      }
    }), piece, value);
    return stringify([pieces, values]);
  };
})()
""".replace("\n", " ")  # one line: what errors say of later lines is the script's own


def main(lines: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more: ``{"script"}`` is compiled, with ``"data"`` and ``"context"`` also run."""
    import quickjs

    _close_the_door()
    fresh = _fresh(quickjs)
    while len(header := lines.read(4)) == 4:
        request = json.loads(lines.read(struct.unpack(">I", header)[0]))
        _allow_cpu()
        answer = json.dumps(_answer(quickjs, *fresh, request)).encode()
        answers.write(struct.pack(">I", len(answer)) + answer)
        answers.flush()
        fresh = _fresh(quickjs)  # for the next script, while nobody waits


def _close_the_door() -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's Ctrl-C is for the parent, whose end is our end
    os.chdir("/")
    limits = {
        resource.RLIMIT_CORE: 0,  # a core file would hold labels
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 3,  # standard input, output and error are open: nothing more can be
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_AS: _ADDRESS_SPACE,
    }
    for limit, wanted in limits.items():
        _, hard = resource.getrlimit(limit)
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(limit, (allowed, allowed))
        except (OSError, ValueError):  # macOS has no limit on address space
            continue


def _allow_cpu() -> None:
    """The system ends the process one to two seconds of processor time from now, should the engine's limit not hold."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _fresh(quickjs: Any) -> tuple[Any, Any]:
    """A context for one script, and the function that runs one in it."""
    context = quickjs.Context()
    context.set_memory_limit(MEMORY)
    context.set_max_stack_size(STACK)
    context.set_time_limit(CPU_S)
    return context, context.eval(_PRELUDE)


def _answer(quickjs: Any, context: Any, run: Any, request: dict[str, str]) -> dict[str, str]:
    try:
        script = context.eval(request["script"])
        if "data" not in request:
            return {}
        said = run(script, request["data"], request["context"])
    except (quickjs.JSException, ValueError, TypeError, MemoryError) as error:
        return {"error": str(error)[:2000]}
    if not isinstance(said, str) or len(said) > ANSWER:
        return {"error": "RangeError: label is too long"}
    return {"said": said}


if __name__ == "__main__":
    sys.path.append(sys.argv[1])  # where the engine is: nothing else is looked for
    main(sys.stdin.buffer, sys.stdout.buffer)
