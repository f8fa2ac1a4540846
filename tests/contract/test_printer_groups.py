"""Groups of printers, aliases, and a device that is swapped: on a real database, no spooler runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labelsvc.db import Database
from labelsvc.errors import Conflict, Invalid, NotFound
from labelsvc.labels import StandardTemplates
from labelsvc.printing import (
    DocumentRequest,
    Label,
    LabelState,
    Printer,
    Printers,
    PrinterState,
    PrintJobs,
    PrintRequest,
    Profiles,
    journal,
    lease_store,
    printer_store,
)

TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<page xmlns="http://cloudprint.cainiao.com/print" width="{width}" height="30">
  <layout left="2" top="2" width="40" height="26">
    <text left="0" top="0" width="40" height="10" value="<%= _data.text %>" style="fontSize:10"/>
  </layout>
</page>
"""


class Bench:
    """Three printers of one store, all ready, the third of 300 dpi; "a" and "b" and "c"."""

    def __init__(self, database: Database, actor: Any) -> None:
        self.database, self.actor = database, actor
        self.printers = Printers(database, Profiles())
        self.jobs = PrintJobs(database, self.printers, StandardTemplates(Path(__file__).parent))
        self.ready_at = database.now()
        for name, profile in (
            ("a", "virtual-zpl-203"),
            ("b", "virtual-zpl-203"),
            ("c", "virtual-zpl-300"),
        ):
            self.printers.add(actor, name, "tcp://127.0.0.1:9", profile)
            self.is_(name, "ready")

    def printer(self, name: str) -> Printer:
        """As it is now."""
        return self.printers.get(self.actor, name)

    def is_(self, name: str, value: Any, reason: str = "") -> None:
        """What the printer said just now."""
        state = PrinterState(value, reason, "test", self.database.now())
        with self.database.transaction() as connection:
            printer_store.set_printer_state(connection, self.printer(name).id, state)

    def submit(self, printer: str, *texts: str, width: int = 44, **other: Any) -> list[Label]:
        """One job of so many labels."""
        documents = tuple(
            DocumentRequest("own", {"text": text}, template_text=TEMPLATE.format(width=width), **other)
            for text in texts
        )
        return list(self.jobs.submit(self.actor, PrintRequest(printer, documents, "-".join(texts))).labels)

    def turn(self, name: str, later: timedelta = timedelta(0)) -> str | None:
        """The id of the label that a printer would take now."""
        with self.database.reading() as connection:
            found = journal.next_turn(connection, self.printer(name).id, self.database.now() + later)
        return found.label.id if found else None

    def take(self, name: str, label_id: str, state: LabelState | None = LabelState.SENT) -> Label | None:
        """Claim a label for a printer, as its thread would, and let it come out; None if it may not."""
        with self.database.transaction(journal.TURN) as connection:
            now = self.database.now()
            found = journal.claim(
                connection, label_id, b"x", None, now, "spooler", 1, printer=self.printer(name)
            )
            if found and state:
                found = journal.step(connection, label_id, state, now, actor="spooler")
        return found


@pytest.fixture
def bench(database, factory) -> Bench:
    """The printers."""
    return Bench(database, factory)


def test_the_first_that_can_takes_a_groups_labels(bench):
    """P2: in the order of the group; one that is not ready, paused, silent or forgotten is passed over."""
    bench.printers.add_group(bench.actor, "desk", ["a", "b"])
    one, two = bench.submit("desk", "1", "2")
    assert (bench.turn("a"), bench.turn("b"), bench.turn("c")) == (one.id, None, None)
    assert bench.take("b", one.id) is None
    for value, reason in (("not_ready", "paper_out"), ("unknown", "silent")):
        bench.is_("a", value, reason)
        assert bench.turn("b") == one.id
    bench.is_("a", "unknown", "no_status")  # it never answers, and is as good as any
    assert bench.turn("b") is None
    assert bench.turn("b", timedelta(minutes=3)) == one.id  # nobody heard of it: its machine may be away
    bench.printers.pause(bench.actor, "a")
    assert bench.turn("b") == one.id
    taken = bench.take("b", one.id)
    assert (taken.printer_id, taken.state) == (bench.printer("b").id, LabelState.SENT)
    bench.printers.resume(bench.actor, "a")
    assert (bench.turn("a"), bench.turn("b")) == (two.id, None)


