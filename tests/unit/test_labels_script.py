"""Scripts of templates: what they say, what they can't reach, and what stops them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelsvc.errors import TemplateError, Unavailable
from labelsvc.labels import Context, parse, script


def page(inner):
    return f'<page width="76" height="130">{inner}</page>'


def texts(inner, data=None, context=None, includes=None):
    """What the texts on the label say."""
    bound = parse(page(inner), includes=includes).bind(data or {}, context)
    return [
        element.fill(element.content, bound)
        for element in bound.root.walk()
        if element.tag in {"text", "barcode"}
    ]


def value(expression, data=None, context=None):
    """What one expression of JavaScript comes to."""
    (said,) = texts(f"<text><![CDATA[<%= {expression} %>]]></text>", data, context)
    return said


# -- what scripts do -------------------------------------------------------------------------------------------------

GOODS = {"goods": [{"name": "茶", "count": 2}, {"name": "碗 & <b>", "count": 1}], "cod": True, "n": 7}


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("<% if (_data.cod) { %><text>代收</text><% } else { %><text>普通</text><% } %>", ["代收"]),
        ("<% if (!_data.cod) { %><text>代收</text><% } %>\n\n<% else { %><text>普通</text><% } %>", ["普通"]),
        ("<% if (_data.n) %><text>a</text><% else %><text>b</text><% ; %>", ["a"]),
        (
            "<% for (i = 0; i < _data.goods.length; i++) { %><text><%= i + 1 %> <%= _data.goods[i].name %></text><% } %>",
            ["1 茶", "2 碗 & <b>"],
        ),
        (
            "<% _data.goods.forEach(function (one) { // a remark\n %><text value='<%= one.name;%>×<%=one.count // so\n%>'/><% }) %>",
            ["茶×2", "碗 & <b>×1"],
        ),
        ("<% var a = 1 %><% a += 2 %><text><%= a %></text>", ["3"]),
        ("<% switch (_data.n) { %>\n<% case 7: %><text>sieben</text>\n<% break;\n default: %><text>x</text><% } %>", ["sieben"]),
        ("<% function row(x) { %><text><%= x %></text><% } row(1); row('b') %>", ["1", "b"]),
        ("<text left=\"<% if (_data.cod) { %>1<% } else { %>2<% } %>\"><%= _data.n * 2 %></text>", ["14"]),
        ("<table><% for (var i = 0; i < 3; i++) { %><tr><td><%= i %></td></tr><% } %></table>", ["0", "1", "2"]),
        ("<text><![CDATA[<\\% x %\\>]]></text>", ["<% x %>"]),
        ("<text><%= '%\\>' %></text>", ["%>"]),
        ("<text><%= _data.goods.map(function (g) { return g.name }).join('+') %></text>", ["茶+碗 & <b>"]),
        ("<text><%= new Date(0).getHours() %></text>", ["8"]),
    ],
)  # fmt: skip
def test_scripts_show_hide_and_repeat(inner, said):
    """Conditions, loops, functions and expressions of ES5, in content and in attributes; escapes; Shanghai's time."""
    assert texts(inner, GOODS) == said


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("_data.none", ""), ("null", ""), ("0.1 + 0.2", "0.30000000000000004"), ("1e21", "1e+21"), ("1 / 0", "Infinity"),
        ("true", "true"), ("'' + {}", "[object Object]"), ("2 + 2", "4"), ("'a\\u0000b'", "a\0b"), ("'\\ud842\\udfb7'", "𠮷"),
        ("_data.id + ''", "2026030812345678901"), ("_data.list[2] + 1", "4"), ("_data['收件人']+''", "张三"),
    ],
)  # fmt: skip
def test_values_come_as_scripts_write_them(expression, said):
    """Nothing for what is missing; a whole number too long for JavaScript keeps its last digits."""
    data = {"id": 2026030812345678901, "list": [1, 2, 3], "收件人": "张三"}
    assert value(expression, data) == said


