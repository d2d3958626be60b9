"""`syncer check`: checks everything that the program needs, and prints one line per check."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from syncer.commands.check_channels import check_channels
from syncer.commands.check_citus import check_citus
from syncer.commands.check_names import check_names
from syncer.commands.finding import Finding
from syncer.config.accounts import describe_shared_tokens, find_token_sources, load_accounts
from syncer.config.database_address import describe_unverified_connections
from syncer.config.exposed_files import describe_exposed_files
from syncer.config.fields import describe_duration
from syncer.config.settings import describe_unknown_variables
from syncer.diff.response import parse_response
from syncer.diff.stored import Fingerprints
from syncer.endpoint.client import Source
from syncer.endpoint.retry_after import in_words
from syncer.errors import ConfigurationError, NoDatabaseError, SyncerError, counted, in_sentence
from syncer.notices.notify_file import find_secret_sources, load_notify_file
from syncer.store.accounts import describe_shared_app_ids, find_unknown_time_zones
from syncer.store.engine import MIN_SERVER_VERSION
from syncer.store.identities import find_identities_behind
from syncer.store.invariants import find_violations
from syncer.store.queries.account_status import describe_clock, read_account_statuses
from syncer.store.retention import read_retention
from syncer.store.schedule import read_due_times_by_name
from syncer.store.schema import find_migration_obstacle, migrations_folder, schema_state
from syncer.store.server import find_write_obstacle, missing_roles, server_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.database import Database
    from syncer.notices.rules import NotifyFile

_MAX_SHOWN: Final = 20
_CONCURRENT_REQUESTS: Final = 10
_DATABASE_FIELDS: Final = {
    *(f"{one}{end}" for one in ("database_url", "migrate_database_url") for end in ("", "_file")),
    *("embedded", "data_dir", "pg_bindir"),
}
_SCHEDULE_FIELDS: Final = {"poll_interval", "poll_cron", "timezone"}
_ACCOUNT_FIELDS: Final = {"accounts_file", "account_name", "api_token", "api_token_file"}


@dataclass(frozen=True, slots=True)
class Check:
    """What `syncer check` checks: configuration, database, schema, endpoint and tokens, names, channels, in this order.

    What depends on a setting that is not valid is left out.

    Attributes:
        settings: The settings, with the defaults instead of values that are not valid.
        problems: One sentence for each setting that is not valid.
        wrong_fields: The fields of these settings.
        with_data: Whether the stored data are checked, too.
    """

    settings: Settings
    problems: Sequence[str]
    wrong_fields: AbstractSet[str]
    with_data: bool

    async def print_findings(self, database: Database | SyncerError) -> bool:
        """Prints the findings, one per line.

        Args:
            database: The database, or why it cannot be opened.

        Returns:
            Whether everything is ok.
        """
        is_ok = True
        async for finding in self.findings(database):
            typer.echo(str(finding))
            is_ok = is_ok and finding.is_ok
        if not isinstance(database, SyncerError):
            await database.dispose()
        return is_ok

    async def findings(self, database: Database | SyncerError) -> AsyncIterator[Finding]:
        """Yields the findings; `database` may be why it cannot be opened."""
        findings, accounts, notify_file = self._check_configuration()
        stored: _Stored | None = None
        if self.wrong_fields & _DATABASE_FIELDS:
            pass  # it is not the database that is meant
        elif isinstance(database, SyncerError):
            is_absent = isinstance(database, NoDatabaseError)  # as before the first poll
            findings.append(Finding("database", str(database), is_ok=is_absent, is_warning=is_absent))
        else:
            found, stored = await _check_database(self.settings, database, accounts)
            findings += found
        if not self.wrong_fields & _SCHEDULE_FIELDS:
            findings += [Finding(f"schedule of {one.name}", _describe_schedule(one, stored)) for one in accounts]
        for finding in findings:
            yield finding
        if accounts and not any(field.startswith("api_") for field in self.wrong_fields):
            with_names = "names" not in self.wrong_fields
            for finding in await _check_endpoints(self.settings, accounts, stored, with_names=with_names):
                yield finding
        for finding in await check_channels(notify_file):
            yield finding
        if self.with_data and stored is not None and not isinstance(database, SyncerError):
            async for finding in _check_data(database):
                yield finding

    def _check_configuration(self) -> tuple[list[Finding], tuple[Account, ...], NotifyFile | None]:
        """Checks the settings and their files.

        Returns:
            The findings, the accounts if they can be read, and the notify file if there is one that can be read.
        """
        accounts: tuple[Account, ...] = ()
        results = [Finding("configuration", problem, is_ok=False) for problem in self.problems]
        if not self.wrong_fields & _ACCOUNT_FIELDS:
            try:
                accounts = load_accounts(self.settings)
            except ConfigurationError as error:
                results += [Finding("configuration", problem, is_ok=False) for problem in error.problems]
        if not results:
            results = [Finding("configuration", counted(len(accounts), "account"))]
        notify_file = None
        try:
            notify_file = load_notify_file(self.settings, accounts or None)
        except ConfigurationError as error:
            results += [Finding("configuration", problem, is_ok=False) for problem in error.problems]
        secret_sources = find_token_sources(self.settings) | find_secret_sources(self.settings)
        unknown = describe_unknown_variables(secret_sources)
        results += [Finding("configuration", sentence, is_ok=False) for sentence in unknown]
        exposed = describe_exposed_files(self.settings, secret_sources)
        results += [Finding("configuration", sentence, is_warning=True) for sentence in exposed]
        results += [Finding("accounts", sentence, is_ok=False) for sentence in describe_shared_tokens(accounts)]
        unverified = describe_unverified_connections(self.settings)
        results += [Finding("database", sentence, is_warning=True) for sentence in unverified]
        return results, accounts, notify_file


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the database has about each account, by name: its `app_id`, and when it is polled next."""

    app_ids: Mapping[str, int | None]
    due_times: Mapping[str, datetime]


