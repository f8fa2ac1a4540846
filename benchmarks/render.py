"""``./dev bench render``: labels a second and bytes a label, from template and data to bytes, beside what others offer.

Hides how it is kept fair: one core, every label has data that no other has, ours and the peers' runs take turns within each
round, and what counts is the process's own CPU time, for the machine may have others on it. Glyphs come as often as on paper:
ours are drawn once and kept, and so are the fonts that the peers open. The first labels are outside the clock.

    --quick       a minute instead of a quarter of an hour: short files, two rounds, no memory
    --profile     where the time of our labels goes
    --json FILE   the rows as JSON
"""

from __future__ import annotations

import argparse
import cProfile
import io
import os
import pstats
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import label as content  # noqa: E402
from benchmarks import peers  # noqa: E402
from benchmarks.label import Label, label  # noqa: E402
from benchmarks.table import Row, show  # noqa: E402
from labelsvc.labels import Page, compose, parse  # noqa: E402
from labelsvc.languages import LANGUAGES, Target, encode, raster, write  # noqa: E402

ROUNDS, FILE_LABELS, MEMORY_LABELS = 5, 1000, 10_000
#: Labels before the clock starts: for ours until most glyphs were met, as in a service that runs since morning.
WARM_UP, PEER_WARM_UP = 400, 2
RASTER = Target("zpl", graphics="zip")
SLOW = Target("zpl", graphics="zip", slow_link=True)
RUNS = Target("zpl", graphics="runs")
FONT = Target("zpl", letters="font", font="E:SIMSUN.TTF")
PDF, PNG, ESCPOS = Target("pdf"), Target("png"), Target("escpos")
MEMORY_CASES = {"zpl": RASTER, "pdf": PDF, "escpos": ESCPOS}


@dataclass
class Case:
    """One way to labels: ``make`` gives the size of what it made of these labels; ``count`` labels a run, ``file`` if in one file."""

    name: str
    make: Callable[[list[Label]], int]
    count: int
    file: bool = False
    seconds: list[float] = field(default_factory=list)  #: CPU time a label, run by run
    sizes: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Labels a second of CPU, in the median run."""
        return 1 / statistics.median(self.seconds)

    @property
    def size(self) -> float:
        """Bytes a label."""
        return statistics.mean(self.sizes)

    def run(self, labels: list[Label]) -> None:
        """One run, timed."""
        began = time.process_time()
        size = self.make(labels)
        self.seconds.append((time.process_time() - began) / len(labels))
        self.sizes.append(size / len(labels))


def singly(maker: peers.Maker) -> Callable[[list[Label]], int]:
    """Each label by itself."""
    return lambda labels: sum(len(maker(each)) for each in labels)


def ours(target: Target) -> Callable[[list[Label]], int]:
    """Template and data to bytes, label by label. The template is read once, as the service does."""
    template = parse(content.template_text())

    def make(labels: list[Label]) -> int:
        return sum(len(encode(compose(template, each.data, target.dpi), target)) for each in labels)

    return make


def our_file(target: Target) -> Callable[[list[Label]], int]:
    """All labels into one file."""
    template = parse(content.template_text())

    def make(labels: list[Label]) -> int:
        out = io.BytesIO()
        write((compose(template, each.data, target.dpi) for each in labels), target, out)
        return out.tell()

    return make


def cases(folder: Path, chars: str, file_labels: int) -> Iterator[Case]:
    """Ours and the peers that can be imported; a line for each that can't."""
    fonts = peers.font_files(chars, folder)
    yield Case("ours: ZPL, printer's font", ours(FONT), 400)
    yield Case("ours: ZPL, raster Chinese (Z64)", ours(RASTER), 60)
    yield Case("ours: ZPL, raster, slow link (Z64)", ours(SLOW), 20)
    yield Case("ours: ZPL, raster, run lengths", ours(RUNS), 30)
    if "escpos" in LANGUAGES:
        yield Case("ours: ESC/POS raster", ours(ESCPOS), 60)
    yield Case("ours: PNG", ours(PNG), 30)
    yield Case("ours: PDF each", ours(PDF), 8)
    yield Case("ours: PDF, one file", our_file(PDF), file_labels, file=True)
    naive, with_path = peers.reportlab_pages(fonts, False), peers.reportlab_pages(fonts, True)
    for name, made, count, file in (
        ("f-string ZPL", lambda: singly(peers.fstring_zpl()), 400, False),
        ("reportlab + zebrafy Z64", lambda: singly(peers.zebrafy_z64(naive)), 5, False),
        ("python-escpos image", lambda: singly(peers.escpos_image(fonts)), 5, False),
        ("WeasyPrint", lambda: singly(peers.weasyprint_pdf(fonts)), 3, False),
        ("reportlab, QR widget, each", lambda: singly(lambda each: naive([each])), 5, False),
        ("reportlab, QR path, each", lambda: singly(lambda each: with_path([each])), 5, False),
        ("reportlab, QR widget, one file", lambda: lambda labels: len(naive(labels)), file_labels, True),
        ("reportlab, QR path, one file", lambda: lambda labels: len(with_path(labels)), file_labels, True),
    ):
        try:
            yield Case(name, made(), count, file)
        except ImportError as error:
            print(f"skipped: {name} ({error})")


