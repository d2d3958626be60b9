"""The commands on the stored data: history, export, dump, restore, psql."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates the annotations
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from syncer.cli.context import (
    Accounts,
    configured_names,
    name_database,
    open_database,
    parse_option,
    read_settings,
    run_async,
)

if TYPE_CHECKING:
    from syncer.config.settings import Settings


def history(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="A phone number in any spelling.")],
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Only the numbers of this account.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per number, one per line.")] = False,
) -> None:
    """Show the life of a number: states, redirects, removals and other changes. The rights of an analyst are enough."""
    from syncer.commands.history import print_history
    from syncer.store.queries.number_search import spellings

    settings = read_settings()
    accepted = parse_option("NUMBER", number, spellings)
    with open_database(settings, may_create=False) as database:
        run_async(print_history(database, accepted, account, as_json=as_json))
        name_database(database)


def export(  # noqa: PLR0913 - a parameter for each option
    view: Annotated[
        str | None, typer.Argument(metavar="VIEW", help="A view of schema analytics, for example numbers.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Replaced only when the export is complete; default: standard output.",
        ),
    ] = None,
    file_format: Annotated[
        Literal["csv", "xlsx", "parquet"] | None,
        typer.Option("--format", help="Default: what the file name ends in, .csv, .xlsx or .parquet; else csv."),
    ] = None,
    account: Accounts = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="View numbers only: the numbers as of this time.")
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="View changes only: the changes since the last export with this file, which keeps the cursor.",
        ),
    ] = None,
    number: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Instead of a view: all that is stored of this phone number, as CSV files in the folder --output.",
        ),
    ] = None,
    *,
    excel: Annotated[bool, typer.Option("--excel", help="CSV for Excel in locales with decimal commas.")] = False,
    language: Annotated[
        Literal["en", "ru"] | None,
        typer.Option(help="Titles of an .xlsx file in this language; default: the names of the columns."),
    ] = None,
) -> None:
    """Export a view of schema `analytics` as CSV, Excel or Parquet file. The rights of an analyst are enough."""
    from syncer.commands.export import ExportOptions, choose_format, parse_moment
    from syncer.commands.export import export as export_view

    if (view is None) == (number is None):
        raise typer.BadParameter("give either a view or --number")
    settings = read_settings()
    if number is not None:
        others = {
            "--format": file_format,
            "--at": at,
            "--since": since,
            "--excel": excel or None,
            "--language": language,
        }
        if wrong := [option for option, value in others.items() if value is not None]:
            raise typer.BadParameter(f"it does not go with {wrong[0]}", param_hint="--number")
        if output is None:
            raise typer.BadParameter("it needs a folder in --output", param_hint="--number")
        _export_number(settings, number, account or [], output)
        return
    chosen = choose_format(output, file_format, excel=excel, language=language)
    as_of = None if at is None else parse_option("--at", at, lambda text: parse_moment(text, settings.timezone))
    options = ExportOptions(str(view), output, chosen, excel, language, tuple(account or ()), as_of, since)
    with open_database(settings, may_create=False) as database:
        run_async(export_view(options, database, settings.timezone))
        name_database(database)


def _export_number(settings: Settings, number: str, accounts: list[str], folder: Path) -> None:
    from syncer.commands.export import export_number, make_folder
    from syncer.store.queries.number_search import spellings

    accepted = parse_option("--number", number, spellings)
    make_folder(folder)
    with open_database(settings, may_create=False) as database:
        is_found = run_async(export_number(database, settings.timezone, accepted, accounts, folder))
        if not is_found:
            typer.echo("no number has or had it", err=True)
        name_database(database)
    raise SystemExit(0 if is_found else 3)


def erase(  # noqa: PLR0913 - a parameter for each option
    account: Annotated[str | None, typer.Option(metavar="NAME", help="The account.")] = None,
    number: Annotated[str | None, typer.Option(metavar="NUMBER", help="This phone number, in any spelling.")] = None,
    employee: Annotated[
        int | None,
        typer.Option(metavar="ID", max=2**63 - 1, help="The name and position of this employee, by the vendor's id."),
    ] = None,
    removed_before: Annotated[
        str | None, typer.Option(metavar="AGE", help="All numbers that were removed longer ago, for example 1095d.")
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `syncer erasures --json` has written, after a backup was restored."),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; stored with the erasure.")] = None,
    *,
    whole: Annotated[
        bool, typer.Option("--all", help="Everything of the account, which is polled no more: `syncer account delete`.")
    ] = False,
    comments: Annotated[
        bool, typer.Option("--comments", help="With --employee: also the comments of the employee's numbers.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Erase; without it, only say how many rows that would be.")
    ] = False,
) -> None:
    """Remove personal data of a number or an employee for good, as the schema's owner; states and counts stay."""
    from datetime import timedelta

    from syncer.commands.account import delete
    from syncer.commands.erase import erase_again, erase_employee, erase_number, erase_removed, read_erasures
    from syncer.config.fields import duration_parser
    from syncer.store.queries.number_search import spellings

    if sum(option is not None for option in (number, employee, removed_before, again, whole or None)) != 1:
        raise typer.BadParameter("give exactly one of --number, --employee, --removed-before, --all and --again")
    if (again is None) == (account is None):
        raise typer.BadParameter("it goes with every other option but --again", param_hint="--account")
    if reason is not None and (whole or again is not None):
        raise typer.BadParameter("it goes with --number, --employee and --removed-before", param_hint="--reason")
    if comments and employee is None:
        raise typer.BadParameter("it goes with --employee", param_hint="--comments")
    settings = read_settings()
    with open_database(settings, may_create=False, for_migration=True) as database:
        is_found = True
        if again is not None:
            erasures = parse_option("--again", str(again), read_erasures)
            run_async(erase_again(database, erasures))
        elif whole:
            run_async(delete(database, str(account), configured_names(settings), confirmed=yes))
        elif number is not None:
            accepted = parse_option("--number", number, spellings)
            is_found = run_async(erase_number(database, str(account), accepted, reason, confirmed=yes))
        elif employee is not None:
            is_found = run_async(
                erase_employee(database, str(account), employee, reason, comments=comments, confirmed=yes)
            )
        else:
            age = parse_option(
                "--removed-before", str(removed_before), duration_parser(timedelta(days=30), "of at least 30d", "365d")
            )
            run_async(erase_removed(database, str(account), age, reason, confirmed=yes))
        if not is_found:
            subject = "number" if employee is None else "employee"
            typer.echo(f"the account has nothing of this {subject}", err=True)
        name_database(database)
    raise SystemExit(0 if is_found else 3)


