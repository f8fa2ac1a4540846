"""A database of the first version is taken over: no row is lost or changed, and the rooms go on with it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, inspect, select, text
from sqlalchemy.exc import IntegrityError

from labelsvc import migrations
from labelsvc.daemon import Rooms, assemble
from labelsvc.db import Database, metadata, new_id
from labelsvc.errors import Conflict, LabelsvcError
from labelsvc.migrations import HEAD, migrate
from labelsvc.security import Accounts, Actor, Sealer, StoreKind
from labelsvc.settings import load
from labelsvc.waybills import IssueRequest, Item, Party

NOW = datetime.now(UTC).replace(microsecond=123456)
DAY = timedelta(days=1)
SHOP = {
    "name": "云小满",
    "phone": "19900001001",
    "province": "浙江省",
    "city": "杭州市",
    "district": "西湖区",
    "detail": "文三路478号华星时代广场B座1203室",
    "town": "",
}
RECIPIENT = {
    "name": "Anna Schmidt",
    "phone": "+86 199-0000-2005",
    "province": "上海市",
    "city": "上海市",
    "district": "浦东新区",
    "detail": "世纪大道100号环球金融中心45层",
    "town": "",
}
#: Nothing of the database that a test opens may go to a network.
NOWHERE = "http://127.0.0.1:9/"


@dataclass
class Earlier:
    """A database of the first version, filled; the ids of its rows by what they are."""

    url: str
    merchant: str
    factory: str
    ids: dict[str, str]


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Addresses of empty databases."""
    made: list[str] = []
    if request.param == "sqlite":

        def place() -> str:
            made.append("")
            return f"sqlite:///{tmp_path / f'place{len(made)}.db'}"

        yield place
        return
    cluster = request.getfixturevalue("postgresql_cluster")

    def place_on_server() -> str:
        made.append(cluster.create("template0"))
        return str(cluster.url(made[-1]))

    yield place_on_server
    for name in made:
        cluster.drop(name)


@pytest.fixture
def earlier(places: Callable[[], str], sealer: Sealer) -> Earlier:
    """A database as the first version left it."""
    url = places()
    with opened(url) as database:
        _first_schema(database)
        with database.transaction() as connection:
            found = _fill(connection, sealer)
    return Earlier(url, found.pop("merchant"), found.pop("factory"), found)


@contextmanager
def opened(url: str, sealer: Sealer | None = None) -> Iterator[Database]:
    found = Database(url, sealer=sealer)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def rooms_on(earlier: Earlier, tmp_path: Path) -> Iterator[Rooms]:
    """The rooms, which bring the schema up to date first, with the keys of the ``sealer`` fixture."""
    rooms = assemble(load(state_dir=tmp_path, database_url=earlier.url, network_url=NOWHERE))
    try:
        yield rooms
    finally:
        rooms.database.close()


