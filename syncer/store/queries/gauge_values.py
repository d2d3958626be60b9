"""Reads the values of the Prometheus gauges; cheap enough to run every few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from syncer.store.engine import autocommit_connection
from syncer.store.queries.known_success import LATER_RUNS, READ_CLOCK, SUCCEEDED_BY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from syncer.store.engine import Engine

OTHER: Final = "other"
"""The label of all states that the vendor does not document: a label is no place for text that others choose."""


@dataclass(frozen=True, slots=True)
class AccountGauges:
    """The gauge values of one account.

    Attributes:
        created_at: When the account's row was inserted.
        last_success_at: When the newest successful run was recorded; None before the first. If the database's clock was
            ahead, this is when it had certainly been recorded.
        success_started_at: When that run started, and not after `last_success_at`.
        held: How many removals are held.
        unconfirmed: How many removals only wait for their confirmation.
        rejected: How many elements the newest applied run rejected.
        numbers: The number of phone numbers in each state, without removed ones.
    """

    account_id: int
    name: str
    created_at: datetime
    last_success_at: datetime | None
    success_started_at: datetime | None
    held: int
    unconfirmed: int
    rejected: int
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GaugeValues:
    """The gauge values of all accounts.

    Attributes:
        accounts: The accounts.
        clock_behind: How far the latest observation of any account is ahead of the database's clock.
    """

    accounts: Sequence[AccountGauges]
    clock_behind: timedelta


# The run of the newest success, unchanged or not, has the current counts: nothing is counted here.
_ACCOUNTS: Final = f"""
with known as materialized (
    select f.account_id, a.name, a.created_at, f.observed_at, f.success_started_at, f.applied_run_id,
           f.fingerprints_version, coalesce(r.held, 0) as held, coalesce(r.unconfirmed, 0) as unconfirmed,
           coalesce(r.rejected, 0) as rejected,
           case when f.observed_at is not null then coalesce({SUCCEEDED_BY}, :now) end as last_success_at
      from syncer.account_fence f
      join syncer.account a on a.account_id = f.account_id
      left join syncer.sync_run r on r.account_id = f.account_id and r.run_id = f.success_run_id
      {LATER_RUNS}
     where f.account_id = any($1::integer[])
)
select account_id, name, created_at, observed_at, last_success_at,
       least(success_started_at, last_success_at) as success_started_at, applied_run_id, fingerprints_version, held,
       unconfirmed, rejected
  from known
 order by account_id
""".replace(":now", "$2::timestamptz")  # noqa: S608 - constants
_STATES: Final = "select array(select state from syncer.number_state where documented order by state)"
_NUMBERS: Final = """
select account_id, case when state = any($2::text[]) then state else $3 end as state, count(*)
  from syncer.virtual_number
 where account_id = any($1::integer[]) and removed_at is null
 group by 1, 2
"""


_Version: TypeAlias = "tuple[int | None, UUID | None]"


class GaugeReader:
    """Reads gauge values; counts an account's numbers again only after a run has changed something.

    After a backup was restored, the number of that run may come again, but not the version of the fingerprints.
    """

    def __init__(self) -> None:
        self._states: list[str] = []
        self._counts: dict[int, tuple[_Version, dict[str, int]]] = {}

    async def read(self, engine: Engine, account_ids: Collection[int]) -> GaugeValues:
        """Reads the current values.

        Raises:
            DatabaseError: The database cannot be read.
        """
        async with autocommit_connection(engine) as connection:
            now = await connection.fetchval(READ_CLOCK)
            rows = await connection.fetch(_ACCOUNTS, account_ids, now)
            states = await connection.fetchval(_STATES)
            if states != self._states:
                self._states, self._counts = states, {}
            versions = {row["account_id"]: (row["applied_run_id"], row["fingerprints_version"]) for row in rows}
            changed = [
                account_id
                for account_id, version in versions.items()
                if account_id not in self._counts or self._counts[account_id][0] != version
            ]
            counts = await connection.fetch(_NUMBERS, changed, states, OTHER) if changed else []
        numbers: dict[int, dict[str, int]] = {account_id: {} for account_id in changed}
        for account_id, state, count in counts:
            numbers[account_id][state] = count
        self._counts = {
            account_id: (version, numbers[account_id]) if account_id in numbers else self._counts[account_id]
            for account_id, version in versions.items()
        }
        return GaugeValues(
            [
                AccountGauges(
                    account_id=row["account_id"],
                    name=row["name"],
                    created_at=row["created_at"],
                    last_success_at=row["last_success_at"],
                    success_started_at=row["success_started_at"],
                    held=row["held"],
                    unconfirmed=row["unconfirmed"],
                    rejected=row["rejected"],
                    numbers=self._counts[row["account_id"]][1],
                )
                for row in rows
            ],
            max([timedelta(), *(row["observed_at"] - now for row in rows if row["observed_at"])]),
        )
