"""`syncer check`: checks everything that the program needs, and prints one line per check."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from syncer.config.accounts import describe_shared_tokens, load_accounts
from syncer.config.database_security import describe_unverified_connections
from syncer.config.settings import describe_unknown_variables
from syncer.diff.response import parse_response
from syncer.diff.stored import Fingerprints
from syncer.endpoint.client import Source
from syncer.endpoint.retry_after import in_words
from syncer.errors import ConfigurationError, SyncerError, in_sentence
from syncer.printable import escape_unprintable
from syncer.store.accounts import describe_shared_app_ids, find_unknown_time_zones
from syncer.store.engine import MIN_SERVER_VERSION, redacted
from syncer.store.identities import find_identities_behind
from syncer.store.invariants import find_violations
from syncer.store.queries.account_status import describe_clock, read_account_statuses
from syncer.store.retention import read_retention
from syncer.store.schema import find_migration_obstacle, migrations_folder, schema_state
from syncer.store.server import find_write_obstacle, missing_roles, server_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.database import Database

_MAX_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `text` says what was found and, if it is wrong or a risk, how to fix it.

    A warning is ok, and changes no exit code.
    """

    subject: str
    text: str
    is_ok: bool = True
    is_warning: bool = False

    def __str__(self) -> str:
        word = "warn" if self.is_warning else "ok" if self.is_ok else "WRONG"
        return escape_unprintable(f"{word:5}  {self.subject}: {self.text}")


async def print_findings(settings: Settings, database: Database, *, data: bool) -> int:
    """Prints the findings, one per line.

    Returns:
        The exit code: 0 if everything is ok, else 1.
    """
    is_ok = True
    async for finding in check_all(settings, database, data=data):
        typer.echo(str(finding))
        is_ok = is_ok and finding.is_ok
    await database.dispose()
    return 0 if is_ok else 1


async def check_all(settings: Settings, database: Database, *, data: bool) -> AsyncIterator[Finding]:
    """Checks configuration, database, schema, endpoint and tokens, in this order; with `data`, the stored data too."""
    configuration_findings, accounts = _check_configuration(settings)
    for finding in configuration_findings:
        yield finding
    database_findings, app_ids = await _check_database(settings, database, accounts)
    for finding in database_findings:
        yield finding
    if accounts:
        async with Source(settings) as source:
            for account in accounts:
                yield await _check_endpoint(source, account, (app_ids or {}).get(account.name))
    if data and app_ids is not None:
        async for finding in _check_data(database):
            yield finding


def _check_configuration(settings: Settings) -> tuple[list[Finding], tuple[Account, ...]]:
    """Checks the settings and the accounts; returns the findings, and the accounts if they can be read."""
    accounts: tuple[Account, ...] = ()
    try:
        accounts = load_accounts(settings)
    except ConfigurationError as error:
        results = [Finding("configuration", str(error), is_ok=False)]
    else:
        results = [Finding("configuration", f"{len(accounts)} account{'s' * (len(accounts) != 1)}")]
    unknown = describe_unknown_variables({account.token_source for account in accounts})
    results += [Finding("configuration", sentence, is_ok=False) for sentence in unknown]
    results += [Finding("accounts", sentence, is_ok=False) for sentence in describe_shared_tokens(accounts)]
    unverified = describe_unverified_connections(settings)
    return [*results, *(Finding("database", sentence, is_warning=True) for sentence in unverified)], accounts


