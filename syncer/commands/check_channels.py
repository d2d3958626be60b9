"""What `syncer check` says of the channels of the notify file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncer.commands.finding import Finding
from syncer.errors import SyncerError, counted
from syncer.notices.senders import open_senders

if TYPE_CHECKING:
    from syncer.notices.rules import NotifyFile


async def check_channels(file: NotifyFile | None) -> list[Finding]:
    """Connects to what each channel sends to, side by side, and sends nothing."""
    if file is None:
        return []
    async with open_senders(file) as senders:

        async def check(name: str) -> Finding:
            subject = f"channel {name}"
            try:
                return Finding(subject, await senders[name].check())
            except SyncerError as error:
                return Finding(subject, str(error), is_ok=False)

        channels = await asyncio.gather(*map(check, senders))
    found = f"{counted(len(file.rules), 'rule')}, {counted(len(file.channels), 'channel')}"
    return [Finding("notify file", found), *channels]