def test_numbers_are_written_alike_with_and_without_an_engine():
    """A template doesn't print another number because there is a script elsewhere in it."""
    numbers = [0, -0.0, 1.5, 2.0, 1e-7, 1.25e-10, 1e16, 1e20, 1e21, 1.5e300, 123456789.125, -3, 2**53]
    plain = "<text><![CDATA[" + "|".join(f"<%= _data.n[{n}] %>" for n in range(len(numbers))) + "]]></text>"
    bound = parse(page(plain)).bind({"n": numbers})
    (element,) = bound.root.children
    assert element.fill(element.content, bound) == texts("<% %>" + plain, {"n": numbers})[0]


def test_context_and_config_are_the_same_in_scripts():
    """Bound without an engine or called from a script: one answer."""
    context = Context(3, 7, datetime(2026, 3, 8, 22, 5, 9, 41000, UTC), top_logo=False, bottom_logo=True)
    calls = [
        "_context.documentNumber()", "_context.documentCount()", "_config.needTopLogo", "_config.needBottomLogo",
        "_context.formatStartTime('yyyy-MM-dd HH:mm:ss.S yy/M/d h:m:s hh E EE EEE SSS')",
    ]  # fmt: skip
    for call in calls:
        assert value(f"'' + {call}", {}, context) == value(call, {}, context) != ""


def test_a_template_without_statements_has_one_tree():
    """Expressions alone change no element, so that a layout can be kept for all labels."""
    template = parse(page("<text><%= _data.x + 1 %> <%= _data.y %></text>"))
    first, second = template.bind({"x": 1, "y": "a"}), template.bind({"x": 2, "y": "b"})
    assert first.root is second.root is template.root
    (text,) = template.root.children
    assert [text.fill(text.content, bound) for bound in (first, second)] == ["2 a", "3 b"]
    assert text.depends("body")
    assert set(template.paths) == {"x", "y"}
    assert parse(page("<% for (var i = 0; i < _data.a.b.length; i++) { } %>")).paths == ("a.b",)


def test_labels_with_the_same_elements_share_a_tree():
    """Of a template with statements, a tree is read once for each shape that labels take."""
    template = parse(page("<% for (var i = 0; i < _data.n; i++) { %><text><%= _data.x %></text><% } %>"))
    a, b, c = (template.bind({"n": n, "x": x}) for n, x in ((2, "u"), (2, "v"), (3, "u")))
    assert a.root is b.root
    assert (len(a.root.children), len(c.root.children)) == (2, 3)
    assert [[one.fill(one.content, bound) for one in bound.root.children] for bound in (a, b)] == [
        ["u"] * 2,
        ["v"] * 2,
    ]
    for n in range(60):
        template.bind({"n": n, "x": ""})
    assert len(template._trees) <= 32