def erasures(
    lift: Annotated[
        int | None, typer.Option(metavar="ERASURE", help="Let the number of this erasure be stored again.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per erasure, one per line.")] = False,
) -> None:
    """Show what was erased, or lift one erasure. Keep the output of --json outside the backups."""
    from syncer.commands.erase import lift as lift_one
    from syncer.commands.erase import print_erasures

    settings = read_settings()
    with open_database(settings, may_create=False, for_migration=True) as database:
        if lift is None:
            run_async(print_erasures(database, as_json=as_json))
        else:
            run_async(lift_one(database, lift))
        name_database(database)


def dump(file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")]) -> None:
    """Back up the database in use, the embedded one included. Nothing needs to be stopped for it."""
    from syncer.commands.backup import dump as dump_to

    settings = read_settings()
    with open_database(settings, may_create=False, for_migration=True) as database:
        run_async(dump_to(database, file))
        name_database(database)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `syncer dump` has written.")],
) -> None:
    """Restore a backup into an empty database, upgrade its schema, and check the restored data."""
    from syncer.commands.backup import require_readable
    from syncer.commands.backup import restore as restore_from

    settings = read_settings()
    require_readable(file)
    with open_database(settings, for_migration=True) as database:
        is_right = run_async(restore_from(database, settings, file))
        name_database(database)
    raise SystemExit(0 if is_right else 1)


def psql(context: typer.Context) -> None:
    """Run psql on the database in use, embedded or not. Arguments are passed to psql."""
    from syncer.commands.psql import run_psql
    from syncer.config.accounts import find_token_sources
    from syncer.notices.notify_file import find_secret_sources

    settings = read_settings()
    with open_database(settings, may_create=False) as database:
        name_database(database)
        hidden_variables = find_token_sources(settings) | find_secret_sources(settings)
        raise SystemExit(run_psql(database, context.args, hidden_variables=hidden_variables))
