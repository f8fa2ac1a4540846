"""Numbers in bulk and from files, applications under review, updates, hand-over; people found by token, and erased.

What an earlier version wrote stays as it is. What its rows didn't say yet, they say after this: see ``_tell``.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from labelsvc.errors import LabelsvcError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: Rows are read and told about in such portions, so that a large database doesn't have to fit into memory.
_PORTION = 500


def upgrade() -> None:
    """Change the tables that were there, make the new ones, then say of the old rows what they couldn't."""
    if sa.inspect(op.get_bind()).has_table("waybill_people"):
        return  # the checkouts of one day made all of this under the number 0001
    _change()
    _make()
    _tell(op.get_bind())
    with op.batch_alter_table("network_accounts", copy_from=_as_it_stands("network_accounts")) as batch:
        batch.alter_column("token_print", existing_type=sa.String(length=64), nullable=False)


def downgrade() -> None:
    """There is no way back: an earlier version has no place for drafts, sets, updates and parcels on their way."""
    raise LabelsvcError(
        "an upgraded database can't go back: use the backup from before", code="database.newer"
    )


# --- the tables that were there ---------------------------------------------------------------------------------


def _change() -> None:
    with op.batch_alter_table("subscriptions", copy_from=_as_it_stands("subscriptions")) as batch:
        batch.add_column(
            sa.Column("network", sa.String(length=10), server_default="platform", nullable=False)
        )
        batch.add_column(sa.Column("accepted", sa.Boolean(), server_default="0", nullable=False))
        batch.add_column(sa.Column("carrier_reason", sa.LargeBinary(), nullable=True))
        batch.add_column(sa.Column("attempts", sa.Integer(), server_default="0", nullable=False))
        batch.add_column(sa.Column("attempt_until", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("look_at", sa.DateTime(timezone=True), nullable=True))
        # A draft has neither yet.
        batch.alter_column("kind", existing_type=sa.String(length=10), nullable=True)
        batch.alter_column("agreed_at", existing_type=sa.DateTime(timezone=True), nullable=True)
        batch.alter_column("agreed_by", existing_type=sa.String(length=80), server_default="")
        batch.drop_constraint(op.f("ck_subscriptions_kind"), type_="check")
        batch.create_check_constraint(
            op.f("ck_subscriptions_kind"),
            "state IN ('draft', 'closed') OR (kind IS NOT NULL AND kind IN ('direct', 'franchise'))",
        )
        batch.create_check_constraint(
            op.f("ck_subscriptions_agreed"), "state IN ('draft', 'closed') OR agreed_at IS NOT NULL"
        )
        batch.create_index("ix_subscriptions_look_at", ["look_at"], unique=False)
    op.add_column("subscription_events", sa.Column("carrier_reason", sa.LargeBinary(), nullable=True))
    op.add_column(
        "subscription_events",
        sa.Column("changed", sa.String(length=200), server_default="", nullable=False),
    )

    with op.batch_alter_table("waybills", copy_from=_as_it_stands("waybills")) as batch:
        batch.add_column(
            sa.Column("network", sa.String(length=20), server_default="platform", nullable=False)
        )
        batch.add_column(sa.Column("void_tries", sa.Integer(), server_default="0", nullable=False))
        batch.add_column(sa.Column("print_clear", sa.Boolean(), server_default="0", nullable=False))
        batch.add_column(sa.Column("parent_number", sa.String(length=40), server_default="", nullable=False))
        batch.add_column(sa.Column("revision", sa.Integer(), server_default="0", nullable=False))
        for name in (
            "next_try_at",
            "ask_after",
            "next_look_at",
            "handed_over_at",
            "delivered_at",
            "erased_at",
        ):
            batch.add_column(sa.Column(name, sa.DateTime(timezone=True), nullable=True))
        batch.drop_constraint(op.f("ck_waybills_state"), type_="check")
        batch.create_check_constraint(
            op.f("ck_waybills_state"),
            "state IN ('requested', 'unknown', 'refused', 'issued', 'printed', 'handed_over', 'in_transit', "
            "'delivered', 'void_pending', 'cancelled')",
        )
        batch.create_index("ix_waybills_next_look_at", ["next_look_at"], unique=False)

    for table in ("orders", "print_jobs"):
        op.add_column(table, sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    for table in ("orders", "print_jobs", "waybills"):
        op.create_index(
            f"ix_{table}_not_erased",
            table,
            ["created_at"],
            unique=False,
            sqlite_where=sa.text("erased_at IS NULL"),
            postgresql_where=sa.text("erased_at IS NULL"),
        )

    op.add_column("network_accounts", sa.Column("refresh_token", sa.LargeBinary(), nullable=True))
    for name in ("expires_at", "renewing_until"):
        op.add_column("network_accounts", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("network_accounts", sa.Column("token_print", sa.String(length=64), nullable=True))
    op.add_column(
        "network_accounts",
        sa.Column("former_print", sa.String(length=64), server_default="", nullable=False),
    )
    for name in ("token_print", "former_print"):
        op.create_index(op.f(f"ix_network_accounts_{name}"), "network_accounts", [name], unique=False)


def _as_it_stands(name: str) -> sa.Table:
    """A table with all that SQLite has to make anew with it; a plain look leaves the checks out."""
    connection = op.get_bind()
    table = sa.Table(name, sa.MetaData(), autoload_with=connection, resolve_fks=False)
    for check in sa.inspect(connection).get_check_constraints(name):
        table.append_constraint(sa.CheckConstraint(check["sqltext"], name=check["name"]))
    return table


# --- new tables -------------------------------------------------------------------------------------------------


def _make() -> None:
    op.create_table(
        "audit_entries",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=80), nullable=False),
        sa.Column("via", sa.String(length=40), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_audit_entries_store_id_stores")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_entries")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entries_store_id_seq", "audit_entries", ["store_id", "seq"], unique=False)
    op.create_table(
        "number_pools",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("carrier", sa.String(length=20), nullable=False),
        sa.Column("branch_code", sa.String(length=40), nullable=False),
        sa.Column("branch_name", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_number_pools_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_pools")),
        sa.UniqueConstraint(
            "store_id", "carrier", "branch_code", name=op.f("uq_number_pools_store_id_carrier_branch_code")
        ),
    )
    op.create_table(
        "store_preferences",
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("clear_labels", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_store_preferences_store_id_stores")
        ),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_store_preferences")),
    )
    op.create_table(
        "waybill_batches",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('open', 'done')", name=op.f("ck_waybill_batches_state")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_waybill_batches_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waybill_batches")),
        sa.UniqueConstraint("store_id", "key", name=op.f("uq_waybill_batches_store_id_key")),
    )
    op.create_index(
        "ix_waybill_batches_state_lease_until", "waybill_batches", ["state", "lease_until"], unique=False
    )
    op.create_table(
        "order_people",
        sa.Column("order_id", sa.String(length=26), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_people_order_id_orders")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_people")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_order_people_name", "order_people", ["name"], unique=False)
    op.create_index("ix_order_people_phone", "order_people", ["phone"], unique=False)
    op.create_table(
        "pool_numbers",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("pool_id", sa.String(length=26), nullable=False),
        sa.Column("carrier", sa.String(length=20), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("route_code", sa.String(length=60), nullable=False),
        sa.Column("sorting_mark", sa.String(length=80), nullable=False),
        sa.Column("consolidation_centre", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("parcel", sa.String(length=64), nullable=True),
        sa.Column("live_parcel", sa.String(length=64), nullable=True),
        sa.Column("recipient", sa.String(length=64), server_default="", nullable=False),
        sa.Column("parent", sa.String(length=40), server_default="", nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('free', 'given', 'parent', 'cancelled')", name=op.f("ck_pool_numbers_state")
        ),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["number_pools.id"], name=op.f("fk_pool_numbers_pool_id_number_pools")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_pool_numbers")),
        sa.UniqueConstraint("carrier", "number", name=op.f("uq_pool_numbers_carrier_number")),
        sa.UniqueConstraint("live_parcel", name=op.f("uq_pool_numbers_live_parcel")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_pool_numbers_parcel"), "pool_numbers", ["parcel"], unique=False)
    op.create_index(
        "ix_pool_numbers_pool_id_state", "pool_numbers", ["pool_id", "state", "seq"], unique=False
    )
    op.create_table(
        "pool_origins",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("pool_id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("carrier", sa.String(length=20), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["number_pools.id"], name=op.f("fk_pool_origins_pool_id_number_pools")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_pool_origins_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool_origins")),
        sa.UniqueConstraint(
            "store_id", "carrier", "origin", name=op.f("uq_pool_origins_store_id_carrier_origin")
        ),
    )
    op.create_index(op.f("ix_pool_origins_pool_id"), "pool_origins", ["pool_id"], unique=False)
    op.create_table(
        "waybill_batch_items",
        sa.Column("batch_id", sa.String(length=26), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("order_number", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("waybill_id", sa.String(length=26), nullable=True),
        sa.Column("code", sa.String(length=80), server_default="", nullable=False),
        sa.Column("field", sa.String(length=80), server_default="", nullable=False),
        sa.Column("detail", sa.String(length=200), server_default="", nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'issued', 'refused')", name=op.f("ck_waybill_batch_items_state")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["waybill_batches.id"], name=op.f("fk_waybill_batch_items_batch_id_waybill_batches")
        ),
        sa.ForeignKeyConstraint(
            ["waybill_id"], ["waybills.id"], name=op.f("fk_waybill_batch_items_waybill_id_waybills")
        ),
        sa.PrimaryKeyConstraint("batch_id", "place", name=op.f("pk_waybill_batch_items")),
    )
    op.create_index(
        op.f("ix_waybill_batch_items_waybill_id"), "waybill_batch_items", ["waybill_id"], unique=False
    )
    op.create_table(
        "waybill_people",
        sa.Column("waybill_id", sa.String(length=26), nullable=False),
        sa.Column("phone", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["waybill_id"], ["waybills.id"], name=op.f("fk_waybill_people_waybill_id_waybills")
        ),
        sa.PrimaryKeyConstraint("waybill_id", name=op.f("pk_waybill_people")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_waybill_people_name", "waybill_people", ["name"], unique=False)
    op.create_index("ix_waybill_people_phone", "waybill_people", ["phone"], unique=False)
    op.create_table(
        "waybill_updates",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("waybill_id", sa.String(length=26), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=80), server_default="", nullable=False),
        sa.Column("pending_of", sa.String(length=26), nullable=True),
        sa.Column("wanted", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempt_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'done', 'given_back', 'refused')", name=op.f("ck_waybill_updates_state")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_waybill_updates_store_id_stores")),
        sa.ForeignKeyConstraint(
            ["waybill_id"], ["waybills.id"], name=op.f("fk_waybill_updates_waybill_id_waybills")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waybill_updates")),
        sa.UniqueConstraint("pending_of", name=op.f("uq_waybill_updates_pending_of")),
        sa.UniqueConstraint("store_id", "key", name=op.f("uq_waybill_updates_store_id_key")),
    )
    op.create_index(
        "ix_waybill_updates_state_attempt_until", "waybill_updates", ["state", "attempt_until"], unique=False
    )
    op.create_index(
        "ix_waybill_updates_store_id_destroyed_at",
        "waybill_updates",
        ["store_id", "destroyed_at"],
        unique=False,
    )
    op.create_index(op.f("ix_waybill_updates_waybill_id"), "waybill_updates", ["waybill_id"], unique=False)


# --- what the old rows say from now on --------------------------------------------------------------------------

_AT = sa.DateTime(timezone=True)
_subscriptions = sa.table(
    "subscriptions",
    sa.column("state", sa.String),
    sa.column("accepted", sa.Boolean),
    sa.column("created_at", _AT),
    sa.column("look_at", _AT),
)
_waybills = sa.table(
    "waybills",
    sa.column("id", sa.String),
    sa.column("owner_id", sa.String),
    sa.column("state", sa.String),
    sa.column("request", sa.LargeBinary),
    sa.column("void_wait", sa.String),
    sa.column("void_tries", sa.Integer),
    sa.column("attempt_until", _AT),
    sa.column("next_try_at", _AT),
    sa.column("print_no", sa.Integer),
    sa.column("print_clear", sa.Boolean),
    sa.column("issued_at", _AT),
    sa.column("next_look_at", _AT),
)
_orders = sa.table(
    "orders",
    sa.column("id", sa.String),
    sa.column("merchant_id", sa.String),
    sa.column("content", sa.LargeBinary),
)
_accounts = sa.table(
    "network_accounts",
    sa.column("store_id", sa.String),
    sa.column("access_token", sa.LargeBinary),
    sa.column("token_print", sa.String),
)
_people = {
    table: sa.table(
        table, sa.column(key, sa.String), sa.column("phone", sa.String), sa.column("name", sa.String)
    )
    for table, key in (("waybill_people", "waybill_id"), ("order_people", "order_id"))
}
#: What hasn't arrived by then won't be heard of any more.
_FOLLOWED = timedelta(days=60)


def _tell(connection: sa.Connection) -> None:
    """Say of the old rows what an earlier version knew without writing it down."""
    # Nobody could apply without agreeing; and how an application stands is asked of the network at once.
    connection.execute(sa.update(_subscriptions).values(accepted=True))
    connection.execute(
        sa.update(_subscriptions)
        .where(_subscriptions.c.state.in_(["under_review", "open", "suspended"]))
        .values(look_at=_subscriptions.c.created_at)
    )
    # A cancellation's next try stood in the lease's column. Whether the network was asked is not known, so the next try
    # looks first whether it happened.
    connection.execute(
        sa.update(_waybills)
        .where(_waybills.c.state == "void_pending")
        .values(next_try_at=_waybills.c.attempt_until, attempt_until=None)
    )
    connection.execute(
        sa.update(_waybills)
        .where(_waybills.c.state == "void_pending", _waybills.c.void_wait == "network")
        .values(void_tries=1)
    )
    # Labels showed their recipients in clear. One whose print was broken off is asked for word for word as it was.
    connection.execute(sa.update(_waybills).where(_waybills.c.print_no > 0).values(print_clear=True))
    # The carrier's scans of what may be on its way: due since the number was got.
    connection.execute(
        sa.update(_waybills)
        .where(
            _waybills.c.state.in_(["issued", "printed", "void_pending"]),
            _waybills.c.issued_at > datetime.now(UTC) - _FOLLOWED,
        )
        .values(next_look_at=_waybills.c.issued_at)
    )
    for row in connection.execute(sa.select(_accounts)).all():
        token = _opened(connection, "network_accounts.access_token", row.access_token)
        connection.execute(
            sa.update(_accounts)
            .where(_accounts.c.store_id == row.store_id)
            .values(token_print=_hash(connection, "network.token", json.dumps(token, ensure_ascii=False)))
        )
    for table, owner, content, index in (
        (_waybills, "owner_id", "request", "waybill_people"),
        (_orders, "merchant_id", "content", "order_people"),
    ):
        for rows in _portions(connection, table, owner, content):
            opened = [_opened(connection, f"{table.name}.{content}", row.content) for row in rows]
            _index(connection, index, [row.id for row in rows], [row.owner for row in rows], opened)


def _portions(
    connection: sa.Connection, table: sa.TableClause, owner: str, content: str
) -> Iterator[list[sa.Row[Any, Any, Any]]]:
    """All rows of a table: the id, whose they are, and their sealed content."""
    last = ""
    query = sa.select(table.c.id, table.c[owner].label("owner"), table.c[content].label("content"))
    query = query.order_by(table.c.id).limit(_PORTION)
    while rows := list(connection.execute(query.where(table.c.id > last))):
        yield rows
        last = rows[-1].id


def _index(
    connection: sa.Connection, index: str, ids: list[str], owners: list[str], contents: list[Any]
) -> None:
    """Make rows findable by their recipients, among those of their owners."""
    people = _people[index]
    lines = []
    for id, owner, content in zip(ids, owners, contents, strict=True):
        recipient = content["recipient"]
        phone, name = _plain_phone(recipient["phone"]), _plain_name(recipient["name"])
        lines.append(
            {
                people.columns[0].name: id,
                "phone": _token(connection, "phone", phone, owner),
                "name": _token(connection, "name", name, owner),
            }
        )
    connection.execute(sa.insert(people), lines)


# The rules of the index as they are at this revision: if they change one day, so will every row of it, by a revision of its
# own. The keys come with the connection; rooms stand above migrations and aren't asked.


def _sealer(connection: sa.Connection) -> Any:
    found = getattr(connection.dialect, "labelsvc_sealer", None)
    if found is None:
        raise LabelsvcError("this database was opened without its sealing keys", code="key.missing")
    return found


def _opened(connection: sa.Connection, column: str, sealed: bytes) -> Any:
    return json.loads(_sealer(connection).open(column, bytes(sealed)))


def _hash(connection: sa.Connection, purpose: str, plain: str) -> str:
    return str(_sealer(connection).fingerprint(purpose, plain.encode()))


def _token(connection: sa.Connection, kind: str, plain: str, owner: str) -> str:
    return _hash(connection, f"index {kind} {owner}", plain)[:32] if plain else ""


def _plain_phone(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).strip()
    main, _, extension = text.strip("#$ ").partition("#")
    number, extension = re.sub(r"\D", "", main), re.sub(r"\D", "", extension)
    if number.startswith("0086"):
        number = number[4:]
    elif number.startswith("86") and (main.lstrip().startswith("+") or re.fullmatch(r"861\d{10}", number)):
        number = number[2:]
    number = number.removeprefix("0")
    if re.fullmatch(r"1\d{11,}", number) and not extension:
        number, extension = number[:11], number[11:]
    return f"{number}#{extension}" if extension else number


def _plain_name(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
