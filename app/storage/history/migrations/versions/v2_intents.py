"""The intents of writes, and the answers of requests with an idempotency key."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.create_table(
        "intents",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("process", sa.String(36), nullable=False, index=True),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "answers",
        sa.Column("caller", sa.String, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("process", sa.String(36), nullable=False, index=True),
        sa.Column("intent", sa.Integer, index=True),
        sa.Column("answer", sa.Text),
        sa.Column("asked_at", sa.Float, nullable=False, index=True),
        sa.Column("user_id", sa.String, index=True),
        sa.Column("agent_id", sa.String, index=True),
        sa.Column("run_id", sa.String, index=True),
    )
