"""Keep what every poll writes apart from what identifies an account, and guard the evidence of runs."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
_EARLIER = (SQL / "0009_up.sql").read_text(encoding="utf-8")
_CHANGES = _EARLIER[_EARLIER.index("create or replace view analytics.changes as") :].partition(";")[0] + ";"


def upgrade() -> None:
    _run(SQL / "0011_up.sql")


def downgrade() -> None:
    _run(SQL / "0011_down.sql")


def _run(script: Path) -> None:
    """Executes several statements; only the driver takes more than one at once."""
    statements = script.read_text(encoding="utf-8").replace(":analytics.changes", _CHANGES)
    op.get_bind().connection.run_async(lambda driver: driver.execute(statements))
