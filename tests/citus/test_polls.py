"""Polls of distributed tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders import record

if TYPE_CHECKING:
    from tests.builders import PolledAccount


async def test_a_poll(account: PolledAccount) -> None:
    assert (await account.poll(record(1))).outcome == "applied"
    assert (await account.poll(record(1))).outcome == "unchanged"
