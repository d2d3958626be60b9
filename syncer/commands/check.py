"""`syncer check`: whether everything the program needs is right, a line each, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from syncer.config.accounts import load_accounts
from syncer.config.settings import describe_unknown_variables
from syncer.diff.response import read
from syncer.diff.stored import Fingerprints
from syncer.endpoint.client import Source
from syncer.errors import ConfigurationError, SyncerError
from syncer.store.engine import MIN_SERVER_VERSION, redacted
from syncer.store.invariants import find_violations
from syncer.store.queries.account_status import read_account_statuses
from syncer.store.schema import migrations_folder, schema_state
from syncer.store.server import find_write_obstacle, missing_roles, server_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.database import Database

_MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `text` says what was found, and what to do if it is not right."""

    subject: str
    text: str
    is_right: bool = True


async def show_findings(settings: Settings, database: Database, *, data: bool) -> int:
    """Prints what is found, a line each.

    Returns:
        0 if all is right, else 1.
    """
    is_right = True
    async for finding in findings(settings, database, data=data):
        typer.echo(f"{'ok' if finding.is_right else 'WRONG':5}  {finding.subject}: {finding.text}")
        is_right = is_right and finding.is_right
    await database.dispose()
    return 0 if is_right else 1


async def findings(settings: Settings, database: Database, *, data: bool) -> AsyncIterator[Finding]:
    """Looks at configuration, database, schema, endpoint and token, in this order; and at the stored data if wanted."""
    accounts: tuple[Account, ...] = ()
    try:
        accounts = load_accounts(settings)
    except ConfigurationError as error:
        yield Finding("configuration", str(error), is_right=False)
    else:
        yield Finding("configuration", f"{len(accounts)} account{'s' * (len(accounts) != 1)}")
    for sentence in describe_unknown_variables({account.token_source for account in accounts}):
        yield Finding("configuration", sentence, is_right=False)
    about_database, app_ids = await _database_findings(settings, database)
    for finding in about_database:
        yield finding
    if accounts:
        async with Source(settings) as source:
            for account in accounts:
                yield await _endpoint_finding(source, account, (app_ids or {}).get(account.name))
    if data and app_ids is not None:
        async for finding in _data_findings(database):
            yield finding


async def _database_findings(
    settings: Settings, database: Database
) -> tuple[list[Finding], dict[str, int | None] | None]:
    """What is found of the server and the schema; and the accounts' `app_id` by name, if the schema is right."""
    found: list[Finding] = []
    subject = "database"
    try:
        place = "embedded" if database.is_embedded else redacted(database.url())
        found.append(_server_finding(await server_version(database.engine), place))
        if obstacle := await find_write_obstacle(database.engine):
            found.append(Finding("database", obstacle, is_right=False))
        subject = "schema"
        state = await schema_state(database.engine)
        if state.found is None and settings.migrate_on_start:
            return [*found, Finding("schema", "none yet: `syncer run` and `syncer sync` make it")], None
        state.require_wanted()
        found.append(Finding("schema", state.wanted))
        if missing := await missing_roles(database.engine):
            script = migrations_folder() / "sql" / "0002_roles.sql"
            what = f"{' and '.join(missing)} could not be made: let an administrator run psql --file={script} there"
            found.append(Finding("roles", what, is_right=False))
        app_ids = {one.account: one.app_id for one in await read_account_statuses(database.engine)}
    except SyncerError as error:
        return [*found, Finding(subject, str(error), is_right=False)], None
    return found, app_ids


def _server_finding(version: int, place: str) -> Finding:
    if version < MIN_SERVER_VERSION:
        text = f"PostgreSQL {version} at {place} is too old: {MIN_SERVER_VERSION} or newer is needed"
        return Finding("database", text, is_right=False)
    return Finding("database", f"PostgreSQL {version}, {place}")


async def _endpoint_finding(source: Source, account: Account, app_id: int | None) -> Finding:
    subject = f"endpoint of {account.name}"
    try:
        response = await source.fetch(account, deadline_seconds=0)
        parsed = read(response.body, Fingerprints(), app_id)
    except SyncerError as error:
        return Finding(subject, str(error), is_right=False)
    text = f"{account.api_url} takes the token and lists {len(parsed.records)} numbers"
    if parsed.rejections:
        text += f"; {len(parsed.rejections)} records cannot be taken, the first because: {parsed.rejections[0].error}"
    return Finding(subject, text, is_right=not parsed.rejections)


async def _data_findings(database: Database) -> AsyncIterator[Finding]:
    broken = 0
    try:
        async for violation in find_violations(database.engine):
            broken += 1
            if broken <= _MOST_SHOWN:
                yield Finding("data", str(violation), is_right=False)
    except SyncerError as error:
        yield Finding("data", str(error), is_right=False)
        return
    if broken > _MOST_SHOWN:
        yield Finding("data", f"and {broken - _MOST_SHOWN} more", is_right=False)
    if not broken:
        yield Finding("data", "every invariant holds")
