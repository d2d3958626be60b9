"""What the commands share: settings, accounts and the database, each loaded only by the commands that need it."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from syncer.errors import SyncerError
from syncer.printable import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from syncer.config.accounts import Account
    from syncer.config.settings import Settings
    from syncer.database import Database
    from syncer.notices.rules import NotifyFile

T = TypeVar("T")

COLLECTION_THRESHOLD: Final = 10_000
"""How many more objects are made than freed until the garbage collector runs.

With Python's default, 700, it took up to a quarter of the processor time of a poll that changes 100,000 numbers, whose
records are no garbage. With 50,000 it is no faster."""
Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="NAME", help="Only this account; can be repeated.")
]
AccountName = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per account, one per line.")]


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine of a command, after excluding all loaded modules from garbage collection.

    Scanning them took a third of the run time of a short command, most of it at exit, and blocked the event loop.
    """
    import asyncio  # here, since help texts and wrong usage need none of it

    gc.freeze()
    gc.set_threshold(COLLECTION_THRESHOLD)
    gc.enable()
    return asyncio.run(coroutine)


def begin_import_of_http_client() -> None:
    """Begins to import aiohttp in a thread, while the caller imports other modules.

    aiohttp reads the machine's certificate authorities when it is imported. That takes a tenth of the time of a short
    command, and other threads can run meanwhile.
    """
    Thread(target=import_module, args=("aiohttp",)).start()


def parse_option(option: str, text: str, parse: Callable[[str], T]) -> T:
    """Parses the value of an option; a ValueError becomes a usage error."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from None


def read_settings() -> Settings:
    """Loads the settings, and configures logging as they say."""
    from syncer.config.settings import load_settings
    from syncer.telemetry.logs import configure_logging

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return settings


def read_valid_settings() -> tuple[Settings, list[str], set[str]]:
    """Loads the settings that are valid, as `load_valid_settings` does, and configures logging as they say."""
    from syncer.config.settings import load_valid_settings
    from syncer.telemetry.logs import configure_logging

    settings, problems, wrong_fields = load_valid_settings()
    configure_logging(settings.log_level, settings.log_format)
    return settings, problems, wrong_fields


def read_accounts(settings: Settings) -> Sequence[Account]:
    """Loads the accounts, and logs what an operator should know about the configuration."""
    from syncer.config.accounts import describe_shared_tokens, load_accounts
    from syncer.config.database_address import describe_unverified_connections
    from syncer.config.settings import describe_unknown_variables
    from syncer.telemetry.logs import log

    accounts = load_accounts(settings)
    for sentence in describe_unknown_variables({account.token_source for account in accounts}):
        log.warning("unknown_setting", found=sentence)
    for sentence in describe_shared_tokens(accounts):
        log.warning("shared_token", found=sentence)
    for sentence in describe_unverified_connections(settings):
        log.warning("database_not_verified", found=sentence)
    return accounts


def read_notify_file(settings: Settings, accounts: Sequence[Account] | None) -> NotifyFile | None:
    """Reads the notify file, if there is one; rules can name these accounts only, or any if they are None."""
    if settings.notify_file is None:
        return None
    from syncer.notices.notify_file import load_notify_file

    return load_notify_file(settings, accounts)


def configured_names(settings: Settings) -> set[str] | None:
    """Returns the names of the configured accounts; None if none are configured, as where only the owner works.

    Raises:
        ConfigurationError: The accounts cannot be read, so nobody can say which ones are still polled.
    """
    from syncer.config.accounts import load_accounts

    if settings.api_token is None and settings.accounts_file is None:
        return None
    return {account.name for account in load_accounts(settings)}


@contextmanager
def open_database(settings: Settings, *, for_migration: bool = False, may_create: bool = True) -> Iterator[Database]:
    """Opens the database; every error of the block names it."""
    from syncer.database import Database

    with Database(settings, for_migration=for_migration, may_create=may_create) as database:
        try:
            yield database
        except SyncerError as error:
            error.database = database.location
            raise


def name_database(database: Database) -> None:
    """Says which database was used; on standard error, so that it is not among the data."""
    typer.echo(f"database: {escape_unprintable(database.location)}", err=True)