def test_a_group_may_share_out_and_keeps_the_order_with_a_printers_own(bench):
    """P2, P8: whoever is free takes the oldest label that waits for it, its own or the group's; each goes once."""
    bench.printers.add_group(bench.actor, "all", ["a", "b"], "spread")
    first = bench.submit("all", "1")[0]
    own = bench.submit("a", "2")[0]
    third = bench.submit("all", "3")[0]
    assert bench.turn("a") == bench.turn("b") == first.id
    assert bench.take("b", first.id)
    assert bench.take("a", first.id) is None
    assert (bench.turn("a"), bench.turn("b")) == (own.id, third.id)
    bench.printers.pause(bench.actor, "all")
    assert bench.turn("b") is None
    assert bench.take("b", third.id) is None


def test_the_parcels_of_one_order_stay_on_one_printer(bench):
    """P8: once the first went to a printer, the others follow it, with nothing in between."""
    bench.printers.add_group(bench.actor, "all", ["a", "b"], "spread")
    parcels = bench.submit("all", "1/3", "2/3", "3/3", group="order 1")
    other = bench.submit("all", "other")[0]
    assert bench.take("b", parcels[0].id)
    assert (bench.turn("b"), bench.turn("a")) == (parcels[1].id, other.id)
    assert bench.take("a", parcels[1].id) is None
    where = {found.printer_id for found in bench.jobs.get(bench.actor, parcels[0].job_id).labels}
    assert where == {bench.printer("b").id}


def test_a_label_of_which_no_byte_left_is_the_groups_again(bench):
    """P7, P2: a member that failed before the first byte keeps nothing; one that is asked about stays where it was."""
    bench.printers.add_group(bench.actor, "all", ["a", "b"], "spread")
    one, two = bench.submit("all", "1", "2")
    bench.take("a", one.id, LabelState.QUEUED)
    assert bench.turn("b") == one.id
    assert bench.take("a", two.id, LabelState.UNCERTAIN)
    bench.jobs.resolve(bench.actor, two.id, False)
    assert (bench.turn("a"), bench.turn("b")) == (two.id, one.id)


def test_a_label_is_tried_on_every_kind_of_printer_of_its_group(bench):
    """P2: too wide for one of them, it is refused at once; each makes bytes of its own."""
    bench.printers.add_group(bench.actor, "mixed", ["a", "c"], "spread")
    with pytest.raises(Invalid) as refused:
        bench.submit("mixed", "1", width=110)
    assert refused.value.code == "label.too_wide"
    label = bench.submit("mixed", "2")[0]
    assert bench.jobs.preview(bench.actor, label.id).startswith(b"\x89PNG")


def test_labels_move_into_a_group_and_out(bench):
    """P8: a group is a place like a printer."""
    bench.printers.add_group(bench.actor, "all", ["a", "b"], "spread")
    label = bench.submit("c", "1")[0]
    bench.jobs.move(bench.actor, label.job_id, "all")
    assert bench.turn("b") == label.id
    bench.jobs.move(bench.actor, label.job_id, "c")
    assert (bench.turn("a"), bench.turn("c")) == (None, label.id)
    bench.take("c", label.id, LabelState.QUEUED)
    assert bench.turn("c") == label.id


def test_groups_are_kept_like_printers(bench):
    """P2: named uniquely among printers, changed, and not removed while labels of theirs are open."""
    group = bench.printers.add_group(bench.actor, "all", ["a", "b"])
    assert (group.mode, group.members) == ("first", (bench.printer("a").id, bench.printer("b").id))
    for name, members, mode in (
        ("x", ["a", "nowhere"], "first"),
        ("x", ["all"], "first"),
        ("x", [], "first"),
        ("x", ["a"], "random"),
        (" x", ["a"], "first"),
    ):
        with pytest.raises(Invalid):
            bench.printers.add_group(bench.actor, name, members, mode)
    with pytest.raises(Conflict):
        bench.printers.add_group(bench.actor, "a", ["b"])
    with pytest.raises(Conflict):
        bench.printers.edit(bench.actor, "all", uri="tcp://127.0.0.1:9")
    with pytest.raises(NotFound):
        bench.printers.edit_group(bench.actor, "a", members=["b"])
    changed = bench.printers.edit_group(bench.actor, "all", members=["c", "a"], mode="spread")
    assert (changed.mode, changed.members) == ("spread", (bench.printer("c").id, bench.printer("a").id))
    label = bench.submit("all", "1")[0]
    assert bench.take("a", label.id, None)
    with pytest.raises(Conflict):
        bench.printers.remove(bench.actor, "all")
    with bench.database.transaction(journal.TURN) as connection:
        now = bench.database.now()
        journal.step(connection, label.id, LabelState.SENT, now, actor="spooler")
    bench.printers.remove(bench.actor, "c")
    assert bench.printer("all").members == (bench.printer("a").id,)
    bench.printers.remove(bench.actor, "a")
    with pytest.raises(Conflict) as empty:
        bench.submit("all", "2")
    assert empty.value.code == "group.empty"
    bench.printers.remove(bench.actor, "all")
    with pytest.raises(NotFound):
        bench.printer("all")


