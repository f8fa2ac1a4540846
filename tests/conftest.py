"""Fixtures that every test may use: a real database of each kind, its keys, and a store with its owner."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import their own support package

from faults.trial import Launcher
from support import books
from support.postgres import Cluster, Missing, cluster

from labelsvc.db import Database
from labelsvc.errors import LabelsvcError
from labelsvc.security import Accounts, Actor, Role, Sealer, StoreKind
from labelsvc.web.codes import is_listed

_unlisted: set[str] = set()
_make_error = LabelsvcError.__init__


def _noting(error: LabelsvcError, *said: Any, **facts: Any) -> None:
    _make_error(error, *said, **facts)
    if not is_listed(error.code):
        _unlisted.add(error.code)


LabelsvcError.__init__ = _noting  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _every_code_is_listed() -> Iterator[None]:
    """A3: an error whose code docs/errors.md lacks fails the test that meets it, however the code came about."""
    yield
    met = sorted(_unlisted)
    _unlisted.clear()
    assert met == [], "not in labelsvc/web/codes.py"


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    """Sealing keys of this test alone."""
    return Sealer.from_file(tmp_path / "sealing.key")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("migrated")
    books.furnish(folder)
    return folder / books.NAME


@pytest.fixture(scope="session")
def postgresql_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The private PostgreSQL cluster of this run. Where none can be had the test is skipped; in CI that is an error."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    try:
        with cluster(run) as found:
            yield found
    except Missing as missing:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def postgresql_url(postgresql_cluster: Cluster) -> Iterator[str]:
    """The address of a migrated PostgreSQL database of this test alone."""
    with postgresql_cluster.database() as url:
        yield url


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """What starts daemons quickly; one for all tests of a process, for it takes seconds to begin itself."""
    with closing(Launcher()) as found:
        yield found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a group build on each other: a run that would spread a group over its workers must not begin."""
    if getattr(config.option, "loadgroup", False):
        lost = [
            item.nodeid for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid
        ]
        if lost:
            raise pytest.UsageError(f"pytest-xdist keeps no groups with this pytest: {lost[0]}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``database``, itself or through another fixture, runs on both kinds."""
    if "database" in metafunc.fixturenames:
        both = "sqlite_database" not in metafunc.fixturenames
        metafunc.parametrize("database", ["sqlite", "postgresql"] if both else ["sqlite"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path, sealer: Sealer) -> Iterator[Database]:
    """A migrated database of this test alone: once SQLite in a file, once PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated"), tmp_path / "labelsvc.db")
        url = f"sqlite:///{tmp_path / 'labelsvc.db'}"
    else:
        url = request.getfixturevalue("postgresql_url")
    found = Database(url, sealer=sealer)
    yield found
    found.close()


@pytest.fixture
def sqlite_database(database: Database) -> Database:
    """``database`` for what is about SQLite's files, or where which kind it is can't matter: the test runs on SQLite only."""
    return database


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


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A file's bytes don't name a test: a workbook's hold the second it was made in, and two workers that collect in
    different seconds would refuse to run. Long texts would only fill the log."""
    return argname if isinstance(val, bytes | str) and len(val) > 200 else None