def measure(rounds: int, file_labels: int, memory_labels: int) -> tuple[list[Row], list[Case]]:
    """All cases, taking turns; files of many labels in every second round."""
    with tempfile.TemporaryDirectory(prefix="labelsvc-bench-") as name:
        # The characters of the first labels stand for all: the peers' fonts are cut to them.
        chars = "".join(
            sorted({char for at in range(4000) for text in label(at).texts.values() for char in text})
        )
        found = list(cases(Path(name), chars, file_labels))
        numbers = iter(range(10**9))

        def fresh(count: int) -> list[Label]:
            return [label(next(numbers)) for _ in range(count)]

        for case in found:
            case.make(fresh(WARM_UP if case.name.startswith("ours") else PEER_WARM_UP))
        for turn in range(rounds):
            for case in found:
                if not (case.file and turn % 2):
                    case.run(fresh(case.count))
    return rows({case.name: case for case in found}, memory_labels), found


#: Ours, the peer that it is measured against, the issue's goal for the ratio of labels a second.
GOALS = (
    ("ours: ZPL, raster Chinese (Z64)", "reportlab + zebrafy Z64", 20.0),
    ("ours: ZPL, raster, slow link (Z64)", "reportlab + zebrafy Z64", None),
    ("ours: ZPL, raster, run lengths", "reportlab + zebrafy Z64", None),
    ("ours: ZPL, printer's font", "f-string ZPL", 0.3),
    ("ours: PDF, one file", "reportlab, QR widget, one file", 3.0),
    ("ours: PDF, one file", "reportlab, QR path, one file", 1.3),
    ("ours: PDF each", "reportlab, QR widget, each", None),
    ("ours: PDF each", "reportlab, QR path, each", None),
    ("ours: PDF each", "WeasyPrint", None),
    ("ours: ESC/POS raster", "python-escpos image", 20.0),
    ("ours: PNG", None, None),
)
#: The same for bytes a label.
BYTE_GOALS = (
    ("ours: ZPL, raster Chinese (Z64)", "reportlab + zebrafy Z64", 0.7),
    ("ours: ZPL, raster, slow link (Z64)", "reportlab + zebrafy Z64", 0.7),
    ("ours: ZPL, raster, run lengths", "reportlab + zebrafy Z64", None),
    ("ours: ZPL, printer's font", "f-string ZPL", None),
    ("ours: ESC/POS raster", "python-escpos image", None),
    ("ours: PNG", None, None),
    ("ours: PDF each", "reportlab, QR path, each", None),
    ("ours: PDF, one file", "reportlab, QR path, one file", None),
)


def rows(found: dict[str, Case], memory_labels: int) -> list[Row]:
    """What the table shows."""
    shown = []
    for name, peer, goal in GOALS:
        if name in found:
            other = found.get(peer or "")
            per_s = found[name].per_s
            shown.append(Row(name, per_s, "1/s", "higher", peer, other.per_s if other else None, goal))
    for name, peer, goal in BYTE_GOALS:
        if name in found:
            other = found.get(peer or "")
            size = found[name].size
            shown.append(Row(f"{name}, bytes", size, "B", "lower", peer, other.size if other else None, goal))
    if "ours: ZPL, printer's font" in found:
        size = found["ours: ZPL, printer's font"].size
        shown.append(Row("ours: ZPL, printer's font, bytes", size, "B", "lower", "2 kB", 2000, 1.0))
    if memory_labels:
        for language in MEMORY_CASES:
            if language in LANGUAGES:
                case = f"memory, {memory_labels} labels of {language} in one job"
                shown.append(Row(case, peak_mb(language, memory_labels), "MB", "lower", "300 MB", 300, 1.0))
    return shown