async def _check_database(
    settings: Settings, database: Database, accounts: Sequence[Account]
) -> tuple[list[Finding], dict[str, int | None] | None]:
    """Checks the server, whether it knows the accounts' time zones, the schema, and the clock.

    Returns:
        The findings, and each account's `app_id` by account name, or None if the schema is not usable.
    """
    results: list[Finding] = []
    subject = "database"
    try:
        location = "embedded" if database.is_embedded else redacted(database.url())
        results.append(_check_server_version(await server_version(database.engine), location))
        if obstacle := await find_write_obstacle(database.engine):
            results.append(Finding("database", obstacle, is_ok=False))
        results += await _check_time_zones(database, accounts)
        state = await schema_state(database.engine)
        state.require_utf8()
        subject = "schema"
        if state.found is None and settings.migrate_on_start:
            obstacle = await find_migration_obstacle(database.owner_engine, state)
            text = obstacle or "none yet: `syncer run` and `syncer sync` create it"
            return [*results, Finding("schema", text, is_ok=obstacle is None)], None
        state.require_current()
        results.append(Finding("schema", state.required))
        if missing := await missing_roles(database.engine):
            script = shlex.quote(str(migrations_folder() / "sql" / "roles.sql"))
            roles = in_sentence(missing)
            text = f"{roles} could not be created: ask an administrator to run psql --file={script} on this database"
            results.append(Finding("roles", text, is_ok=False))
        if settings.run_retention < (kept := await read_retention(database.engine)):
            text = (
                f"the database keeps rejected records for {in_words(kept.total_seconds())}, and not for the "
                f"{in_words(settings.run_retention.total_seconds())} of SYNCER_RUN_RETENTION: run `syncer migrate`"
            )
            results.append(Finding("retention", text, is_ok=False))
        for identity in await find_identities_behind(database.engine):
            text = identity.problem + ": `syncer run` and `syncer sync` put it right" * identity.may_advance
            results.append(Finding("ids", text, is_ok=False))
        shared = await describe_shared_app_ids(database.engine)
        results += [Finding("accounts", sentence, is_ok=False) for sentence in shared]
        statuses = await read_account_statuses(database.engine)
        for status in statuses:
            if status.clock_ahead:
                results.append(Finding(f"clock of {status.account}", describe_clock(status), is_ok=False))
        app_ids = {status.account: status.app_id for status in statuses}
    except SyncerError as error:
        return [*results, Finding(subject, str(error), is_ok=False)], None
    return results, app_ids


async def _check_time_zones(database: Database, accounts: Sequence[Account]) -> list[Finding]:
    time_zones = {account.name: account.time_zone.key for account in accounts}
    errors = await find_unknown_time_zones(database.engine, time_zones)
    if errors or not accounts:
        return [Finding("time zones", str(error), is_ok=False) for error in errors.values()]
    return [Finding("time zones", f"the database's server knows {', '.join(sorted(set(time_zones.values())))}")]


def _check_server_version(version: int, location: str) -> Finding:
    if version < MIN_SERVER_VERSION:
        text = f"PostgreSQL {version} at {location} is too old: {MIN_SERVER_VERSION} or newer is needed"
        return Finding("database", text, is_ok=False)
    return Finding("database", f"PostgreSQL {version}, {location}")


async def _check_endpoint(source: Source, account: Account, app_id: int | None) -> Finding:
    subject = f"endpoint of {account.name}"
    try:
        response = await source.fetch(account, deadline_seconds=0)
        parsed = parse_response(response.body, Fingerprints(), app_id, response.declared_length, account=account.name)
    except SyncerError as error:
        return Finding(subject, str(error), is_ok=False)
    text = f"{account.api_url} accepts the token and lists {len(parsed.records)} numbers"
    if parsed.rejections:
        text += f"; {len(parsed.rejections)} records are rejected, the first one because: {parsed.rejections[0].error}"
    if parsed.partial_reason is not None:
        text += f"; {parsed.partial_reason}"
    return Finding(subject, text, is_ok=not parsed.rejections and parsed.partial_reason is None)


async def _check_data(database: Database) -> AsyncIterator[Finding]:
    violation_count = 0
    try:
        async for violation in find_violations(database.engine):
            violation_count += 1
            if violation_count <= _MAX_SHOWN:
                yield Finding("data", str(violation), is_ok=False)
    except SyncerError as error:
        yield Finding("data", str(error), is_ok=False)
        return
    if violation_count > _MAX_SHOWN:
        yield Finding("data", f"and {violation_count - _MAX_SHOWN} more", is_ok=False)
    if not violation_count:
        yield Finding("data", "every invariant holds")
