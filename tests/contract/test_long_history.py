"""What a printer's round asks of a database with a long history; SQLite's planner is told of one, so that none need be stored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from labelsvc.db import Database, new_id
from labelsvc.printing import journal, lease_store

#: What ANALYZE says after a million labels of one printer and one store, nearly all printed: an index's average rows a key.
MANY = "1000000 1000000"
STATISTICS = {
    "ix_labels_turn": f"{MANY} 500000 500000 500000 1",
    "ix_labels_store_id_state": f"{MANY} 500000",
    "ix_labels_printer_id_sent_no": f"{MANY} 1",
    "ix_labels_job_id_state": "1000000 1 1",
    "ix_labels_subject": MANY,
}


@pytest.fixture
def long_history(sqlite_database: Database) -> Database:
    """A database whose planner believes in a million labels."""
    with sqlite_database.transaction() as connection:
        connection.execute(text("ANALYZE"))
        connection.execute(text("DELETE FROM sqlite_stat1 WHERE tbl = 'labels'"))
        for index, stat in STATISTICS.items():
            connection.execute(
                text("INSERT INTO sqlite_stat1 VALUES ('labels', :index, :stat)"),
                {"index": index, "stat": stat},
            )
    sqlite_database.close()  # a connection reads the statistics when it is opened
    return sqlite_database


@pytest.mark.parametrize(
    "ask",
    [
        lambda connection, printer: journal.next_turn(connection, printer, datetime.now(UTC)),
        journal.unproven,
        lambda connection, printer: lease_store.all_openings(connection),
        lambda connection, printer: journal.held_moved(connection, "a store's"),
    ],
    ids=["whose turn", "unproven", "who waits", "held since restored"],
)
def test_a_round_reads_no_history(long_history: Database, ask):
    """P8: looking whose turn it is, and what is unproven, finds its few labels by an index, however many were printed."""
    asked: list[str] = []
    with long_history.reading() as connection:
        driver = connection.connection.driver_connection
        driver.set_trace_callback(asked.append)
        ask(connection, new_id())
        driver.set_trace_callback(None)
        plans = [row[3] for sql in asked for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert plans
    assert [plan for plan in plans if plan.startswith("SCAN labels")] == []