HOSTILE = [
    "<text/>",
    "]]><bogus/>",
    '"/><text value="',
    "&lt;",
    "<% x %>",
    "\uf8fe0\uf8ff",
    "\uf8fd",
    "a\0b",
    "\ud800",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_script_says_is_never_markup(hostile):
    """Values are set aside and filled after the XML is read, whatever is in them."""
    for template in (
        '<% %><text value="<%= _data.x %>"/>',
        "<% if (1) { %><text><![CDATA[<%= _data.x + '' %>]]></text><% } %>",
    ):
        assert texts(template, {"x": hostile}) == [hostile]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_data_goes_through_a_script_unchanged(text):
    """What goes into the engine comes out of it, character by character."""
    assert value("_data.x + ''", {"x": text}) == text


def test_included_scripts_come_from_the_caller_only():
    """A name on the caller's list stands for its code; no other name, path or URL is opened."""
    includes = {"print.js": "function twice(x) {\n return x + x; // so\n}"}
    inner = '<%@ include "print.js" %><text><%= twice(_data.x) %></text>'
    assert texts(inner, {"x": "ab"}, includes=includes) == ["abab"]
    for name in ("print.js", "other.js", "../print.js", "http://h/print.js", "/etc/passwd", ""):
        with pytest.raises(TemplateError, match="isn't allowed") as caught:
            parse(page(f'\n<%@ include "{name}" %>'))
        assert (caught.value.code, caught.value.facts["line"]) == ("template.script", 2)
    with pytest.raises(TemplateError, match="too long"):
        parse(page('<%@ include "a" %>' * 3), includes={"a": "/*" + "x" * 200_000 + "*/"})


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "line", "reason"),
    [
        ("\n<text><%= _data.a.b.c + 1 %></text>", 2, "cannot read property 'b' of undefined"),
        ("\n\n<%\n\n var a = _data.x;\n a.b.c %>", 6, "TypeError"),
        ("\n<% nothing() %>", 2, "nothing is not defined"),
        ("<text><%= 1 %></text>\n<text>\n<%= _data.x() %></text>", 3, "not a function"),
        ("\n<%\nthrow new Error('xyz') %>", 3, "Error: xyz"),
        ("<% function f() { g() }\nfunction g() {\n _data.x.y.z } %>\n\n<% f() %>", 3, "TypeError"),
        ("\n<% if (1) { %>\n<text/>", 2, "SyntaxError"),
        ("\n<%= {} %>", 2, "not a text, a number or a truth value"),
        ("\n\n<%= function () {} %>", 3, "not a text"),
        ("\n\n<%= {} %>\n<% var a = 1;\n\n\n\n\n %>", 3, "not a text"),
        ("<% var f =\n function () { null.x } %>\n<%\n[1].forEach(f)\n\n\n %>", 2, "of null"),
        ("\n<%= 'x' 'y' %>", 2, "SyntaxError"),
    ],
)
def test_a_scripts_error_names_the_templates_line(inner, line, reason):
    """When it is compiled or when it runs, in statements, values and functions; the element is "script"."""
    with pytest.raises(TemplateError) as caught:
        parse(page("<text>" + inner + "</text>") if "<text" not in inner else page(inner)).bind({})
    assert reason in caught.value.detail
    assert (caught.value.code, caught.value.facts["line"]) == ("template.script", line)
    assert caught.value.facts["element"] == "script"


def test_what_is_no_error_says_not_where():
    """Anything can be thrown; the template's error then has no line, and not what was thrown."""
    with pytest.raises(TemplateError, match="A script of the template: an error was thrown") as caught:
        parse(page("<% throw 'x' %>")).bind({})
    assert (caught.value.code, caught.value.facts) == ("template.script", {"element": "script"})


@pytest.mark.parametrize(
    "code",
    [
        "throw _data.name", "throw new Error(_data.name)", "_data[_data.name].x", "null[_data.name]", "JSON.parse(_data.name)",
        "new RegExp('(' + _data.name)", "_data.name()", "decodeURIComponent(_data.name + '%')", "undefined[_data.name]()",
        "throw {toString: function () { return _data.name }}", "var e = new Error('x'); e.name = _data.name; throw e",
        "var e = new Error('x'); e.stack = _data.name; throw e", "Object.defineProperty(_data, _data.name, {value: 1})",
    ],
)  # fmt: skip
def test_an_error_never_tells_data(code):
    """Whatever a script throws, with whatever in it, the error has none of the label's data."""
    with pytest.raises(TemplateError) as caught:
        parse(page(f"<% {code} %>")).bind({"name": "Zhang Xiaoming13912345678"})
    assert "Xiaoming" not in caught.value.detail + json.dumps(caught.value.facts)


