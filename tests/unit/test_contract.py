"""The public contract, docs/contract.md, names what the program has: no more and no less."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import pytest
from typer.main import get_command

from syncer import cli
from syncer.commands.sync import json_line, worst_exit_code
from syncer.config import accounts
from syncer.config.hosts import ListenAddress
from syncer.config.settings import Settings, load_settings
from syncer.errors import ConfigurationError, PollError, SyncerError
from syncer.notices.notify_entries import CHANNEL_ENTRIES, RuleEntry, TopLevel
from syncer.notices.rules import CONDITIONS, DEFAULT_EVENTS, NUMBER_EVENTS
from syncer.outcome import COUNTERS, Outcome, PollResult, Trigger
from syncer.store.queries import number_life
from syncer.store.queries.account_status import AccountStatus, RejectedElement
from syncer.store.queries.gauge_values import AccountGauges, GaugeValues
from syncer.store.record_columns import RECORD_COLUMNS
from syncer.store.tables import sync_run
from syncer.telemetry.metrics import Metrics
from syncer.web.site import Site
from tests.contract_page import PAGE, first_names, name, names, section, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import Metric

A_CHANNEL = "key of a channel"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set, and there is no `.env` file."""
    monkeypatch.chdir(tmp_path)
    for variable in [one for one in os.environ if one.upper().startswith("SYNCER_")]:
        monkeypatch.delenv(variable)


# Commands


def test_every_command_has_its_options_and_arguments_on_the_page() -> None:
    commands: dict[str, Any] = {}
    for group, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined] # a group has commands
        inner = getattr(command, "commands", None)
        commands |= {group: command} if inner is None else {f"{group} {one}": inner[one] for one in inner}
    usages = [usage.removeprefix("syncer ") for usage in first_names("command")]
    shown = {one: usage for usage in usages for one in commands if f"{usage} ".startswith(f"{one} ")}

    assert (set(shown), len(usages)) == (set(commands), len(shown))
    for command, usage in shown.items():
        options = {option for one in commands[command].params for option in one.opts if option.startswith("--")}
        required = [one for one in commands[command].params if one.param_type_name == "argument" and one.required]
        assert set(re.findall(r"--[a-z-]+", usage)) == options, command
        words = set(re.findall(r"(?<![-\w])[A-Z]+", re.sub(r"\[.*?\]", "", usage)))
        assert words == {one.metavar for one in required}, command


def test_the_page_names_the_options_of_the_program_itself() -> None:
    options = {option for one in get_command(cli.app).params for option in one.opts}

    assert options == {"--version", "-V", "--env-file"}
    assert options <= set(re.findall(r"(?<![\w-])-{1,2}[A-Za-z-]+", section("Commands").partition("| command |")[0]))


def test_the_exit_codes_of_a_sync_are_those_on_the_page() -> None:
    def result(outcome: Outcome, *, held: int = 0, rejected: int = 0) -> PollResult:
        return PollResult(account="default", outcome=outcome, held=held, rejected=rejected, duration_seconds=0)

    quiet = [result(outcome) for outcome in get_args(Outcome) if outcome not in {"failed", "unknown"}]
    quiet.append(PollResult(account="default", outcome="applied", unconfirmed=1, duration_seconds=0))
    loud = [result("applied", held=1), result("unchanged", rejected=1)]
    failed, unknown = result("failed"), result("unknown")
    codes = {
        "every poll was `applied`, `unchanged` or `superseded`": worst_exit_code(quiet),
        "removals are held or records are rejected": worst_exit_code([*quiet, loud[0]]),
        "a poll failed": worst_exit_code([*quiet, *loud, failed]),
        "the outcome of a poll is unknown": worst_exit_code([*quiet, *loud, failed, unknown]),
        "the configuration or the usage is wrong": 2,
    }

    assert {worst_exit_code([one]) for one in loud} == {worst_exit_code([*quiet, loud[0]])}
    assert first_names("code") == [str(code) for code in codes.values()]
    for (_, when), meaning in zip(table("code"), codes, strict=True):
        assert meaning in when


