"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blocks",
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_blocks")),
    )
    op.create_table(
        "feed_cursors",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_cursors")),
    )
    op.create_table(
        "stores",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('merchant', 'factory')", name=op.f("ck_stores_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stores")),
        sa.UniqueConstraint("name", name=op.f("uq_stores_name")),
    )
    op.create_table(
        "bindings",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("merchant_id", sa.String(length=26), nullable=False),
        sa.Column("merchant_name", sa.String(length=80), nullable=False),
        sa.Column("factory_id", sa.String(length=26), nullable=False),
        sa.Column("factory_name", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("live", sa.String(length=60), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('proposed', 'accepted', 'declined', 'ended')", name=op.f("ck_bindings_state")
        ),
        sa.ForeignKeyConstraint(["factory_id"], ["stores.id"], name=op.f("fk_bindings_factory_id_stores")),
        sa.ForeignKeyConstraint(["merchant_id"], ["stores.id"], name=op.f("fk_bindings_merchant_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bindings")),
        sa.UniqueConstraint("live", name=op.f("uq_bindings_live")),
    )
    with op.batch_alter_table("bindings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_bindings_factory_id"), ["factory_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_bindings_merchant_id"), ["merchant_id"], unique=False)

    op.create_table(
        "network_accounts",
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("access_token", sa.LargeBinary(), nullable=False),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_network_accounts_store_id_stores")
        ),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_network_accounts")),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("merchant_id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("factory_id", sa.String(length=26), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("shown_sender", sa.LargeBinary(), nullable=False),
        sa.Column("held_reason", sa.String(length=80), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'assigned') = (factory_id IS NOT NULL)", name=op.f("ck_orders_factory")),
        sa.CheckConstraint("state IN ('unassigned', 'assigned')", name=op.f("ck_orders_state")),
        sa.ForeignKeyConstraint(["factory_id"], ["stores.id"], name=op.f("fk_orders_factory_id_stores")),
        sa.ForeignKeyConstraint(["merchant_id"], ["stores.id"], name=op.f("fk_orders_merchant_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("merchant_id", "number", name=op.f("uq_orders_merchant_id_number")),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index("ix_orders_factory_id_state", ["factory_id", "state", "id"], unique=False)
        batch_op.create_index("ix_orders_merchant_id_state", ["merchant_id", "state", "id"], unique=False)

    op.create_table(
        "printers",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("uri", sa.String(length=300), nullable=False),
        sa.Column("profile", sa.String(length=80), nullable=False),
        sa.Column("dpi", sa.Integer(), nullable=False),
        sa.Column("darkness", sa.Integer(), nullable=True),
        sa.Column("speed", sa.Integer(), nullable=True),
        sa.Column("offset_x", sa.Integer(), nullable=False),
        sa.Column("offset_y", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("state_reason", sa.String(length=40), nullable=False),
        sa.Column("state_source", sa.String(length=20), nullable=False),
        sa.Column("state_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('ready', 'not_ready', 'unknown')", name=op.f("ck_printers_state")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_printers_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_printers")),
    )
    with op.batch_alter_table("printers", schema=None) as batch_op:
        batch_op.create_index(
            "uq_printers_store_id_name",
            ["store_id", "name"],
            unique=True,
            sqlite_where=sa.text("removed_at IS NULL"),
            postgresql_where=sa.text("removed_at IS NULL"),
        )

    op.create_table(
        "sender_addresses",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("party", sa.LargeBinary(), nullable=False),
        sa.Column("default_of", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("slot BETWEEN 1 AND 100", name=op.f("ck_sender_addresses_slot")),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_sender_addresses_store_id_stores")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sender_addresses")),
        sa.UniqueConstraint("default_of", name=op.f("uq_sender_addresses_default_of")),
        sa.UniqueConstraint("store_id", "slot", name=op.f("uq_sender_addresses_store_id_slot")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_users_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("store_id", "name", name=op.f("uq_users_store_id_name")),
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("label", sa.String(length=80), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('token', 'sign_in', 'session')", name=op.f("ck_credentials_kind")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_credentials_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("hash", name=op.f("uq_credentials_hash")),
    )
    with op.batch_alter_table("credentials", schema=None) as batch_op:
        batch_op.create_index("ix_credentials_user_id_kind", ["user_id", "kind"], unique=False)

    op.create_table(
        "print_jobs",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("printer_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.String(length=10), nullable=False),
        sa.Column("origin", sa.String(length=100), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("lane IN ('bench', 'batch')", name=op.f("ck_print_jobs_lane")),
        sa.ForeignKeyConstraint(
            ["printer_id"], ["printers.id"], name=op.f("fk_print_jobs_printer_id_printers")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_print_jobs_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_print_jobs")),
        sa.UniqueConstraint("store_id", "key", name=op.f("uq_print_jobs_store_id_key")),
    )
    with op.batch_alter_table("print_jobs", schema=None) as batch_op:
        batch_op.create_index("ix_print_jobs_store_id_id", ["store_id", "id"], unique=False)

    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("carrier", sa.String(length=20), nullable=False),
        sa.Column("carrier_name", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("address_id", sa.String(length=26), nullable=True),
        sa.Column("branch_code", sa.String(length=40), nullable=False),
        sa.Column("branch_name", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.Column("contact", sa.LargeBinary(), nullable=False),
        sa.Column("settlement_account", sa.LargeBinary(), nullable=False),
        sa.Column("agreement_version", sa.String(length=40), nullable=False),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreed_by", sa.String(length=80), nullable=False),
        sa.Column("occupies", sa.String(length=60), nullable=True),
        sa.Column("network_application_id", sa.String(length=80), server_default="", nullable=False),
        sa.Column("reason", sa.String(length=80), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('direct', 'franchise')", name=op.f("ck_subscriptions_kind")),
        sa.CheckConstraint(
            "state IN ('draft', 'under_review', 'open', 'rejected', 'suspended', 'closed')",
            name=op.f("ck_subscriptions_state"),
        ),
        sa.ForeignKeyConstraint(
            ["address_id"],
            ["sender_addresses.id"],
            name=op.f("fk_subscriptions_address_id_sender_addresses"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_subscriptions_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("occupies", name=op.f("uq_subscriptions_occupies")),
    )
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscriptions_address_id"), ["address_id"], unique=False)
        batch_op.create_index("ix_subscriptions_store_id_carrier", ["store_id", "carrier"], unique=False)

    op.create_table(
        "documents",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("template", sa.String(length=200), nullable=False),
        sa.Column("template_text", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("warnings", sa.LargeBinary(), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=True),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["print_jobs.id"], name=op.f("fk_documents_job_id_print_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("job_id", "no", name=op.f("uq_documents_job_id_no")),
    )
    op.create_table(
        "subscription_events",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subscription_id", sa.String(length=26), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=False),
        sa.Column("after", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_subscription_events_subscription_id_subscriptions"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_subscription_events")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("subscription_events", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_subscription_events_subscription_id"), ["subscription_id"], unique=False
        )

    op.create_table(
        "waybills",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("owner_id", sa.String(length=26), nullable=False),
        sa.Column("subscription_id", sa.String(length=26), nullable=False),
        sa.Column("carrier", sa.String(length=20), nullable=False),
        sa.Column("carrier_name", sa.String(length=60), nullable=False),
        sa.Column("live_parcel", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("print_data", sa.LargeBinary(), nullable=True),
        sa.Column("route_code", sa.String(length=60), server_default="", nullable=False),
        sa.Column("sorting_mark", sa.String(length=80), server_default="", nullable=False),
        sa.Column("consolidation_centre", sa.String(length=80), server_default="", nullable=False),
        sa.Column("reason", sa.String(length=80), server_default="", nullable=False),
        sa.Column("held_reason", sa.String(length=80), server_default="", nullable=False),
        sa.Column("void_wait", sa.String(length=10), nullable=True),
        sa.Column("label_destroyed", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempt_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("print_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("print_key", sa.String(length=200), server_default="", nullable=False),
        sa.Column("print_printer", sa.String(length=80), server_default="", nullable=False),
        sa.Column("print_template", sa.String(length=80), server_default="", nullable=False),
        sa.Column("print_lane", sa.String(length=10), server_default="", nullable=False),
        sa.Column("print_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("printed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('requested', 'unknown', 'refused', 'issued', 'printed', 'void_pending', 'cancelled')",
            name=op.f("ck_waybills_state"),
        ),
        sa.CheckConstraint(
            "void_wait IS NULL OR void_wait IN ('label', 'network')", name=op.f("ck_waybills_void_wait")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["stores.id"], name=op.f("fk_waybills_owner_id_stores")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_waybills_store_id_stores")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_waybills_subscription_id_subscriptions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waybills")),
        sa.UniqueConstraint("carrier", "number", name=op.f("uq_waybills_carrier_number")),
        sa.UniqueConstraint("live_parcel", name=op.f("uq_waybills_live_parcel")),
    )
    with op.batch_alter_table("waybills", schema=None) as batch_op:
        batch_op.create_index("ix_waybills_state_attempt_until", ["state", "attempt_until"], unique=False)
        batch_op.create_index("ix_waybills_store_id_state", ["store_id", "state", "id"], unique=False)

    op.create_table(
        "labels",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("document_id", sa.String(length=26), nullable=False),
        sa.Column("printer_id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("document_no", sa.Integer(), nullable=False),
        sa.Column("copy_no", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("lane", sa.String(length=10), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("grouped", sa.String(length=100), nullable=True),
        sa.Column("subject", sa.String(length=100), nullable=True),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reprint_of", sa.String(length=26), nullable=True),
        sa.Column("reprint_count", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=True),
        sa.Column("bytes_count", sa.Integer(), nullable=True),
        sa.Column("counter_before", sa.BigInteger(), nullable=True),
        sa.Column("sent_no", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("lane IN ('bench', 'batch')", name=op.f("ck_labels_lane")),
        sa.CheckConstraint(
            "state IN ('queued', 'held', 'sending', 'printed', 'sent', 'failed', 'uncertain', 'cancelled')",
            name=op.f("ck_labels_state"),
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_labels_document_id_documents")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["print_jobs.id"], name=op.f("fk_labels_job_id_print_jobs")),
        sa.ForeignKeyConstraint(["printer_id"], ["printers.id"], name=op.f("fk_labels_printer_id_printers")),
        sa.ForeignKeyConstraint(["reprint_of"], ["labels.id"], name=op.f("fk_labels_reprint_of_labels")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_labels_store_id_stores")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_labels")),
        sa.UniqueConstraint("id", name=op.f("uq_labels_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("labels", schema=None) as batch_op:
        batch_op.create_index("ix_labels_job_id_state", ["job_id", "state"], unique=False)
        batch_op.create_index("ix_labels_printer_id_sent_no", ["printer_id", "sent_no"], unique=True)
        batch_op.create_index("ix_labels_reprint_of", ["reprint_of"], unique=False)
        batch_op.create_index("ix_labels_store_id_state", ["store_id", "state"], unique=False)
        batch_op.create_index("ix_labels_subject", ["subject"], unique=False)
        batch_op.create_index("ix_labels_turn", ["printer_id", "state", "lane", "place", "seq"], unique=False)

    op.create_table(
        "waybill_events",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("waybill_id", sa.String(length=26), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=False),
        sa.Column("after", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=80), nullable=False),
        sa.ForeignKeyConstraint(
            ["waybill_id"], ["waybills.id"], name=op.f("fk_waybill_events_waybill_id_waybills")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_waybill_events")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("waybill_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_waybill_events_waybill_id"), ["waybill_id"], unique=False)

    op.create_table(
        "waybill_keys",
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("waybill_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_waybill_keys_store_id_stores")),
        sa.ForeignKeyConstraint(
            ["waybill_id"], ["waybills.id"], name=op.f("fk_waybill_keys_waybill_id_waybills")
        ),
        sa.PrimaryKeyConstraint("store_id", "key", name=op.f("pk_waybill_keys")),
    )
    op.create_table(
        "waybill_orders",
        sa.Column("waybill_id", sa.String(length=26), nullable=False),
        sa.Column("order_number", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["stores.id"], name=op.f("fk_waybill_orders_owner_id_stores")),
        sa.ForeignKeyConstraint(
            ["waybill_id"], ["waybills.id"], name=op.f("fk_waybill_orders_waybill_id_waybills")
        ),
        sa.PrimaryKeyConstraint("waybill_id", "order_number", name=op.f("pk_waybill_orders")),
    )
    with op.batch_alter_table("waybill_orders", schema=None) as batch_op:
        batch_op.create_index(
            "ix_waybill_orders_owner_id_order_number", ["owner_id", "order_number"], unique=False
        )

    op.create_table(
        "changes",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label_id", sa.String(length=26), nullable=False),
        sa.Column("job_id", sa.String(length=26), nullable=False),
        sa.Column("store_id", sa.String(length=26), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=True),
        sa.Column("before", sa.String(length=10), nullable=True),
        sa.Column("after", sa.String(length=10), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "after IN ('queued', 'held', 'sending', 'printed', 'sent', 'failed', 'uncertain', 'cancelled')",
            name=op.f("ck_changes_after"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["print_jobs.id"], name=op.f("fk_changes_job_id_print_jobs")),
        sa.ForeignKeyConstraint(["label_id"], ["labels.id"], name=op.f("fk_changes_label_id_labels")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_changes_store_id_stores")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("changes", schema=None) as batch_op:
        batch_op.create_index("ix_changes_job_id_seq", ["job_id", "seq"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("changes", schema=None) as batch_op:
        batch_op.drop_index("ix_changes_job_id_seq")

    op.drop_table("changes")
    with op.batch_alter_table("waybill_orders", schema=None) as batch_op:
        batch_op.drop_index("ix_waybill_orders_owner_id_order_number")

    op.drop_table("waybill_orders")
    op.drop_table("waybill_keys")
    with op.batch_alter_table("waybill_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_waybill_events_waybill_id"))

    op.drop_table("waybill_events")
    with op.batch_alter_table("labels", schema=None) as batch_op:
        batch_op.drop_index("ix_labels_turn")
        batch_op.drop_index("ix_labels_subject")
        batch_op.drop_index("ix_labels_store_id_state")
        batch_op.drop_index("ix_labels_reprint_of")
        batch_op.drop_index("ix_labels_printer_id_sent_no")
        batch_op.drop_index("ix_labels_job_id_state")

    op.drop_table("labels")
    with op.batch_alter_table("waybills", schema=None) as batch_op:
        batch_op.drop_index("ix_waybills_store_id_state")
        batch_op.drop_index("ix_waybills_state_attempt_until")

    op.drop_table("waybills")
    with op.batch_alter_table("subscription_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_subscription_events_subscription_id"))

    op.drop_table("subscription_events")
    op.drop_table("documents")
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.drop_index("ix_subscriptions_store_id_carrier")
        batch_op.drop_index(batch_op.f("ix_subscriptions_address_id"))

    op.drop_table("subscriptions")
    with op.batch_alter_table("print_jobs", schema=None) as batch_op:
        batch_op.drop_index("ix_print_jobs_store_id_id")

    op.drop_table("print_jobs")
    with op.batch_alter_table("credentials", schema=None) as batch_op:
        batch_op.drop_index("ix_credentials_user_id_kind")

    op.drop_table("credentials")
    op.drop_table("users")
    op.drop_table("sender_addresses")
    with op.batch_alter_table("printers", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_printers_store_id_name",
            sqlite_where=sa.text("removed_at IS NULL"),
            postgresql_where=sa.text("removed_at IS NULL"),
        )

    op.drop_table("printers")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index("ix_orders_merchant_id_state")
        batch_op.drop_index("ix_orders_factory_id_state")

    op.drop_table("orders")
    op.drop_table("network_accounts")
    with op.batch_alter_table("bindings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_bindings_merchant_id"))
        batch_op.drop_index(batch_op.f("ix_bindings_factory_id"))

    op.drop_table("bindings")
    op.drop_table("stores")
    op.drop_table("feed_cursors")
    op.drop_table("blocks")
