"""Let a distributed database read the clock once a statement, and delete rejected records on the account's server."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _run(SQL / "0022_up.sql")


def downgrade() -> None:
    _run(SQL / "0022_down.sql")


def _run(script: Path) -> None:
    """Executes several statements; only the driver takes more than one at once."""
    statements = script.read_text(encoding="utf-8")
    op.get_bind().connection.run_async(lambda driver: driver.execute(statements))
