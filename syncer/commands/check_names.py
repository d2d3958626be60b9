"""What `syncer check` says of the lists of names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncer.commands.finding import Finding
from syncer.endpoint.slots import BodySlot
from syncer.errors import SyncerError, counted
from syncer.name_list import lists_of
from syncer.names.decode import decode_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.config.accounts import Account
    from syncer.endpoint.client import Source
    from syncer.name_list import NameList


async def check_names(source: Source, accounts: Sequence[Account], slots: asyncio.Semaphore) -> list[Finding]:
    """Asks for each list of names that is read, side by side, and stores nothing; a list that fails is a warning.

    Args:
        source: The endpoint.
        accounts: The accounts.
        slots: Limits the concurrent requests.
    """
    wanted = [(account, one) for account in accounts for one in lists_of(account.names)]
    if accounts and not wanted:
        return [Finding("names", "off")]

    async def check(account: Account, name_list: NameList) -> Finding:
        async with slots:
            return await _check_list(source, account, name_list)

    return await asyncio.gather(*(check(*one) for one in wanted))


async def _check_list(source: Source, account: Account, name_list: NameList) -> Finding:
    subject = f"names of {account.name}"
    try:
        async with BodySlot() as slot:
            decoded = decode_list(name_list, await source.fetch_names(account, name_list, slot))
    except SyncerError as error:
        return Finding(subject, f"{name_list.name}: {error}", is_warning=True)
    skipped = f", {counted(decoded.skipped, 'record')} skipped" if decoded.skipped else ""
    return Finding(subject, f"{name_list.name}: {len(decoded.candidates)} read{skipped}")
