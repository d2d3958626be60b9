"""Schema `analytics`: the views that analysts and dashboards read; the roles; closed history cannot be rewritten."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
INDEXES = {
    "virtual_number": ("run_id",),
    "virtual_number_history": ("closed_run_id",),
    "state_history": ("run_id", "closed_run_id"),
    "virtual_number_redirect": ("run_id", "closed_run_id"),
}


def upgrade() -> None:
    for table, columns in INDEXES.items():
        for column in columns:
            op.create_index(f"{table}_{column}_idx", table, ["account_id", column], schema="syncer")
    _run("0002_closed_history.sql")
    _run("0002_views.sql")
    _run("0002_comments.sql")
    _run("0002_roles.sql")


def downgrade() -> None:
    _run("0002_down.sql")
    for table, columns in INDEXES.items():
        for column in columns:
            op.drop_index(f"{table}_{column}_idx", table, schema="syncer")


def _run(name: str) -> None:
    """Executes a file of statements; only the driver takes several at once."""
    script = (SQL / name).read_text(encoding="utf-8")
    op.get_bind().connection.run_async(lambda driver: driver.execute(script))
