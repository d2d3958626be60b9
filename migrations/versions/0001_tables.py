"""The tables of schema `syncer`, the clock, and the vendor's documented words."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _run(SQL / "0001_up.sql")


def downgrade() -> None:
    _run(SQL / "0001_down.sql")


def _run(script: Path) -> None:
    """Executes several statements; only the driver takes more than one at once."""
    statements = script.read_text(encoding="utf-8")
    op.get_bind().connection.run_async(lambda driver: driver.execute(statements))
