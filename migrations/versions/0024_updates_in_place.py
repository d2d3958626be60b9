"""Update rows within their pages, and drop indexes that no query reads."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _run(SQL / "0024_up.sql")


def downgrade() -> None:
    _run(SQL / "0024_down.sql")


def _run(script: Path) -> None:
    """Executes the statements of a file one after the other.

    In a block, since Citus refuses to change indexes and constraints of distributed tables by a string that has several
    statements.
    """
    statements = script.read_text(encoding="utf-8")
    block = f"do $migration$\n#variable_conflict use_column\nbegin\n{statements}\nend\n$migration$"
    op.get_bind().connection.run_async(lambda driver: driver.execute(block))
