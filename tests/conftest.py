"""Fixtures that every test may use: a real database file, its keys, and a store with its owner."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import their own support package

from labelsvc.db import Database
from labelsvc.migrations import migrate
from labelsvc.security import Accounts, Actor, Role, Sealer, StoreKind


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    """Sealing keys of this test alone."""
    return Sealer.from_file(tmp_path / "sealing.key")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision, made once and copied for each test."""
    path = tmp_path_factory.mktemp("migrated") / "labelsvc.db"
    found = Database(f"sqlite:///{path}")
    migrate(found)
    found.close()  # the last connection's end writes the log back into the file
    assert not path.with_name("labelsvc.db-wal").exists()
    return path


@pytest.fixture
def database(tmp_path: Path, sealer: Sealer, migrated: Path):
    """A migrated SQLite database in a file."""
    shutil.copy(migrated, tmp_path / "labelsvc.db")
    found = Database(f"sqlite:///{tmp_path / 'labelsvc.db'}", sealer=sealer)
    yield found
    found.close()


@pytest.fixture
def accounts(database: Database) -> Accounts:
    """The accounts room."""
    return Accounts(database)


@pytest.fixture
def factory(accounts: Accounts) -> Actor:
    """The owner of a factory."""
    store = accounts.create_store("青山工厂", StoreKind.FACTORY)
    accounts.create_user(Actor.operator(store.id), "owner", Role.OWNER)
    return Actor.operator(store.id, via="test")


@pytest.fixture
def merchant(accounts: Accounts) -> Actor:
    """The owner of a merchant."""
    store = accounts.create_store("云上小店", StoreKind.MERCHANT)
    return Actor.operator(store.id, via="test")