def _first_schema(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["database"] = database
    command.upgrade(config, "0001")


def _fill(connection: Connection, sealer: Sealer) -> dict[str, str]:
    """Rows of every table, as the first version wrote them; a waybill of each state."""
    tables = MetaData()
    tables.reflect(connection)

    def sealed(column: str, value: Any) -> bytes:
        return sealer.seal(column, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())

    def add(into: str, /, **values: Any) -> str:
        table = tables.tables[into]
        if "id" in table.c:
            values.setdefault("id", new_id())
        connection.execute(table.insert().values(**values))
        return str(values.get("id", ""))

    merchant = add("stores", name="云上小店", kind="merchant", created_at=NOW)
    factory = add("stores", name="青山工厂", kind="factory", created_at=NOW)
    user = add("users", store_id=merchant, name="owner", role="owner", created_at=NOW)
    add("credentials", kind="token", hash="5" * 64, user_id=user, label="bench", created_at=NOW)
    add(
        "bindings",
        merchant_id=merchant,
        merchant_name="云上小店",
        factory_id=factory,
        factory_name="青山工厂",
        state="accepted",
        live=f"{merchant}:{factory}",
        created_at=NOW,
        answered_at=NOW,
    )
    add(
        "network_accounts",
        store_id=merchant,
        access_token=sealed("network_accounts.access_token", "shop-令牌"),
        connected_at=NOW,
    )
    address = add(
        "sender_addresses",
        store_id=merchant,
        slot=1,
        party=sealed("sender_addresses.party", SHOP),
        default_of=merchant,
        created_at=NOW,
        changed_at=NOW,
    )
    ids = {"merchant": merchant, "factory": factory, "address": address}
    for state in ("open", "under_review", "rejected", "closed"):
        ids[f"subscription {state}"] = add(
            "subscriptions",
            store_id=merchant,
            carrier="ZTO",
            carrier_name="中通快递",
            kind="franchise",
            address_id=address,
            branch_code="929645116",
            branch_name="中通杭州西湖一部",
            state=state,
            origin=sealed("subscriptions.origin", SHOP),
            contact=sealed("subscriptions.contact", {"name": SHOP["name"], "phone": SHOP["phone"]}),
            settlement_account=sealed("subscriptions.settlement_account", ""),
            agreement_version="2026-01",
            agreed_at=NOW,
            agreed_by=user,
            occupies=f"{address}:{state}" if state in ("open", "under_review") else None,
            network_application_id="A1" if state == "open" else "",
            created_at=NOW,
            opened_at=NOW if state == "open" else None,
        )
        add(
            "subscription_events",
            at=NOW,
            subscription_id=ids[f"subscription {state}"],
            actor=user,
            before="",
            after=state,
            reason="",
        )
    content = {
        "number": "A-1",
        "recipient": RECIPIENT,
        "lines": [{"sku": "MUG-07", "name": "马克杯", "quantity": 2, "spec": "青釉", "price_fen": None}],
        "shown_sender": SHOP,
        "store_name": "",
        "note": "",
    }
    ids["order"] = add(
        "orders",
        merchant_id=merchant,
        number="A-1",
        state="assigned",
        factory_id=factory,
        content=sealed("orders.content", content),
        shown_sender=sealed("orders.shown_sender", SHOP),
        created_at=NOW,
        assigned_at=NOW,
    )
    printer = add(
        "printers",
        store_id=merchant,
        name="1号打包台",
        uri="tcp://127.0.0.1:9",
        profile="virtual-zpl-203",
        dpi=203,
        offset_x=0,
        offset_y=0,
        state="ready",
        state_reason="",
        state_source="zpl-hs",
        state_at=NOW,
        created_at=NOW,
    )
    for kind, state, more in (
        ("requested", "requested", {"attempt_until": NOW - DAY}),
        ("unknown", "unknown", {"reason": "network.silent", "attempts": 3}),
        ("refused", "refused", {"reason": "balance.empty"}),
        ("issued", "issued", {}),
        ("printed", "printed", {"print_no": 1, "print_key": "p-1", "printed_at": NOW}),
        ("claimed", "issued", {"print_no": 1, "print_key": "broken-off", "print_at": NOW}),
        ("long ago", "printed", {"print_no": 1, "issued_at": NOW - 61 * DAY}),
        ("void label", "void_pending", {"void_wait": "label", "reason": "label.on_paper", "print_no": 1}),
        (
            "void network",
            "void_pending",
            {"void_wait": "network", "reason": "network.silent", "attempt_until": NOW + DAY},
        ),
        ("cancelled", "cancelled", {"cancelled_at": NOW}),
    ):
        has_number = state not in ("requested", "unknown", "refused")
        if more.get("print_no"):
            more = {
                "print_printer": "1号打包台",
                "print_template": "waybill-76x130",
                "print_lane": "bench",
                "print_at": NOW,
                **more,
            }
        asked = request_of(f"A-{kind}")
        number = f"7300000000{len(ids):04d}" if has_number else None
        ids[kind] = add(
            "waybills",
            **{
                "store_id": merchant,
                "owner_id": merchant,
                "subscription_id": ids["subscription open"],
                "carrier": "ZTO",
                "carrier_name": "中通快递",
                "live_parcel": None if state in ("refused", "cancelled") else parcel_of(merchant, asked),
                "state": state,
                "number": number,
                "request": sealed("waybills.request", asked),
                "origin": sealed("waybills.origin", SHOP),
                "answer": sealed("waybills.answer", {"waybillCode": number}) if has_number else None,
                "print_data": sealed("waybills.print_data", shown(number)) if has_number else None,
                "route_code": "207-396-00 024" if has_number else "",
                "attempts": 1,
                "created_at": NOW,
                "issued_at": NOW if has_number else None,
                **more,
            },
        )
        add("waybill_orders", waybill_id=ids[kind], order_number=f"A-{kind}", owner_id=merchant)
        canonical = json.dumps(asked, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        add(
            "waybill_keys",
            store_id=merchant,
            key=f"key {kind}",
            fingerprint=sealer.fingerprint("waybill.request", canonical.encode()),
            waybill_id=ids[kind],
        )
        add(
            "waybill_events",
            at=NOW,
            waybill_id=ids[kind],
            actor=user,
            before="",
            after="requested",
            reason="",
        )
    ids["job"] = add(
        "print_jobs",
        store_id=merchant,
        printer_id=printer,
        key=f"waybill:{ids['printed']}:print:1",
        fingerprint="7" * 64,
        lane="bench",
        origin="api",
        created_by=user,
        created_at=NOW,
    )
    document = add(
        "documents",
        job_id=ids["job"],
        no=1,
        template="waybill-76x130",
        template_text=sealed("documents.template_text", "<page/>"),
        data=sealed("documents.data", shown("73")),
        warnings=sealed("documents.warnings", []),
        title="73",
        subject=f"waybill:{ids['printed']}",
        copies=1,
        private=False,
    )
    first = ""
    for copy in (1, 2):
        first = add(
            "labels",
            job_id=ids["job"],
            document_id=document,
            printer_id=printer,
            store_id=merchant,
            document_no=1,
            copy_no=copy,
            state="printed",
            lane="bench",
            place=copy,
            subject=f"waybill:{ids['printed']}",
            title="73",
            reason="",
            reprint_of=first or None,
            reprint_count=copy - 1,
            bytes=sealer.seal("labels.bytes", b"^XA^XZ"),
            bytes_count=6,
            sent_no=copy,
            attempt=1,
            queued_at=NOW,
            sent_at=NOW,
            settled_at=NOW,
        )
    add(
        "changes",
        at=NOW,
        label_id=first,
        job_id=ids["job"],
        store_id=merchant,
        subject=f"waybill:{ids['printed']}",
        before=None,
        after="queued",
        actor=user,
        reason="",
    )
    add("blocks", subject=f"waybill:{ids['cancelled']}", reason="waybill cancelled", at=NOW)
    add("feed_cursors", name="waybills.printing", seq=1)
    filled = {name for name, table in tables.tables.items() if connection.execute(select(table)).first()}
    assert filled == set(tables.tables)
    return ids


def request_of(order: str) -> dict[str, Any]:
    """What the first version sealed of a request."""
    return {
        "carrier": "ZTO",
        "orders": [order],
        "recipient": RECIPIENT,
        "shown_sender": SHOP,
        "items": [{"name": "马克杯 青釉", "count": 2}],
        "subscription_id": None,
        "package": "1",
        "weight_g": 350,
        "note": "轻放",
        "store_name": "",
        "channel": "OTHERS",
        "custom": "",
        "origin": None,
        "owner_id": "",
    }


def parcel_of(store: str, asked: dict[str, Any]) -> str:
    """The name of a parcel, as the first version had it (W2)."""
    named = json.dumps([store, store, asked["orders"], asked["package"]], ensure_ascii=False)
    return hashlib.sha256(named.encode()).hexdigest()


def shown(number: str | None) -> dict[str, Any]:
    """What the first version kept for a waybill's label."""

    def on_label(party: dict[str, str]) -> dict[str, Any]:
        places = ("province", "city", "district", "town", "detail")
        address = {name: party[name] for name in places}
        return {"name": party["name"], "mobile": party["phone"], "phone": "", "address": address}

    branch = {"name": "中通杭州西湖一部", "code": "929645116"}
    return {
        "recipient": on_label(RECIPIENT),
        "sender": on_label(SHOP),
        "waybillCode": number,
        "wpCode": "ZTO",
        "carrierName": "中通快递",
        "routingInfo": {
            "routeCode": "207-396-00 024",
            "threeSegmentCode": "207-396-00 024",
            "bigShotName": "上海 浦东",
            "bigShotCode": "207-396",
            "consolidation": {"name": "上海转运中心", "code": "20700"},
            "origin": branch,
            "sortation": {"name": "上海 浦东"},
            "originBranchName": branch["name"],
            "originBranchCode": branch["code"],
            "endBranchName": "",
            "endBranchCode": "",
        },
        "shippingOption": {"code": "STANDARD", "title": "标准快递"},
        "goods": {"summary": "马克杯 ×2", "count": 2, "lines": "马克杯 ×2"},
        "orderNumbers": "A-1",
        "storeName": "",
        "custom": {"text": "轻放"},
        "reprint": {"mark": ""},
        "print": {"time": "", "sequence": "1/1"},
        "service": {"text": "0.35 kg"},
        "qr": number,
    }


def rows_of(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as it is stored."""
    with database.reading() as connection:
        tables = MetaData()
        tables.reflect(connection)
        return {
            name: [
                dict(row._mapping)
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for name, table in tables.tables.items()
            if name != "alembic_version"
        }


def row(database: Database, table: str, id: str) -> dict[str, Any]:
    return next(each for each in rows_of(database)[table] if each["id"] == id)


# ---------------------------------------------------------------- rows


def test_every_row_is_there_and_says_what_it_said(earlier: Earlier, sealer: Sealer):
    """An upgrade changes no value of a row but one: the next try of a cancellation has a column of its own now."""
    with opened(earlier.url, sealer) as database:
        before = rows_of(database)
        migrate(database)
        after = rows_of(database)
        assert database.revision() == HEAD
    moved = next(each for each in before["waybills"] if each["id"] == earlier.ids["void network"])
    assert moved["attempt_until"]
    moved["attempt_until"] = None
    assert len(before) == 20
    for table, found in before.items():
        assert [{name: each[name] for name in found[0]} for each in after[table]] == found, table


def test_old_rows_say_what_the_first_version_knew_without_writing_it(earlier: Earlier, sealer: Sealer):
    """Applicants had agreed, labels showed their recipients in clear, and what is under way is looked at soon."""
    with opened(earlier.url, sealer) as database:
        migrate(database)
        subscriptions = {
            state: row(database, "subscriptions", earlier.ids[f"subscription {state}"])
            for state in ("open", "under_review", "rejected", "closed")
        }
        waybills = {each["id"]: each for each in rows_of(database)["waybills"]}
    assert all(one["accepted"] and one["network"] == "platform" for one in subscriptions.values())
    due = {state for state, one in subscriptions.items() if one["look_at"] is not None}
    assert due == {"open", "under_review"}
    named = {kind: waybills[id] for kind, id in earlier.ids.items() if id in waybills}
    assert all(one["network"] == "platform" and one["revision"] == 0 for one in named.values())
    clear = {kind for kind, one in named.items() if one["print_clear"]}
    assert clear == {"printed", "claimed", "long ago", "void label"}
    looked_at = {kind for kind, one in named.items() if one["next_look_at"] is not None}
    assert looked_at == {"issued", "printed", "claimed", "void label", "void network"}
    next_try_at = named["void network"]["next_try_at"]
    # SQLite stores UTC without saying so.
    assert (next_try_at if next_try_at.tzinfo else next_try_at.replace(tzinfo=UTC)) == NOW + DAY
    assert {kind for kind, one in named.items() if one["void_tries"]} == {"void network"}


def test_more_rows_than_one_portion_are_all_found_by_their_person(earlier: Earlier, sealer: Sealer):
    """Each of 1100 old waybills gets its line in the index of people, once."""
    with opened(earlier.url, sealer) as database:
        with database.transaction() as connection:
            tables = MetaData()
            tables.reflect(connection)
            table: Table = tables.tables["waybills"]
            model = dict(
                connection.execute(select(table).where(table.c.id == earlier.ids["refused"])).one()._mapping
            )
            connection.execute(table.insert(), [{**model, "id": new_id()} for _ in range(1100)])
        migrate(database)
        with database.reading() as connection:
            counted = connection.execute(
                text("SELECT count(*), count(DISTINCT phone), min(length(phone)) FROM waybill_people")
            ).one()
        assert tuple(counted) == (1110, 1, 32)


# ---------------------------------------------------------------- the schema


def _shape(database: Database) -> dict[str, Any]:
    """All that the database says of its tables, in words that compare."""
    with database.reading() as connection:
        look = inspect(connection)
        shape: dict[str, Any] = {}
        for name in sorted(set(look.get_table_names()) - {"alembic_version"}):
            shape[name] = {
                "columns": {
                    column["name"]: (str(column["type"]), column["nullable"], column["default"])
                    for column in look.get_columns(name)
                },
                "key": look.get_pk_constraint(name)["constrained_columns"],
                "checks": {
                    check["name"]: " ".join(check["sqltext"].split())
                    for check in look.get_check_constraints(name)
                },
                "foreign": {
                    key["name"]: (key["constrained_columns"], key["referred_table"], key["options"])
                    for key in look.get_foreign_keys(name)
                },
                "unique": {one["name"]: one["column_names"] for one in look.get_unique_constraints(name)},
                "indexes": {
                    index["name"]: (
                        index["column_names"],
                        bool(index["unique"]),
                        {key: str(value) for key, value in index.get("dialect_options", {}).items()},
                    )
                    for index in look.get_indexes(name)
                },
            }
            if database.is_sqlite:
                made = connection.execute(
                    text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": name}
                ).scalar_one()
                shape[name]["kind"] = ("AUTOINCREMENT" in made, "WITHOUT ROWID" in made)
        return shape


def test_an_upgraded_schema_is_the_declared_one(earlier: Earlier, places: Callable[[], str], sealer: Sealer):
    """After the upgrade every table, column, default, key, check and index is as the rooms declare it, and none is left over."""
    with opened(earlier.url, sealer) as database, opened(places()) as declared:
        migrate(database)
        with declared.transaction() as connection:
            metadata.create_all(connection)
        assert _shape(database) == _shape(declared)
        assert any(table["checks"] for table in _shape(database).values())
        with database.reading() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_rules_of_altered_tables_hold(earlier: Earlier, sealer: Sealer):
    """Checks, keys and foreign keys of the altered tables refuse after an upgrade what they should."""
    with opened(earlier.url, sealer) as database:
        migrate(database)
        for statement in (
            "UPDATE waybills SET state = 'lost'",
            "UPDATE waybills SET void_wait = 'rain'",
            "UPDATE waybills SET number = '1'",
            "UPDATE subscriptions SET state = 'lost'",
            "UPDATE subscriptions SET kind = 'private' WHERE state = 'open'",
            "UPDATE subscriptions SET kind = NULL WHERE state = 'open'",
            "UPDATE subscriptions SET agreed_at = NULL WHERE state = 'open'",
            "UPDATE network_accounts SET token_print = NULL",
            "DELETE FROM waybills",
        ):
            with pytest.raises(IntegrityError), database.transaction() as connection:
                connection.execute(text(statement))
        with database.transaction() as connection:
            connection.execute(text("UPDATE subscriptions SET kind = NULL WHERE state = 'closed'"))
            connection.execute(text("UPDATE waybills SET state = 'in_transit' WHERE state = 'printed'"))


def test_a_database_that_was_made_under_the_wrong_number_gets_the_right_one(
    database: Database, accounts: Accounts
):
    """Checkouts of one day made the second schema as 0001: theirs is left as it is, and known as the newest."""
    store = accounts.create_store("云上小店", StoreKind.MERCHANT)
    before = _shape(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    migrate(database)
    assert database.revision() == HEAD
    assert _shape(database) == before
    assert accounts.stores() == [store]


# ---------------------------------------------------------------- the rooms


def test_the_rooms_go_on_with_old_rows(earlier: Earlier, tmp_path: Path):
    """Old waybills, services, orders and jobs are read; an old key answers its waybill, and an old parcel gets no second number (W2)."""
    merchant, factory = (Actor.operator(store, via="test") for store in (earlier.merchant, earlier.factory))
    with rooms_on(earlier, tmp_path) as rooms:
        found = rooms.waybills.list(merchant, limit=200)
        kinds = {id: kind for kind, id in earlier.ids.items()}
        assert {kinds[one.id] for one in found} >= {"requested", "unknown", "issued", "printed", "void label"}
        clear = rooms.waybills.clear(merchant, earlier.ids["issued"], "a look")
        assert (clear.recipient, clear.origin) == (Party(**RECIPIENT), Party(**SHOP))
        assert rooms.waybills.history(merchant, earlier.ids["issued"])[0].after == "requested"
        assert rooms.subscriptions.connected(merchant)
        services = {one.state.value: one for one in rooms.subscriptions.list(merchant)}
        assert set(services) == {"open", "under_review", "rejected", "closed"}
        assert services["open"].origin == Party(**SHOP)
        assert services["open"].kind == "franchise"
        assert rooms.addresses.default_party(merchant.store_id) == Party(**SHOP)
        assert [order.number for order in rooms.orders.list(factory)] == ["A-1"]
        assert rooms.orders.clear(merchant, "A-1", "a look").recipient == Party(**RECIPIENT)
        job = rooms.jobs.get(merchant, earlier.ids["job"])
        assert [label.state.value for label in job.labels] == ["printed", "printed"]

        asked = IssueRequest(
            carrier="ZTO",
            orders=("A-issued",),
            recipient=Party(**RECIPIENT),
            shown_sender=Party(**SHOP),
            items=(Item("马克杯 青釉", 2),),
            weight_g=350,
            note="轻放",
        )
        assert rooms.waybills.issue(merchant, asked, "key issued").id == earlier.ids["issued"]
        assert rooms.waybills.issue(merchant, asked, "another key").id == earlier.ids["issued"]
        with pytest.raises(Conflict):
            rooms.waybills.print(merchant, earlier.ids["printed"], "1号打包台", "again")


def test_old_rows_are_found_by_their_person(earlier: Earlier, tmp_path: Path):
    """A recipient's old waybills and orders are found by phone, name or both, by their owner and by nobody else."""
    merchant, factory = (Actor.operator(store, via="test") for store in (earlier.merchant, earlier.factory))
    with rooms_on(earlier, tmp_path) as rooms:
        for person in (
            {"phone": "19900002005"},
            {"name": "anna  SCHMIDT"},
            {"phone": "0086 199 0000 2005", "name": "Anna Schmidt"},
        ):
            assert len(rooms.waybills.find_person(merchant, **person)) == 10
            assert [order.number for order in rooms.orders.find_person(merchant, **person)] == ["A-1"]
            assert rooms.waybills.find_person(factory, **person) == []


def test_the_index_of_people_is_what_issuing_would_have_filed(
    earlier: Earlier, tmp_path: Path, sealer: Sealer
):
    """Whatever way a phone or a name was written, an upgrade files it under what the rooms look it up by."""
    people = [
        ("欧阳 晓晴", "19900002001"),
        ("ＡＮＮＡ", "１９９００００２００１"),
        ("Straße", "86-199 0000 2001"),
        ("李㛃", "8619900002001"),
        ("买买提·艾力", "0571-8888 1234"),
        ("𠮷田幸子", "+852 9123 4567"),
        ("虚拟", "19900002001#1234"),
        ("虚拟", "19900002001-5678"),
        ("虚拟", "0086 19900002001$99#"),
    ]
    with opened(earlier.url) as database, database.transaction() as connection:
        tables = MetaData()
        tables.reflect(connection)
        table: Table = tables.tables["waybills"]
        model = dict(
            connection.execute(select(table).where(table.c.id == earlier.ids["refused"])).one()._mapping
        )
        for name, phone in people:
            asked = {**request_of("B-1"), "recipient": {**RECIPIENT, "name": name, "phone": phone}}
            sealed = sealer.seal("waybills.request", json.dumps(asked, ensure_ascii=False).encode())
            connection.execute(table.insert().values({**model, "id": new_id(), "request": sealed}))
    merchant = Actor.operator(earlier.merchant, via="test")
    with rooms_on(earlier, tmp_path) as rooms:
        for name, phone in people:
            assert rooms.waybills.find_person(merchant, name=name, phone=phone), (name, phone)


def test_a_print_that_was_broken_off_is_finished_as_it_was_asked_for(earlier: Earlier, tmp_path: Path):
    """The key of an old print claim gets the label that it stood for, with its recipient in clear; a new claim's is masked."""
    merchant = Actor.operator(earlier.merchant, via="test")
    with rooms_on(earlier, tmp_path) as rooms:
        for kind, key, name in (("claimed", "broken-off", "Anna Schmidt"), ("issued", "new", "A***********")):
            job = rooms.waybills.print(merchant, earlier.ids[kind], "1号打包台", key, "waybill-76x130")
            with rooms.database.reading() as connection:
                documents = metadata.tables["documents"]
                data = connection.execute(
                    select(documents.c.data).where(documents.c.job_id == job.id)
                ).scalar_one()
            assert data["recipient"]["name"] == name


# ---------------------------------------------------------------- what stands in the way


def test_without_its_keys_an_earlier_database_stays_as_it_is(earlier: Earlier, tmp_path: Path):
    """An upgrade that can't open what is sealed says so and leaves rows, schema and revision alone."""
    stranger = Sealer.from_file(tmp_path / "another.key")
    for keys in (None, stranger):
        with opened(earlier.url, keys) as database:
            before = rows_of(database), _shape(database)
            with pytest.raises(LabelsvcError) as refused:
                migrate(database)
            assert refused.value.code == "key.missing"
            assert (rows_of(database), _shape(database)) == before
            assert database.revision() == "0001"


def test_a_later_versions_database_is_refused(database: Database):
    """A database whose schema is newer than the program isn't touched, and the error names both revisions."""
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(LabelsvcError, match=f"0999.*{HEAD}") as refused:
        migrate(database)
    assert refused.value.code == "database.newer"
    assert database.revision() == "0999"


def test_of_two_that_start_at_once_one_upgrades(earlier: Earlier, tmp_path: Path):
    """Two processes that open an earlier database at once both end with the upgraded one, and each old row is there once."""
    code = (
        "import sys; from pathlib import Path; from labelsvc.db import Database; from labelsvc.security import Sealer\n"
        "from labelsvc.migrations import migrate\n"
        "found = Database(sys.argv[1], sealer=Sealer.from_file(Path(sys.argv[2])))\n"
        "migrate(found); print(found.revision())"
    )
    key = tmp_path / "sealing.key"
    started = [
        subprocess.Popen([sys.executable, "-c", code, earlier.url, str(key)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [each.communicate(timeout=60)[0].decode().strip() for each in started] == [HEAD] * 2
    with opened(earlier.url) as database:
        found = rows_of(database)
    assert len(found["waybill_people"]) == len(found["waybills"]) == 10


def test_rows_that_refer_to_nothing_are_told_before_anything_is_changed(
    sqlite_database: Database, tmp_path: Path, sealer: Sealer
):
    """A SQLite database that somebody edited with foreign keys off isn't upgraded, and the error names the tables."""
    url = f"sqlite:///{tmp_path / 'edited.db'}"
    with opened(url, sealer) as database:
        _first_schema(database)
        with database.transaction() as connection:
            _fill(connection, sealer)
        raw = database.engine.raw_connection()
        assert raw.driver_connection is not None
        raw.driver_connection.execute("PRAGMA foreign_keys=OFF")
        raw.driver_connection.execute("DELETE FROM users")
        raw.driver_connection.execute("PRAGMA foreign_keys=ON")
        raw.close()
        with pytest.raises(LabelsvcError, match="credentials refer to rows of users") as refused:
            migrate(database)
        assert refused.value.code == "database.dangling"
        assert database.revision() == "0001"
        with database.reading() as connection:
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