def peak_mb(language: str, labels: int) -> float:
    """The most memory (resident) that a process of its own took for one job."""
    done = subprocess.run(
        [sys.executable, __file__, "--job", language, str(labels)], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1000


def job(language: str, labels: int) -> None:
    """One job, as a process of its own; says its peak in kB."""
    template, target = parse(content.template_text()), MEMORY_CASES[language]
    with tempfile.TemporaryFile() as out:
        write((compose(template, label(at).data, target.dpi) for at in range(labels)), target, out)
    # Not getrusage: it begins with the peak of the process that started this one.
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    print(peak[1] if peak else 0)


def profile() -> None:
    """Where the time of our labels goes: the steps by themselves, then the functions that take most."""
    template = parse(content.template_text())
    labels = [label(at) for at in range(300)]
    pages = [compose(template, each.data) for each in labels]
    for page in pages:
        encode(page, RASTER)

    def step(name: str, make: Callable[[int], object]) -> None:
        runs = []
        for _ in range(5):
            began = time.process_time()
            for at in range(len(labels)):
                make(at)
            runs.append((time.process_time() - began) / len(labels) * 1000)
        print(f"  {name:<44} {statistics.median(runs):7.3f} ms")

    print("\nsteps of a label, CPU, median of 5 runs of 300 labels")
    step("compose: template and data to marks", lambda at: compose(template, labels[at].data))
    step("ZPL, printer's font: marks to bytes", lambda at: encode(pages[at], FONT))
    step("ZPL, raster: marks to bytes", lambda at: encode(pages[at], RASTER))
    step("raster: marks to a page of packed dots", lambda at: raster.draw(pages[at]))
    _pieces(pages[0], step)
    for target in (FONT, RASTER):
        watch = cProfile.Profile()
        watch.enable()
        for each in labels:
            encode(compose(template, each.data), target)
        watch.disable()
        out = io.StringIO()
        pstats.Stats(watch, stream=out).sort_stats("tottime").print_stats(12)
        print(f"\nfunctions, ZPL {target.letters} (the profiler's own time is in it)")
        print("\n".join(line for line in out.getvalue().splitlines()[6:] if line.strip()))


def _pieces(page: Page, step: Callable[[str, Callable[[int], object]], None]) -> None:
    """Deflate alone, of a typical label's pictures: what no drawing can go below."""
    import zlib

    import deflate

    _, rows = raster.draw(page)
    step("deflate 8 of the whole page (libdeflate)", lambda _: deflate.zlib_compress(rows, 8))
    step("the same by zlib 6", lambda _: zlib.compress(rows, 6))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev bench render", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--quick", action="store_true", help="short files, two rounds, no memory")
    parser.add_argument("--profile", action="store_true", help="where the time goes, and nothing else")
    parser.add_argument("--job", nargs=2, metavar=("LANGUAGE", "LABELS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        job(options.job[0], int(options.job[1]))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if options.profile:
        profile()
        return
    rounds, file_labels, memory_labels = (2, 60, 0) if options.quick else (ROUNDS, FILE_LABELS, MEMORY_LABELS)
    shown, found = measure(rounds, file_labels, memory_labels)
    print("\nCPU ms and bytes a label, medians over the rounds (least to most)")
    for case in found:
        times = sorted(each * 1000 for each in case.seconds)
        middle = statistics.median(times)
        print(f"  {case.name:<36} {middle:9.3f} ms ({times[0]:.3f} to {times[-1]:.3f})  {case.size:10.0f} B")
    show(
        f"render: 100 x 180 mm, 20 texts, two Code 128, one QR; labels a second of CPU, {file_labels} in one file",
        shown,
        options.json,
    )


if __name__ == "__main__":
    main()
