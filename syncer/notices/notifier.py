"""The notifier: makes notices of what the history has that no notice has said, and sends them.

    look → plan → claim → read → send → settle

look        Every few seconds, or at once after a poll that changed something: finds the cursors of accounts with newer
            runs, and the accounts whose condition has begun or ended.
plan        Under the cursor's lock, makes one notice of everything since the cursor, and moves the cursor. A cursor
            whose time has not come (a digest, quiet hours) is left where it is, so that its next notice has more in it.
claim       Takes the oldest notice that waits for a channel, for the time of a lease.
read        Reads what it is about from the history, and puts it into words. The same notice has the same content.
send        Sends it, unless quiet hours have begun since it was made. No database connection is held. Each channel
            sends one message at a time.
settle      Records how that ended, unless the lease was over.

The polls know nothing of it: it reads what they have committed. It uses one database connection at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from syncer.errors import DatabaseError
from syncer.notices.outbox import Outbox
from syncer.notices.planner import Planner
from syncer.notices.senders import open_senders
from syncer.store.lease_holder import name_lease_holder
from syncer.store.notices import read_waiting
from syncer.telemetry.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from syncer.config.accounts import Account
    from syncer.notice import Sender
    from syncer.notices.rules import NotifyFile
    from syncer.store.engine import Engine
    from syncer.telemetry.notice_metrics import NoticeMetrics

LOOK_SECONDS: Final = 5.0
"""Pause between looks at the database, unless a poll has changed something."""
REPORTED_FAILURES: Final = 3
"""So many errors of the database in a row, while accounts can be polled, are logged; an outage the scheduler logs."""
STOP_SECONDS: Final = 5.0
"""How long a message that is being sent may take when the notifier stops."""


class Notifier:
    """Follows the rules of a notify file.

    Args:
        engine: The database.
        metrics: Where notices are counted.
        file: The notify file; None if there is none.
    """

    def __init__(self, engine: Engine, metrics: NoticeMetrics, file: NotifyFile | None) -> None:
        self._engine = engine
        self._metrics = metrics
        self._file = file
        self._file_changed = asyncio.Event()
        self._wakeup = asyncio.Event()
        self._process = name_lease_holder()

    def set_file(self, file: NotifyFile | None) -> None:
        """Replaces the rules and channels, also if the file is as before: channels that refused are tried again."""
        self._file = file
        self._file_changed.set()

    def wake(self) -> None:
        """Says that a poll has changed something."""
        self._wakeup.set()

    async def run(self, accounts: Callable[[], Mapping[int, Account]]) -> None:
        """Makes and sends notices until it is cancelled.

        Args:
            accounts: Returns the current accounts, by `account_id`; empty while the database is not usable.
        """
        while True:
            self._file_changed.clear()
            if self._file is None:
                await self._file_changed.wait()
                continue
            try:
                async with open_senders(self._file) as senders:
                    await self._follow(self._file, senders, accounts)
            except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
                log.exception("notifier_crashed")
                await asyncio.sleep(LOOK_SECONDS)

    async def _follow(
        self, file: NotifyFile, senders: Mapping[str, Sender], accounts: Callable[[], Mapping[int, Account]]
    ) -> None:
        """Follows one file until there is another one."""
        slot = asyncio.Lock()
        planner = Planner(self._engine, file, slot)
        self._metrics.set_channels(file.channels)
        work = {name: asyncio.Event() for name in senders}
        stopping = asyncio.Event()
        outboxes = {
            name: Outbox(self._engine, self._metrics, file, name, sender, slot=slot, process=self._process)
            for name, sender in senders.items()
        }
        sending = [asyncio.create_task(outbox.run(work[name], stopping)) for name, outbox in outboxes.items()]
        planning = asyncio.create_task(self._plan(planner, accounts, work, slot))
        try:
            await self._file_changed.wait()
        finally:
            stopping.set()
            planning.cancel()
            await asyncio.wait(sending, timeout=STOP_SECONDS)
            for task in sending:
                task.cancel()
            await asyncio.gather(planning, *sending, return_exceptions=True)

    async def _plan(
        self,
        planner: Planner,
        accounts: Callable[[], Mapping[int, Account]],
        work: Mapping[str, asyncio.Event],
        slot: asyncio.Lock,
    ) -> None:
        failures = 0
        while True:
            self._wakeup.clear()
            if current_accounts := accounts():
                try:
                    await planner.look(current_accounts)
                    async with slot:
                        waiting = await read_waiting(self._engine, list(work))
                    self._metrics.set_waiting({one.channel: (one.messages, one.oldest_seconds) for one in waiting})
                    for one in waiting:
                        if one.is_due:
                            work[one.channel].set()
                    failures = 0
                except DatabaseError as error:
                    planner.forget()
                    failures += 1
                    if failures == REPORTED_FAILURES:
                        log.warning("notices_not_made", error=str(error))
                except Exception:  # noqa: BLE001 - a bug must be logged and must not end the daemon
                    log.exception("notifier_crashed")
                    planner.forget()
            else:
                # The scheduler has seen the outage: no look is made that could fail.
                planner.forget()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wakeup.wait()


async def notify_once(
    engine: Engine, metrics: NoticeMetrics, file: NotifyFile, accounts: Mapping[int, Account]
) -> dict[str, int]:
    """Makes the notices that are due and sends each message that waits once; stops at a channel's first failure.

    Returns:
        How many messages were sent, failed, expired and were refused.

    Raises:
        DatabaseError: PostgreSQL refused.
    """
    counts: Counter[str] = Counter()
    process, slot = name_lease_holder(), asyncio.Lock()
    async with open_senders(file) as senders:
        await Planner(engine, file, slot).look(accounts, is_first=True)

        async def send(name: str, sender: Sender) -> None:
            outbox = Outbox(engine, metrics, file, name, sender, slot=slot, process=process)
            while (outcome := await outbox.send_next()) is not None:
                counts[outcome] += 1
                if outcome in {"failed", "refused"}:
                    break

        await asyncio.gather(*(send(name, sender) for name, sender in senders.items()))
    return counts
