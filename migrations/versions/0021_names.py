"""Store the names behind the ids of employees, groups and scenarios, and show them in the views."""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    _run((SQL / "0021_up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    statements = (SQL / "0021_down.sql").read_text(encoding="utf-8")
    _run(re.sub(r"^:(\w+\.sql) (.+)$", lambda former: _former(former[1], former[2]), statements, flags=re.MULTILINE))


def _former(script: str, beginning: str) -> str:
    """Returns the statement of an earlier migration that begins so."""
    text = (SQL / script).read_text(encoding="utf-8")
    end = r"^(?:end|\$\$);$" if "function" in beginning else ";$"
    found = re.search(rf"^create (?:or replace )?{re.escape(beginning)}.*?{end}", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError(f"{script} has no {beginning}")
    return found[0]


def _run(statements: str) -> None:
    """Executes several statements; only the driver takes more than one at once."""
    op.get_bind().connection.run_async(lambda driver: driver.execute(statements))
