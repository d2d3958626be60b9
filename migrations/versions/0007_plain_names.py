"""Plain names and comments: the stored content hashes of records are called fingerprints, and comments are reworded."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

# Where two patterns match an object, the longer one is the more specific. A comment that an administrator has changed
# matches none, and stays as it is.
REWORD = """
do $$
declare
    one record;
begin
    for one in select distinct on (d.object) d.object, r.{new} || substr(d.comment, length(d.meaning) + 1) as comment
                 from described d
                 join rewording r on d.object like r.pattern and d.meaning = r.{old}
                order by d.object, length(r.pattern) desc loop
        execute format('comment on %s is %L', one.object, one.comment);
    end loop;
end
$$;
drop view described;
drop table rewording;
"""


def upgrade() -> None:
    _run(_read("0007_up.sql"))
    _run(_read("0007_comments.sql") + REWORD.format(old="before", new="after"))


def downgrade() -> None:
    _run(_read("0007_comments.sql") + REWORD.format(old="after", new="before"))
    _run(_read("0007_down.sql"))


def _read(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


def _run(script: str) -> None:
    """Executes several statements; only the driver accepts more than one at a time."""
    op.get_bind().connection.run_async(lambda driver: driver.execute(script))