def test_only_what_a_printer_may_take_wakes_its_thread(bench):
    """P2: the driver's list names printers, never a group, and who has something to do."""
    bench.printers.add_group(bench.actor, "all", ["a", "b"])
    bench.submit("all", "1")
    with bench.database.reading() as connection:
        waiting = {found.printer_id: found.waiting for found in lease_store.all_openings(connection)}
    assert waiting == {
        bench.printer("a").id: True,
        bench.printer("b").id: True,
        bench.printer("c").id: False,
    }


# ---------------------------------------------------------------- a printer is a place


def test_an_alias_is_as_good_as_the_name(bench):
    """P13: the names that an ERP stored; unique in the store among names and aliases, free again afterwards."""
    bench.printers.set_aliases(bench.actor, "a", ["ZDesigner GK888", "bench 7"])
    assert bench.printer("bench 7").name == "a"
    assert bench.submit("ZDesigner GK888", "1")[0].printer_id == bench.printer("a").id
    for taken in (
        lambda: bench.printers.set_aliases(bench.actor, "b", ["bench 7"]),
        lambda: bench.printers.set_aliases(bench.actor, "b", ["a"]),
        lambda: bench.printers.add(bench.actor, "bench 7", "tcp://127.0.0.1:9", "virtual-zpl-203"),
        lambda: bench.printers.edit(bench.actor, "b", name="bench 7"),
        lambda: bench.printers.add_group(bench.actor, "bench 7", ["a"]),
    ):
        with pytest.raises(Conflict) as refused:
            taken()
        assert refused.value.code == "printer.exists"
    with pytest.raises(Invalid):
        bench.printers.set_aliases(bench.actor, "b", [" "])
    assert bench.printers.set_aliases(bench.actor, "a", []).aliases == ()
    assert bench.printers.set_aliases(bench.actor, "b", ["bench 7"]).aliases == ("bench 7",)


def test_a_device_is_swapped_in_one_step(bench):
    """P13, P7: name, aliases, offsets and queue stay; bytes made for the old device never leave, and its counter proves nothing."""
    bench.printers.set_aliases(bench.actor, "a", ["bench 7"])
    before = bench.printers.edit(bench.actor, "a", offset_x=8, darkness=20)
    one, two = bench.submit("a", "1", "2")
    with bench.database.transaction(journal.TURN) as connection:
        now = bench.database.now()
        journal.claim(connection, one.id, b"x", 7, now, "spooler", 1, printer=before)
        journal.step(connection, one.id, LabelState.UNCERTAIN, now, actor="spooler")
    after = bench.printers.swap(bench.actor, "bench 7", "tcp://127.0.0.1:10", "zpl-generic-300")
    assert (after.id, after.name, after.aliases, after.offset_x) == (before.id, "a", ("bench 7",), 8)
    assert (after.uri, after.dpi, after.darkness) == ("tcp://127.0.0.1:10", 300, None)
    assert after.state.value == "unknown"
    with bench.database.transaction(journal.TURN) as connection:
        assert journal.unproven(connection, after.id).counter_before is None
        stale = journal.claim(connection, two.id, b"x", None, now, "spooler", 1, printer=before)
        assert stale is None
    assert bench.take("a", two.id)
    with pytest.raises(Invalid):
        bench.printers.swap(bench.actor, "a", "nowhere", "zpl-generic-300")


def test_a_device_of_the_same_kind_at_the_same_address_is_another_device(bench):
    """P13, P7: the cable went to a new printer; what the old one counted is forgotten, what a person chose stays."""
    label = bench.submit("a", "1")[0]
    before = bench.printers.edit(bench.actor, "a", darkness=20)
    after = bench.printers.swap(bench.actor, "a", before.uri, before.profile)
    assert after.darkness == 20
    with bench.database.transaction(journal.TURN) as connection:
        now = bench.database.now()
        assert journal.claim(connection, label.id, b"x", 7, now, "spooler", 1, printer=before) is None