def test_what_statements_can_put_in_is_checked_without_data():
    """A wrong element or value in a branch is told when the template is read; what only seems wrong because both
    branches are looked at, isn't."""
    for inner, line in (
        ("\n<% if (_data.x) { %>\n<bogus/><% } %>", 3),
        ("<% if (_data.x) { %><text\n/>\n<text style='fontSize:big'/><% } %>", 3),
        ("<% if (_data.x) { %>\n<table><td/></table><% } %>", 2),
        ("<% if (_data.x) { %>\n<text left='<%= _data.x %>' colour='a'/><% } %>", 2),
    ):
        with pytest.raises(TemplateError) as caught:
            parse(page(inner))
        assert caught.value.facts["line"] == line
    for inner in (
        "<% if (_data.x) { %><header height='1'/><% } else { %><header height='2'/><% } %>",
        "<% if (_data.x) { %><layout left='1'><% } else { %><layout left='2'><% } %></layout>",
        "<text left='<% if (_data.x) { %>1mm<% } else { %>2mm<% } %>'/>",
        "<text style='<% if (_data.x) { %>fontSize:9<% } else { %>fontSize:10<% } %>;align:center'/>",
        "<text <% if (_data.x) { %>left='1'<% } %>/>",
        "<table><tr><td><% if (1) { %><text/><% } %></td></tr></table>",
    ):
        assert parse(page(inner)).bind({"x": 1}).root.children


def test_the_tree_of_a_label_is_checked():
    """What the scripts make of this data is held to the same rules, with the template's line."""
    for inner, line, reason in (
        ("\n<text left='<%= _data.x %>'/>", 2, "measure"),
        ("\n<% if (_data.x) { %>\n\n<layout><% } %>\n", 5, "well-formed"),
        ("\n<% for (var i = 0; i < 2; i++) { %>\n<header height='1'/><% } %>", 3, "one header"),
        ("\n<% for (var i = 0; i < 6001; i++) { %><rect/><rect/><rect/><rect/><% } %>", 2, "more than 20000 elements"),
        ("<% for (var i = 0; i < 40; i++) { %>\n<layout><% }; for (i = 0; i < 40; i++) { %></layout><% } %>", 2, "32 levels"),
    ):  # fmt: skip
        with pytest.raises(TemplateError, match=reason) as caught:
            bound = parse(page(inner)).bind({"x": "secret"})
            for element in bound.root.walk():
                element.length("left", bound)
        assert caught.value.facts["line"] == line
        assert "secret" not in caught.value.detail


def test_scripts_decide_nothing_about_the_paper():
    """Width and height of the page are those that the template was read with."""
    text = '<% if (_data.x) { %><page width="10" height="9"><% } else { %><page width="10" height="8"><% } %></page>'
    template = parse(text)
    assert (template.width_mm, template.height_mm) == (10, 9)
    assert template.bind({"x": 1}).root.tag == "page"
    with pytest.raises(TemplateError, match="can't depend"):
        template.bind({"x": 0})
    assert (
        parse('<% var a = 1; %>\n<?xml version="1.0"?>\n<page width="9" height="9"/>').bind({}).root.line == 3
    )


def test_data_that_is_not_json_is_refused():
    """Scripts get plain JSON; anything else is an error of the data, not of the engine."""
    template = parse(page("<% %>"))
    for wrong in (float("nan"), object(), {1, 2}, b"x"):
        with pytest.raises(TemplateError, match="plain JSON"):
            template.bind({"x": wrong})
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TemplateError, match="plain JSON"):
        template.bind({"x": deep})


# -- the sandbox -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "this.constructor.constructor('return typeof process')()",
        "Function('return typeof require')()",
        "(function () { return this }).call(null).constructor.constructor('return typeof module')()",
        "(0, Function)('return typeof window + typeof std + typeof os')().replace(/undefined/g, '') || 'undefined'",
        "typeof eval", "typeof WebAssembly", "typeof XMLHttpRequest", "typeof fetch", "typeof print", "typeof load",
        "typeof SharedArrayBuffer", "typeof Atomics", "typeof setTimeout", "typeof performance",
    ],
)  # fmt: skip
def test_there_is_nothing_to_reach(expression):
    """No process, no file, no network, no way to compile in the host, by whatever way the global object is found."""
    assert value(expression) == "undefined"


