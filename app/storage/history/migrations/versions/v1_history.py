"""History and messages: the first version. Newer databases are made without migrations."""

revision = "1"
down_revision = None


def upgrade() -> None:
    """There was nothing before."""
