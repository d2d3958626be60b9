"""The comments of all views and columns that analysts read show an example."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EXAMPLES = Path(__file__).parent.parent / "sql" / "0005_examples.sql"
ADD = """
do $$
declare
    one record;
begin
    for one in select * from said where meaning not like '%; example: %' loop
        if one.added is null then
            raise exception '% has no example', one.what;
        end if;
        execute format('comment on %s is %L', one.what, one.meaning || one.added);
    end loop;
end
$$;
drop view said;
"""
TAKE_AWAY = """
do $$
declare
    one record;
begin
    for one in select * from said where right(meaning, length(added)) = added loop
        execute format('comment on %s is %L', one.what, left(one.meaning, -length(one.added)));
    end loop;
end
$$;
drop view said;
"""


def upgrade() -> None:
    _run(ADD)


def downgrade() -> None:
    _run(TAKE_AWAY)


def _run(loop: str) -> None:
    """Executes the examples and a loop over them; only the driver takes several statements at once."""
    script = EXAMPLES.read_text(encoding="utf-8") + loop
    op.get_bind().connection.run_async(lambda driver: driver.execute(script))
