"""The views of schema `analytics` with the same columns, read faster: what is asked of them reaches the tables."""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _run((SQL / "0003_views.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    views = (SQL / "0002_views.sql").read_text(encoding="utf-8").replace("create schema analytics;", "")
    _run(re.sub(r"^create (view|function)", r"create or replace \1", views, flags=re.MULTILINE))
    _run("drop view syncer.account_day")


def _run(script: str) -> None:
    """Executes several statements; only the driver takes more than one at once."""
    op.get_bind().connection.run_async(lambda driver: driver.execute(script))
