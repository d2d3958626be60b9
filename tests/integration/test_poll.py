"""What polls write, told as the life of a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders import record, redirect, without

if TYPE_CHECKING:
    from tests.builders import PolledAccount

STATES = """
select virtual_number_id, state, reason, valid_to is null, run_id, closed_run_id
  from syncer.state_history order by virtual_number_id, valid_from
"""


async def test_the_first_poll_creates_every_number_with_an_open_state(account: PolledAccount) -> None:
    result = await account.poll(record(250), record(256, state="debt_lock", reason="долг"))

    assert (result.outcome, result.received, result.created) == ("applied", 2, 2)
    assert await account.rows(STATES) == [
        (250, "active", None, True, result.run_id, None),
        (256, "debt_lock", "долг", True, result.run_id, None),
    ]
    assert await account.broken_invariants() == []


async def test_the_same_bytes_again_are_unchanged_and_write_nothing_but_the_run(account: PolledAccount) -> None:
    await account.poll(record(250), record(256))
    before = await account.rows(
        "select xmin::text from syncer.virtual_number union all select xmin::text from syncer.state_history"
    )

    result = await account.poll(record(250), record(256))

    assert (result.outcome, result.received, result.unchanged, result.created) == ("unchanged", 2, 2, 0)
    assert before == await account.rows(
        "select xmin::text from syncer.virtual_number union all select xmin::text from syncer.state_history"
    )
