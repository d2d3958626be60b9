"""`syncer notify`: makes and sends the notices that are due, tests the channels, or shows what would have been sent."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import typer

from syncer.errors import ConfigurationError, DatabaseError, counted, in_sentence
from syncer.local_time import format_moment
from syncer.notice import TestNotice
from syncer.notices.messages import render
from syncer.notices.notifier import notify_once
from syncer.notices.preview import preview_notices
from syncer.notices.senders import open_senders
from syncer.printable import escape_unprintable
from syncer.store.accounts import read_account_ids
from syncer.store.notices import read_waiting
from syncer.store.schema import schema_state
from syncer.telemetry.logs import log
from syncer.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from syncer.config.accounts import Account
    from syncer.database import Database
    from syncer.notices.rules import NotifyFile
    from syncer.store.engine import Engine

SECONDS_AFTER_SYNC: Final = 10.0
"""How long sending notices may take after the polls of `syncer sync`."""
_WORDS: Final = {"sent": "sent", "failed": "failed", "expired": "not sent in time", "refused": "refused for good"}


async def send_notices(database: Database, file: NotifyFile, accounts: Sequence[Account]) -> bool:
    """Makes and sends the notices that are due.

    Returns:
        Whether nothing has failed.

    Raises:
        DatabaseError: PostgreSQL refused.
        SchemaError: The schema is not the one this version requires.
    """
    (await schema_state(database.engine)).require_writable()
    by_id = await _read_accounts(database, accounts)
    counts = await notify_once(database.engine, Metrics().notices, file, by_id)
    waiting = sum(one.messages for one in await read_waiting(database.engine, list(file.channels)))
    await database.dispose()
    parts = [
        f"{counted(counts[outcome], 'message')} {words}" for outcome, words in _WORDS.items() if counts.get(outcome)
    ]
    found = in_sentence(parts) if parts else "nothing to send"
    typer.echo(f"{found}; still waiting: {counted(waiting, 'message')}" if waiting else found)
    return not counts.keys() & {"failed", "expired", "refused"}


async def send_after_sync(file: NotifyFile, engine: Engine, accounts: Mapping[int, Account]) -> None:
    """Makes and sends the notices that are due, within some seconds; what remains is sent the next time.

    What goes wrong is logged, and changes nothing of the polls' results.

    Args:
        file: The notify file.
        engine: The database.
        accounts: The accounts, by `account_id`.
    """
    try:
        async with asyncio.timeout(SECONDS_AFTER_SYNC):
            await notify_once(engine, Metrics().notices, file, accounts)
    except TimeoutError:
        log.warning("notices_not_finished", seconds=SECONDS_AFTER_SYNC)
    except DatabaseError as error:
        log.warning("notices_not_finished", error=str(error))
    except Exception:  # noqa: BLE001 - a bug must be logged and must not hide the results of the polls
        log.exception("notifier_crashed")


async def try_channels(file: NotifyFile, names: Sequence[str]) -> bool:
    """Sends a test message through each channel, or through the named ones, and prints what was answered.

    Returns:
        Whether all were accepted.

    Raises:
        ConfigurationError: There is no such channel.
    """
    if unknown := [name for name in names if name not in file.channels]:
        raise ConfigurationError(
            f"--channel {unknown[0]!r} is not in the notify file; its channels are {in_sentence(sorted(file.channels))}"
        )
    async with open_senders(file) as senders:

        async def test(name: str) -> bool:
            notice = TestNotice(message_id=uuid4(), created_at=datetime.now(UTC))
            started = time.monotonic()
            attempt = await senders[name].send(render(notice, file.channels[name]))
            seconds = time.monotonic() - started
            answer = "accepted" if attempt.outcome == "sent" else "not accepted"
            status = f" (HTTP {attempt.http_status})" if attempt.http_status is not None else ""
            problem = f": {attempt.error}" if attempt.error else ""
            typer.echo(escape_unprintable(f"{name}: {answer}{status} in {seconds:.2f} s{problem}"))
            return attempt.outcome == "sent"

        return all(await asyncio.gather(*(test(name) for name in dict.fromkeys(names or file.channels))))


async def print_preview(database: Database, file: NotifyFile, accounts: Sequence[Account], age: timedelta) -> None:
    """Prints what the rules would have sent in the time that ends now; sends and writes nothing.

    Raises:
        DatabaseError: The database cannot be read.
        SchemaError: The schema is not the one this version requires.
    """
    (await schema_state(database.engine)).require_current()
    messages = 0
    by_id = await _read_accounts(database, accounts)
    async for rule, notice in preview_notices(database.engine, file, by_id, age):
        for name in rule.channels:
            message = render(notice, file.channels[name])
            moment = format_moment(notice.created_at, notice.time_zone)
            typer.echo(escape_unprintable(f"{moment}  {rule.name} → {name}"))
            for line in (message.subject, *message.text.splitlines()):
                typer.echo(escape_unprintable(f"    {line}".rstrip()))
            typer.echo()
            messages += 1
    await database.dispose()
    typer.echo(f"{counted(messages, 'message')} about changes of numbers; nothing was sent", err=True)


async def _read_accounts(database: Database, accounts: Sequence[Account]) -> Mapping[int, Account]:
    ids = await read_account_ids(database.engine, [account.name for account in accounts])
    return {ids[account.name]: account for account in accounts if account.name in ids}