async def _check_database(
    settings: Settings, database: Database, accounts: Sequence[Account]
) -> tuple[list[Finding], _Stored | None]:
    """Checks the server, whether it knows the accounts' time zones, the schema, and the clock.

    Returns:
        The findings, and what is stored about the accounts, or None if the schema is not usable.
    """
    results: list[Finding] = []
    subject = "database"
    try:
        results.append(_check_server_version(await server_version(database.engine), database.location))
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
        results += await check_citus(database.engine)
        results += await _check_stored(settings, database)
        statuses = await read_account_statuses(database.engine)
        for status in statuses:
            if status.clock_ahead:
                results.append(Finding(f"clock of {status.account}", describe_clock(status), is_ok=False))
        app_ids = {status.account: status.app_id for status in statuses}
        stored = _Stored(app_ids, await read_due_times_by_name(database.engine))
    except SyncerError as error:
        return [*results, Finding(subject, str(error), is_ok=False)], None
    return results, stored


async def _check_stored(settings: Settings, database: Database) -> list[Finding]:
    """Checks the roles, the retention, the generated ids and the accounts of a database with the current schema."""
    results = []
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
    return results + [Finding("accounts", sentence, is_ok=False) for sentence in shared]


def _describe_schedule(account: Account, stored: _Stored | None) -> str:
    """Says when an account is polled, and when it is next due if a daemon has scheduled it."""
    zone = account.time_zone
    if account.poll_cron is None:
        rule = f"every {describe_duration(account.poll_interval)}"
    else:
        rule = f"at {account.poll_cron} in {zone.key}"
    due_at = None if stored is None else stored.due_times.get(account.name)
    if due_at is None:
        return f"{rule}; no daemon has polled it yet"
    return f"{rule}; next due {due_at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


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


async def _check_endpoints(
    settings: Settings, accounts: Sequence[Account], stored: _Stored | None, *, with_names: bool
) -> list[Finding]:
    """Asks the endpoint for all accounts, and for their lists of names, side by side; returns the findings in order."""
    app_ids = {} if stored is None else stored.app_ids
    slots = asyncio.Semaphore(_CONCURRENT_REQUESTS)
    async with Source(settings) as source:

        async def check(account: Account) -> Finding:
            async with slots:
                return await _check_endpoint(source, account, app_ids.get(account.name))

        numbers, names = await asyncio.gather(
            asyncio.gather(*map(check, accounts)), check_names(source, accounts if with_names else (), slots)
        )
    return [*numbers, *names]


async def _check_endpoint(source: Source, account: Account, app_id: int | None) -> Finding:
    subject = f"endpoint of {account.name}"
    try:
        response = await source.fetch(account, deadline_seconds=0)
        parsed = parse_response(response.body, Fingerprints(), app_id, response.declared_length, account=account.name)
    except SyncerError as error:
        return Finding(subject, str(error), is_ok=False)
    listed = len(parsed.records)
    text = f"{account.api_url} accepts the token and lists {counted(listed, 'number')}"
    if parsed.rejections:
        rejected = len(parsed.rejections)
        subject_and_verb = "1 record is" if rejected == 1 else f"{rejected} records are"
        text += f"; {subject_and_verb} rejected, the first one because: {parsed.rejections[0].error}"
    if parsed.partial_reason is not None:
        text += f"; {parsed.partial_reason}"
    is_ok = not parsed.rejections and parsed.partial_reason is None
    if is_ok and not listed:
        text += ": check in the Личный кабинет that the token is that of the account with the numbers"
    return Finding(subject, text, is_ok=is_ok, is_warning=is_ok and not listed)


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
