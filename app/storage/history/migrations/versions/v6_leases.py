"""The leases and locks of processes, tombstones; messages are found by their conversation alone."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"

NUMBER = sa.Integer().with_variant(sa.BigInteger, "postgresql")


def upgrade() -> None:
    op.create_table(
        "processes",
        sa.Column("token", NUMBER, primary_key=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recovered_by", sa.String(36)),
        sqlite_autoincrement=True,
    )
    op.drop_index("ix_messages_session_scope_created_at", "messages")
    op.create_index(
        "ix_messages_session_scope", "messages", ["session_scope"], postgresql_using="hash"
    )
    op.create_table(
        "locks",
        sa.Column("seq", NUMBER, primary_key=True),
        sa.Column("process", sa.String(36), nullable=False),
        sa.Column("hold", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(6), nullable=False),
        sa.Column("key", sa.String),
        sa.Column("intent", NUMBER, sa.ForeignKey("intents.seq", ondelete="CASCADE")),
        sa.Column("user_id", sa.String),
        sa.Column("agent_id", sa.String),
        sa.Column("app_id", sa.String),
        sa.Column("run_id", sa.String),
        sqlite_autoincrement=True,
    )
    for column in ("process", "hold", "key", "intent"):
        op.create_index(f"ix_locks_{column}", "locks", [column])
    op.create_table(
        "tombstones",
        sa.Column("memory_id", sa.String(36), primary_key=True),
        sa.Column("kept_at", sa.Float, nullable=False),
    )
