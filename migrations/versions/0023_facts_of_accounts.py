"""Move what nearly all views read out of account_schedule, and give functions of days a type that is no table's."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _run(SQL / "0023_up.sql")


def downgrade() -> None:
    _run(SQL / "0023_down.sql")


def _run(script: Path) -> None:
    """Executes several statements; only the driver takes more than one at once."""
    statements = script.read_text(encoding="utf-8")
    op.get_bind().connection.run_async(lambda driver: driver.execute(statements))
