"""The queries of the analysts' pages, asked of the history that the benchmarks generate.

The pages show the demo's history, which ends on another day: dates move with it, and the cursor of a copy that is ten
polls old is one of that age here.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from benchmarks.history import END
from docs import answers, demo_data

if TYPE_CHECKING:
    import asyncpg

_MOVED: Final = END - demo_data.UNTIL.date()
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_CURSOR: Final = """'{"1": 709}'"""
_KNOWN_RUNS: Final = """
select json_object_agg(account_id, known.run_id)::text
  from analytics.accounts
 cross join lateral (select run_id from analytics.runs r
                      where r.account_id = accounts.account_id and outcome = 'applied'
                      order by run_id desc offset 10 limit 1) known
"""
_PAGE: Final = answers.PAGES[0]


async def documented_queries(connection: asyncpg.Connection[Any]) -> dict[str, str]:
    """Returns the queries of the page in English, by the heading above and a number; in Russian only titles differ."""
    cursor = f"'{await connection.fetchval(_KNOWN_RUNS)}'"
    queries: dict[str, str] = {}
    for section in re.split(r"^#+ ", _PAGE.read_text(), flags=re.MULTILINE):
        for number, example in enumerate(answers.find_examples(section), start=1):
            moved = _DATE.sub(lambda found: f"{date.fromisoformat(found[0]) + _MOVED}", example.query)
            queries[f"{section.partition(chr(10))[0]}, {number}"] = moved.replace(_CURSOR, cursor)
    return queries