@pytest.mark.parametrize(("error", "code"), [(ConfigurationError("wrong"), 2), (SyncerError("wrong"), 1)])
def test_what_keeps_a_command_from_working_ends_it_with_the_code_on_the_page(
    error: SyncerError, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*, standalone_mode: bool) -> None:
        assert standalone_mode
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(cli, "prepare_standard_streams", lambda: None)
    monkeypatch.setattr("syncer.cli.gc.disable", lambda: None)
    monkeypatch.setattr("syncer.cli.sys.setswitchinterval", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == code
    said = " ".join(section("Commands").split())
    assert "exits with 2 if its usage or the configuration is wrong, and with 1 if something else" in said


# JSON


def test_the_fields_of_a_sync_are_those_on_the_page_in_their_order() -> None:
    line = json_line(PollResult(account="default", outcome="applied", duration_seconds=0))
    assert first_names("field") == list(json.loads(line))
    assert set(COUNTERS) < set(first_names("field"))


def test_one_of_something_is_said_in_the_singular() -> None:
    of_a = partial(PollResult, account="a", outcome="applied", duration_seconds=0)
    one, two = of_a(received=1, state_changes=1, redirects_opened=1), of_a(received=2, redirects_closed=2)

    assert one.summary == "a: applied: 1 received, 1 state change, 1 redirect opened"
    assert two.summary == "a: applied: 2 received, 2 redirects closed"


def test_the_fields_of_the_status_are_those_on_the_page_in_their_order() -> None:
    assert first_names("field of `status`") == list(AccountStatus.__struct_fields__)
    said = " ".join(section("JSON").partition("`syncer status --json`")[2].partition("|")[0].split())
    assert names(said)[1:] == list(RejectedElement.__struct_fields__)


def test_the_fields_of_a_history_are_those_on_the_page_in_their_order() -> None:
    lists = {
        "numbers": number_life.PhoneNumberPeriod,
        "states": number_life.StatePeriod,
        "redirects": number_life.RedirectPeriod,
        "absences": number_life.Absence,
        "changes": number_life.NumberChange,
    }
    shown = {name(field): meaning for field, meaning in table("field of `history`")}

    assert list(shown) == list(number_life.NumberLife.__struct_fields__)
    for field, row in lists.items():
        assert tuple(names(shown[field])[-len(row.__struct_fields__) :]) == row.__struct_fields__
    assert f"more than {number_life.MAX_ROWS:,} rows" in shown["is_complete"]


def test_the_outcomes_of_polls_and_runs_are_those_on_the_page() -> None:
    stored = set(re.findall(r"\w+", str(sync_run.c.outcome.comment))) - {"or"}
    of = {name(cells[0]): cells[1] for cells in table("outcome")}

    assert {outcome for outcome, whose in of.items() if whose in {"poll, run", "poll"}} == set(get_args(Outcome))
    assert {outcome for outcome, whose in of.items() if whose in {"poll, run", "run"}} == stored
    assert {outcome for outcome, whose in of.items() if whose == "poll"} == {"unknown"}


def test_what_triggers_a_poll_is_on_the_page() -> None:
    (sentence,) = re.findall(r"^`trigger` in `sync_run` is .*$", PAGE, re.MULTILINE)

    assert names(sentence)[2:] == list(get_args(Trigger))


def kinds_of(error: type[PollError]) -> Iterator[str]:
    """The kinds of an error and of all that derive from it."""
    if "kind" in vars(error):
        yield error.kind
    for derived in error.__subclasses__():
        yield from kinds_of(derived)


def test_the_error_kinds_are_those_on_the_page() -> None:
    assert sorted(first_names("`error_kind`")) == sorted(kinds_of(PollError))


# Variables


def test_every_setting_is_a_variable_on_the_page() -> None:
    assert sorted(first_names("variable")) == sorted(f"SYNCER_{field.upper()}" for field in Settings.model_fields)


@pytest.mark.usefixtures("no_variables")
def test_every_default_on_the_page_is_the_settings_default(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings()
    for variable, default, _ in table("variable"):
        field = name(variable).removeprefix("SYNCER_").lower()
        if getattr(defaults, field) is None:
            assert re.match(r"none\b", default), variable
            continue
        with monkeypatch.context() as environment:
            environment.setenv(name(variable), name(default))
            assert getattr(load_settings(), field) == getattr(defaults, field), variable


def test_the_keys_of_an_account_are_those_on_the_page() -> None:
    assert first_names("key") == list(accounts._AccountEntry.model_fields)  # noqa: SLF001 - the file's keys


def test_the_keys_of_the_notify_file_are_those_on_the_page() -> None:
    kinds = {name(key): names(cell) if cell != "all" else list(CHANNEL_ENTRIES) for key, cell, _ in table(A_CHANNEL)}

    assert first_names("key of the file") == TopLevel.keys()
    assert first_names("key of a rule") == RuleEntry.keys()
    assert len(kinds) == len(table(A_CHANNEL))
    for kind, entry in CHANNEL_ENTRIES.items():
        assert [key for key, having in kinds.items() if kind in having] == entry.keys(), kind
    assert names(table(A_CHANNEL)[1][2])[:-1] == list(CHANNEL_ENTRIES)


def test_the_events_are_those_on_the_page() -> None:
    of = {name(event): (whose, default) for event, whose, default, _ in table("event")}

    assert [event for event, (whose, _) in of.items() if whose == "numbers"] == list(NUMBER_EVENTS)
    assert [event for event, (whose, _) in of.items() if whose == "accounts"] == list(CONDITIONS)
    assert {event for event, (_, default) in of.items() if default == "yes"} == DEFAULT_EVENTS
    assert {default for _, default in of.values()} == {"yes", "no"}


# Database


def test_the_columns_of_the_record_are_those_on_the_page() -> None:
    (paragraph,) = re.findall(r"^\*The record\* stands for these columns: (.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)

    assert names(paragraph) == list(RECORD_COLUMNS)


# HTTP


@pytest.mark.usefixtures("no_variables")
async def test_the_paths_that_are_served_are_those_on_the_page() -> None:
    def no_database() -> str:
        raise AssertionError("nothing is asked")

    site = Site(
        load_settings(),
        ListenAddress("127.0.0.1", 0),
        no_database,
        Metrics(),
        is_live=lambda: True,
        configured=lambda: (),
    )
    async with site:
        served = sorted(site.paths)

    assert sorted(first_names("path")) == served


# Metrics


def families() -> dict[str, Metric]:
    """Every family of ours, each with a sample, by the name under which Prometheus stores it."""
    metrics = Metrics()
    metrics.set_accounts(["default"])
    metrics.notices.set_channels(["duty"])
    metrics.names.set_lists([("default", "employees")])
    metrics.names.set_success("default", "employees", NOON)
    failed = PollResult(account="default", outcome="failed", duration_seconds=1, error_kind="timeout")
    metrics.count_poll(failed, fields_changed=0, new_lookup_values={}, lateness=timedelta(0))
    reading = AccountGauges(1, "default", NOON, NOON, NOON, held=0, unconfirmed=0, rejected=0, numbers={"active": 1})
    metrics.set_gauge_values(GaugeValues([reading], timedelta(0)), {"default": NOON})
    suffixes = {"counter": "_total", "info": "_info"}
    return {
        family.name + suffixes.get(family.type, ""): family
        for family in metrics.registry.collect()
        if family.name.startswith("syncer_")
    }


def test_the_metrics_their_kinds_and_their_labels_are_those_on_the_page() -> None:
    collected = {
        metric: (family.type, sorted({label for one in family.samples for label in one.labels} - {"le"}))
        for metric, family in families().items()
    }

    assert {name(metric): (kind, sorted(names(labels))) for metric, kind, labels, _ in table("metric")} == collected


def test_the_kinds_of_changes_are_those_on_the_page() -> None:
    (sentence,) = re.findall(r"^`kind` in `changes` is .*?\.\s", PAGE, re.MULTILINE | re.DOTALL)
    counted = {one.labels["kind"] for one in families()["syncer_changes_total"].samples}

    assert set(names(sentence)[2:]) == counted