def test_every_global_is_known():
    """A new engine that brings a new global object is looked at before it is used."""
    known = (
        "Object Function Error EvalError RangeError ReferenceError SyntaxError TypeError URIError InternalError "
        "AggregateError SuppressedError Iterator Array parseInt parseFloat isNaN isFinite decodeURI decodeURIComponent "
        "encodeURI encodeURIComponent escape unescape Infinity NaN undefined Number Boolean String Math Reflect Symbol "
        "DisposableStack globalThis BigInt Date RegExp JSON Proxy Map Set WeakMap WeakSet ArrayBuffer Uint8ClampedArray "
        "Int8Array Uint8Array Int16Array Uint16Array Int32Array Uint32Array BigInt64Array BigUint64Array Float16Array "
        "Float32Array Float64Array DataView Promise AsyncDisposableStack DOMException btoa atob"
    )
    assert set(value("Object.getOwnPropertyNames(globalThis).join(' ')").split()) <= set(known.split())


def test_modules_can_not_be_imported():
    """import() finds nothing, and what is left to do later is never done."""
    assert value("(import('/etc/passwd'), import('os'), 'gone on')") == "gone on"


def test_the_data_are_frozen_and_nothing_is_kept_for_the_next_label():
    """A script can change neither the data nor what the next label meets: prototypes, globals, the data themselves."""
    assert value("(_data.a.b = 2, _data.c = 3, _data.a.b + '' + _data.c)", {"a": {"b": 1}}) == "1undefined"
    assert value("(_config.needTopLogo = 5, _config.needTopLogo)") == "true"
    spoil = parse(
        page(
            "<% kept = _data.name; Object.prototype.polluted = kept; Array.prototype.map = String.prototype.replace = null;"
            " JSON.stringify = function () { return kept }; Object.freeze = String = undefined; %><text/>"
        )
    )
    for _ in range(4):
        spoil.bind({"name": "secret"})
        assert value("typeof kept + typeof ({}).polluted + typeof [].map") == "undefinedundefinedfunction"
        assert value("'' + [1].map(String)") == "1"


@pytest.mark.parametrize(
    "code",
    [
        "}); JSON.stringify = function () { return '[[0],[]]' }; (function () {",
        "Object.defineProperty(Array.prototype, 0, {set: function () {}, get: function () { return 99 }})",
        "Object.prototype.toJSON = function () { return [[99999], ['x']] }",
        "Array.prototype.toJSON = function () { return 'x' }",
        "$piece(99999)", "$piece('0')", "$piece(-1)", "$piece({})", "$piece(0.5)", "$value = 3; $piece = 4",
        "return", "arguments[3](-1); arguments.callee.caller && arguments.callee.caller()",
    ],
)  # fmt: skip
def test_a_script_that_tampers_with_its_own_answer_gets_no_further(code):
    """All that comes of it is this template's label, or an error: pieces by number and values as texts are all there is."""
    try:
        bound = parse(page(f"<text/><% {code} %><text>x</text>")).bind({})
    except TemplateError:
        return
    assert {element.tag for element in bound.root.walk()} <= {"page", "text"}


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("for (;;);", "time"),
        ("while (true) { try { for (;;); } catch (e) {} }", "time"),
        ("/(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab')", "time"),
        ("var a = []; for (;;) a.push(new Array(1e6).join('xxxxxxxx'))", "memory"),
        ("var s = 'x'; for (;;) s += s", "length"),
        ("new Uint8Array(1e9)", "memory"),
        ("'x'.repeat(5e8)", "memory"),
        ("(function f() { f() })()", "depth"),
        ("for (;;) { %><rect/><% }", "length"),
        ("for (var i = 0; i < 1e5; i++) { %>x<%= i %><% }", "length"),
        ("for (var i = 0; i < 300; i++) { %><%= new Array(10000).join('x') %><% }", "length"),
    ],
)  # fmt: skip
def test_what_takes_too_much_is_stopped(code, limit):
    """Endless loops, memory bombs and endless labels end soon, with an error of their own."""
    began = time.monotonic()
    with pytest.raises(TemplateError, match=limit) as caught:
        parse(page(f"<text><% {code} %></text>" if "rect" not in code else f"<% {code} %>")).bind({})
    assert caught.value.code == "template.script_limit"
    assert time.monotonic() - began < 10
    assert value("1 + 1") == "2"


