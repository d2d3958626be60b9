"""The commands that need no configuration: demo and emulate."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import Annotated, Final

import typer

from syncer.cli.context import parse_option, run_async
from syncer.errors import ConfigurationError

_DEFAULT_DEMO_DAYS: Final = 180


def demo(
    history: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help="Start with generated history of this length, for example 180d."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the database in this folder; a BI tool can connect to it meanwhile."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Only fill this empty database with history (default 180d), as its owner."),
    ] = None,
    notify_to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Send notices to this webhook; otherwise the demo shows what it would send."),
    ] = None,
) -> None:
    """Run a complete demo on this machine with nothing to configure.

    It consists of an embedded database, an emulated endpoint, the daemon and a live view. Of all settings it uses
    SYNCER_HTTP_LISTEN alone.
    """
    from syncer.daemon.signals import exit_cleanly_during_startup

    exit_cleanly_during_startup()
    from syncer.commands.demo import DemoOptions, fill_database, run_demo
    from syncer.commands.demo_backfill import parse_days
    from syncer.commands.demo_notices import create_receiver
    from syncer.config.settings import load_valid_settings, read_origins

    days = None if history is None else parse_option("--history", history, parse_days)
    if database is not None:
        for option, value in (("--keep", keep), ("--notify-to", notify_to)):
            if value is not None:
                raise ConfigurationError(f"--database and {option} do not go together: name one of them")
        run_async(fill_database(_check_database_address(database), days or _DEFAULT_DEMO_DAYS))
        return
    settings, problems, wrong_fields = load_valid_settings()
    if "http_listen" in wrong_fields:
        raise ConfigurationError(*[one for one in problems if one.startswith("SYNCER_HTTP_LISTEN ")])
    listen = settings.http_listen
    is_set = "http_listen" in read_origins()
    receiver = None if notify_to is None else create_receiver(notify_to)
    options = DemoOptions(
        days or 0, keep, listen if is_set else None, serves_page=listen is not None, receiver=receiver
    )
    run_async(run_demo(options))


def emulate(
    numbers: Annotated[int, typer.Option(min=0, metavar="N", help="How many numbers to emulate.")] = 200,
    seed: Annotated[int, typer.Option(metavar="S", help="The same seed gives the same numbers and changes.")] = 1,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address to listen on.")] = "127.0.0.1:8081",
    file: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Serve these numbers instead, and no names.")
    ] = None,
) -> None:
    """Run only the emulated endpoint. Its numbers change every few seconds, and its names sometimes."""
    from syncer.daemon.signals import exit_cleanly_during_startup

    exit_cleanly_during_startup()
    from syncer.commands.emulate import run_emulator
    from syncer.config.hosts import ListenAddress

    address = parse_option("--listen", listen, ListenAddress.parse)
    run_async(run_emulator(numbers=numbers, seed=seed, listen=address, file=file))


def _check_database_address(address: str) -> str:
    """Checks the value of --database, without repeating it in an error: it may have a password."""
    from pydantic import SecretStr

    from syncer.config.database_address import check_database_address

    try:
        return check_database_address(SecretStr(address)).get_secret_value()
    except ValueError as error:
        raise ConfigurationError(f"--database has an invalid value, which is not shown: {error}") from None
