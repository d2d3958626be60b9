"""An account that no configuration has any more is said to be retired; its data stay."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
MEANING = "Since when no configuration has the account: it is polled no more; null while one does"


def upgrade() -> None:
    op.add_column(
        "account_schedule",
        sa.Column("retired_at", sa.DateTime(timezone=True), comment=MEANING),
        schema="syncer",
    )
    _run("0004_freshness.sql")
    op.execute(f"comment on column analytics.freshness.retired_at is '{MEANING}'")


def downgrade() -> None:
    _run("0004_down.sql")
    op.drop_column("account_schedule", "retired_at", schema="syncer")


def _run(name: str) -> None:
    """Executes a file of statements; only the driver takes several at once."""
    script = (SQL / name).read_text(encoding="utf-8")
    op.get_bind().connection.run_async(lambda driver: driver.execute(script))
