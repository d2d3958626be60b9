"""When the newest success of an account had certainly been recorded, as the function `syncer.succeeded_by` says.

It is written out in the statements that read all accounts: where tables are distributed, a function that reads one may
not be called for each row. The moment that is now is read before and passed as `:now`, since each server has a clock.
"""

from __future__ import annotations

from typing import Final

READ_CLOCK: Final = "select syncer.clock()"
LATER_RUNS: Final = """
      left join lateral (select min(r.started_at) as started_at,
                                min(r.started_at) filter (where r.started_at <= :now) as past_started_at
                           from (select s.started_at from syncer.sync_run s
                                  where s.account_id = f.account_id and s.run_id > f.success_run_id
                                  order by s.run_id limit 100) r) later on true
"""
"""Joins `later` to the account's fence `f`: the runs after its newest success."""
SUCCEEDED_BY: Final = """
           case when f.observed_at <= :now + interval '5 minutes'
                 and (later.started_at is null or later.started_at >= f.success_started_at - interval '5 minutes')
                then f.observed_at
                else least(later.past_started_at,
                           case when f.success_started_at <= :now then f.success_started_at end) end
"""
"""The moment; null if nothing is known, and without a success."""
