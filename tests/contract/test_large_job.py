"""A job of thousands of labels takes no more memory than one of a few: measured in a process of its own, over a real database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_MB = 300
_CHILD = """
import json, re, sys
from pathlib import Path
from labelsvc.db import Database
from labelsvc.labels import StandardTemplates
from labelsvc.migrations import migrate
from labelsvc.printing import DocumentRequest, Printers, PrintJobs, PrintRequest, Profiles
from labelsvc.security import Accounts, Actor, Sealer, StoreKind
from labelsvc.waybills import sample_label

place = Path(sys.argv[1])
database = Database(f"sqlite:///{place / 'jobs.db'}", sealer=Sealer.from_file(place / "key"))
migrate(database)
actor = Actor.operator(Accounts(database).create_store("s", StoreKind.FACTORY).id, via="test")
printers = Printers(database, Profiles())
printers.add(actor, "p", "tcp://127.0.0.1:9", "zpl-generic-203")
jobs = PrintJobs(database, printers, StandardTemplates())

def documents(many):
    for at in range(many):
        data = sample_label()
        data["waybillCode"] = f"YT{at:013d}"
        data["recipient"]["address"]["detail"] = f"海棠路{at}号样张小区{at % 30}幢***"
        yield DocumentRequest("waybill-76x130", data, title=data["waybillCode"])

peaks = []
for at, count in enumerate(map(int, sys.argv[2:])):
    job = jobs.submit(actor, PrintRequest("p", tuple(documents(count)), f"job {at}"))
    assert len(job.labels) == count
    # Not getrusage: it begins with the peak of the process that started this one.
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
print(json.dumps(peaks))
"""


def _peaks(place: Path, *counts: int) -> list[float]:
    """Peak memory in MB after each of some jobs of so many labels."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(place), *map(str, counts)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_large_job_costs_little_memory_a_label(tmp_path: Path):
    """From a job of 300 labels to one of 2,500 memory grows by some 25 MB; by 80 where a job lies in memory twice."""
    small, large = _peaks(tmp_path, 300, 2500)
    assert large - small < 50
    assert large < LIMIT_MB


@pytest.mark.sweep
def test_ten_thousand_labels_in_one_job(tmp_path: Path):
    """The whole of it stays under 300 MB."""
    (peak,) = _peaks(tmp_path, 10_000)
    print(f"10,000 labels in one job: {peak:.0f} MB")
    assert peak < LIMIT_MB
