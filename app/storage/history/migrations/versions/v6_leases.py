"""The leases of processes; messages are found by their conversation alone."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    op.create_table(
        "processes",
        sa.Column(
            "token", sa.Integer().with_variant(sa.BigInteger, "postgresql"), primary_key=True
        ),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recovered_by", sa.String(36)),
        sqlite_autoincrement=True,
    )
    op.drop_index("ix_messages_session_scope_created_at", "messages")
    op.create_index(
        "ix_messages_session_scope", "messages", ["session_scope"], postgresql_using="hash"
    )
