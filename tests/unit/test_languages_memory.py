"""A job of ten thousand labels takes no more memory than one of a hundred: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Writes labels of unique Chinese data to nowhere, and says what the process has in memory after few and before the last, and
#: what it had at most, all in kB.
_CHILD = """
import random, re, resource, sys
from pathlib import Path
sys.path[:0] = ["tests", "tests/unit"]
from labelsvc.labels import StandardTemplates, compose
from labelsvc.languages import Target, write
from support.pages import bars, page, qr, text
from test_labels_standard import data

language, few, many, whole = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "whole"
chance = random.Random(7)
common = [chr(code) for code in chance.sample(range(0x4E00, 0x9FA5), 3000)]
template = StandardTemplates(Path("templates")).get("waybill-100x180")

def words(count):
    return "".join(chance.choices(common, k=count))

def label(number):
    code = f"YT{number:013d}"
    if whole:
        return compose(template, data(waybillCode=code, recipient__name=words(3), recipient__address__detail=words(25)), 203)
    lines = (text(words(6), y=40 + 30 * place) for place in range(8))
    return page(*lines, bars(code, y=300), qr(code, y=400), size=(608, 600))

class Nowhere:
    bytes = 0
    def write(self, data):
        self.bytes += len(data)
        return len(data)

def labels():
    for number in range(many):
        if number in {few, many - 1}:
            print(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024)
        yield label(number)

write([label(number) for number in range(20)], Target(language), Nowhere())  # what is loaded once, and fonts made ready
out = Nowhere()
assert write(labels(), Target(language), out) == many
# Not getrusage: it begins with the peak of the process that started this one.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], out.bytes)
"""


def peaks(language: str, few: int, many: int, how: str) -> tuple[float, float, float, int]:
    """(MB after few labels, MB before the last of many, MB at most, bytes written)."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, language, str(few), str(many), how],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    early, late, most, written = map(int, done.stdout.split())
    return early / 1024, late / 1024, most / 1024, written


@pytest.mark.parametrize("language", ["pdf", "zpl"])
def test_memory_stays_flat(language):
    """At the pace of 500 labels, each with characters of its own, 10,000 would stay far below 300 MB: nothing of a label is kept
    but its place in the file."""
    early, late, most, written = peaks(language, 100, 600, "by hand")
    a_label = (late - early) / 500
    assert a_label < 0.004, (
        f"a label keeps {a_label * 1000:.1f} kB ({early:.1f} to {late:.1f} MB, {written} bytes)"
    )
    assert most + 10000 * a_label < 300


@pytest.mark.sweep
@pytest.mark.parametrize("language", ["pdf", "zpl"])
def test_ten_thousand_labels_stay_under_300_mb(language):
    """10,000 composed labels in one job stay under 300 MB."""
    early, late, most, written = peaks(language, 1000, 10000, "whole")
    print(
        f"{language}: {early:.0f} MB after 1,000 labels, {late:.0f} before the last of 10,000, {most:.0f} at most"
    )
    print(f"  in {written / 1e6:.0f} MB of {language}")
    assert most < 300
