"""The index of numbers by run begins with the run: the numbers of an account are found by their own key alone.

While a table is small, an index that begins with the account costs a plan as much as the key does. A pooled session
that checked its first foreign keys then kept such a plan, and read the whole account for each row of a large load.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("run_id", "account_id")


def downgrade() -> None:
    _index("account_id", "run_id")


def _index(*columns: str) -> None:
    op.drop_index("virtual_number_run_id_idx", "virtual_number", schema="syncer")
    op.create_index("virtual_number_run_id_idx", "virtual_number", columns, schema="syncer")