def test_where_the_engine_does_not_look_at_the_time_the_process_is_ended():
    """A native loop over an endless array heeds no limit of the engine's: the system's limit ends the process, and the
    next script runs."""
    began = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        parse(page("<% var y = []; y.length = 4294967295; y.sort() %>")).bind({})
    assert caught.value.code == "template.script_limit"
    assert time.monotonic() - began < 10
    assert value("1 + 1") == "2"


def test_a_program_that_does_not_end_in_its_own_compilation_is_stopped():
    """Nor can reading a template take long."""
    with pytest.raises(TemplateError) as caught:
        parse(page("<% }); for (;;); (function () { %>"))
    assert caught.value.code in {"template.script_limit", "template.script"}


def idle():
    """The interpreter that is taken next."""
    value("1 + 1")
    one = script._interpreters._idle.get_nowait()
    script._interpreters._idle.put(one)
    return one


def test_an_interpreter_that_was_killed_is_replaced():
    """Its end costs no label."""
    for _ in range(3):
        one = idle()
        os.kill(one.process.pid, signal.SIGKILL)
        one.process.wait()
        assert value("1 + 1") == "2"


def test_an_interpreter_that_hangs_is_given_up(monkeypatch):
    """Stopped by whatever, it is ended after a while, and the caller told."""
    script._interpreters.end()
    os.kill(idle().process.pid, signal.SIGSTOP)
    monkeypatch.setattr(script, "PATIENCE_S", 0.3)
    with pytest.raises(TemplateError) as caught:
        value("1 + 1")
    assert caught.value.code == "template.script_limit"
    monkeypatch.undo()
    assert value("1 + 1") == "2"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_process_can_open_nothing_and_has_no_secrets():
    """No environment of the daemon's, no descriptors but its two pipes, no more files, processes or core files."""
    pid = idle().process.pid
    with open(f"/proc/{pid}/environ", "rb") as environment:  # noqa: PTH123
        assert environment.read().rstrip(b"\0") == b"TZ=CST-8"
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]  # noqa: PTH208
    with open(f"/proc/{pid}/limits") as limits:  # noqa: PTH123
        found = {line[:26].strip(): line[26:].split()[:2] for line in limits}
    assert found["Max open files"] == ["3", "3"]
    assert found["Max processes"] == found["Max core file size"] == found["Max file size"] == ["0", "0"]
    assert int(found["Max address space"][1]) <= 512 << 20


def test_the_process_ends_with_its_parent():
    """A daemon that is killed leaves none behind."""
    code = (
        "import os, signal; from labelsvc.labels import parse, script\n"
        'parse(\'<page width="9" height="9"><% %></page>\').bind({})\n'
        "print(script._interpreters._idle.get_nowait().process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False).stdout)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as state:  # noqa: PTH123
                if state.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    raise AssertionError("it is still there")


def test_threads_take_turns():
    """Many threads, few processes, and each gets its own answer."""
    template = parse(page("<% %><text><%= _data.x + 1 %></text>"))
    failed = []

    def work(number):
        for turn in range(20):
            bound = template.bind({"x": number * 100 + turn})
            if bound.said != (str(number * 100 + turn + 1),):
                failed.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert script._interpreters._idle.qsize() <= script.INTERPRETERS


def test_a_fork_has_interpreters_of_its_own():
    """A child process doesn't read from its parent's pipes."""
    idle()
    pid = os.fork()
    if not pid:
        try:
            os._exit(0 if value("2 + 3") == "5" else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert value("1 + 1") == "2"


def test_without_the_engine_it_is_said(monkeypatch):
    """Templates without scripts go on; those with scripts say what is missing."""
    script._interpreters.end()
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable) as caught:
        value("1 + 1")
    assert caught.value.code == "script.unavailable"
    assert texts("<text><%= _data.x %></text>", {"x": "a"}) == ["a"]
