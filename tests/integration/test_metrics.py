"""The exported metrics: this process's counters, and the gauges that are read from the database."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from structlog.testing import capture_logs

from syncer import __version__
from syncer.config.accounts import Account
from syncer.config.staleness import stale_from
from syncer.daemon.gauges import Gauges
from syncer.emulator import faults
from syncer.endpoint.slots import LARGE_BODY_BYTES
from syncer.outcome import PollResult
from syncer.store.queries.gauge_values import AccountGauges, GaugeValues
from syncer.telemetry.metrics import ACCOUNTS_PER_PIECE, Metrics
from tests.builders import PolledAccount, record, redirect, settings_for

if TYPE_CHECKING:
    import asyncpg

    from syncer.emulator import Emulator
    from syncer.store.engine import Engine

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)

Series = dict[tuple[str, ...], float]


class ScrapedProcess:
    """The metrics that one process exports for one account, from its start."""

    def __init__(self, account: PolledAccount) -> None:
        account.restart()
        self._account = account
        self.metrics: Metrics = account.poller.metrics
        self.metrics.set_accounts(["default"])
        self._gauges = Gauges(account.engine, self.metrics)

    async def refresh(self) -> None:
        """Reads the gauges from the database, as the daemon does periodically."""
        account_id = await self._account.sql.fetchval("select account_id from syncer.account where name = 'default'")
        await self._gauges.refresh({account_id: self._account.account})

    def all(self) -> dict[str, Series]:
        """Scrapes all series: by metric, then by the values of their labels without `account`."""
        found: dict[str, Series] = {}
        for family in text_string_to_metric_families(generate_latest(self.metrics.registry).decode()):
            for sample in family.samples:
                labels = dict(sample.labels)
                if sample.name.startswith("syncer_") and labels.pop("account", "default") == "default":
                    found.setdefault(sample.name, {})[tuple(labels.values())] = sample.value
        return found

    def __getitem__(self, name: str) -> Series:
        return {labels: value for labels, value in self.all().get(name, {}).items() if value}


@pytest.fixture
def scraped(account: PolledAccount) -> ScrapedProcess:
    return ScrapedProcess(account)


OUTCOMES = ["applied", "unchanged", "failed", "superseded", "unknown"]
KINDS = ["created", "changed", "state", "removed", "restored", "redirect_opened", "redirect_closed"]


async def test_all_series_are_exported_before_the_first_poll(account: PolledAccount, scraped: ScrapedProcess) -> None:
    await account.sql.execute(
        "insert into syncer.account (name, time_zone, created_at) values ('default', 'Europe/Moscow', $1)", T0
    )
    await account.sql.execute("insert into syncer.account_fence (account_id) select account_id from syncer.account")
    await scraped.refresh()

    found = scraped.all()

    none = {(): 0.0}
    assert found == {
        "syncer_build_info": {(__version__,): 1.0},
        "syncer_ready": none,
        "syncer_tasks": none,
        "syncer_oldest_prunable_run_age_seconds": none,
        "syncer_stale_from_timestamp_seconds": {(): (T0 + timedelta(minutes=15)).timestamp()},
        "syncer_clock_behind_seconds": none,
        "syncer_log_lines_dropped_total": none,
        "syncer_runs_total": {(outcome,): 0.0 for outcome in OUTCOMES},
        "syncer_changes_total": {(kind,): 0.0 for kind in KINDS},
        "syncer_slot_wait_seconds_total": {("large_body",): 0.0, ("processing",): 0.0},
        "syncer_unknown_values_total": {(field,): 0.0 for field in ("type", "purpose", "state")},
        "syncer_run_duration_seconds_bucket": {(edge,): 0.0 for edge in ("1.0", "10.0", "60.0", "+Inf")},
        "syncer_run_duration_seconds_sum": none,
        "syncer_run_duration_seconds_count": none,
        "syncer_poll_lateness_seconds_bucket": {(edge,): 0.0 for edge in ("1.0", "5.0", "60.0", "+Inf")},
        "syncer_poll_lateness_seconds_sum": none,
        "syncer_poll_lateness_seconds_count": none,
        "syncer_held_removals": none,
        "syncer_unconfirmed_removals": none,
        "syncer_rejected_records": none,
    }


async def test_polls_are_counted_by_outcome_and_failures_by_kind(
    account: PolledAccount, scraped: ScrapedProcess
) -> None:
    await account.poll(record(1))
    await account.poll(record(1))
    await account.poll_body(b"[{")
    account.emulator.fault = faults.Status(status=401)
    await account.poll_again()
    await account.poll(record(1, state="freeze"))
    await account.poll_superseded(record(1))

    assert scraped["syncer_runs_total"] == {
        ("applied",): 2,
        ("unchanged",): 1,
        ("failed",): 2,
        ("superseded",): 1,
    }
    assert scraped["syncer_failures_total"] == {("not_json",): 1, ("unauthorized",): 1}
    assert scraped["syncer_run_duration_seconds_count"] == {(): 6}
    assert not any(name.endswith("_created") for name in scraped.all())


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_a_scrape_has_the_lines_that_the_library_makes_of_all_accounts_at_once(accept: str) -> None:
    encoder, _ = choose_encoder(accept)
    now = datetime.now(UTC)
    names = ['a "name"', "back\\slash", "Офис", *(f"account {number}" for number in range(2 * ACCOUNTS_PER_PIECE))]
    metrics = Metrics()
    metrics.set_accounts(names)
    gauges = [AccountGauges(1, name, now, now, now, 0, 12345678, 0, {"active": 5, "other": 1}) for name in names]
    metrics.set_gauge_values(GaugeValues(gauges, timedelta()), dict.fromkeys(names, now))

    pieces = [piece.decode() for piece in metrics.encode(encoder)]

    at_once, in_pieces = encoder(metrics.registry).decode(), "".join(pieces)
    assert len(pieces) > 3 * 11  # each of the eleven metrics of accounts is in three pieces
    assert constant_lines(in_pieces) == constant_lines(at_once)
    assert in_pieces.endswith("# EOF\n") == bool(accept)


def constant_lines(text: str) -> list[str]:
    """The lines of metrics whose values do not change meanwhile, in the order of their names."""
    return sorted(line for line in text.splitlines() if not line.startswith(("process_", "python_")))


def test_durations_are_counted_in_three_buckets_and_infinity() -> None:
    metrics = Metrics()
    metrics.set_accounts(["default"])
    for seconds in (0.25, 1, 5, 60, 100):
        result = PollResult(account="default", outcome="applied", duration_seconds=seconds)
        metrics.count_poll(result, fields_changed=0, new_lookup_values={}, lateness=None)

    def exported(suffix: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(
            f"syncer_run_duration_seconds_{suffix}", {"account": "default", **labels}
        )

    assert [exported("bucket", le=edge) for edge in ("1.0", "10.0", "60.0", "+Inf")] == [2, 3, 4, 5]
    assert (exported("sum"), exported("count")) == (166.25, 5)


async def test_only_scheduled_polls_have_a_lateness(account: PolledAccount, scraped: ScrapedProcess) -> None:
    account.emulator.fault = faults.Body(body="[]")
    for seconds in (0.4, 12, 7200):
        await account.poller.poll(account.account, "schedule", lateness=timedelta(seconds=seconds))
    await account.poller.poll(account.account, "command")

    assert scraped["syncer_poll_lateness_seconds_bucket"] == {("1.0",): 1, ("5.0",): 1, ("60.0",): 2, ("+Inf",): 3}
    assert scraped["syncer_poll_lateness_seconds_sum"] == {(): 7212.4}
    assert scraped["syncer_poll_lateness_seconds_count"] == {(): 3}


async def test_changes_are_counted_as_in_the_change_feed(account: PolledAccount, scraped: ScrapedProcess) -> None:
    await account.poll(*(record(number) for number in range(1, 7)))
    await account.poll(
        record(1, state="debt_lock", reason="долг", comment="новый", employee_id=7),
        record(2, comment="другой", from_redirect_numbers=[redirect(5, "79000000005"), redirect(6, "79000000006")]),
        record(3, reason="иная"),
        record(4),
        record(5, state="freeze"),
        record(7),
    )
    await account.poll(*(record(number) for number in range(1, 7)))

    exported = set()
    for kind, run_id, number, field, redirected in await account.rows(
        "select kind, run_id, virtual_number_id, field, redirect_number_id from analytics.changes"
    ):
        # The feed has a row per field; a change of the whole number is counted once.
        is_of_a_field = kind in {"changed", "redirect_opened", "redirect_closed"}
        exported.add((kind, run_id, number, *([field, redirected] if is_of_a_field else [])))
    assert scraped["syncer_changes_total"] == Counter((kind,) for kind, *_ in exported)
    assert scraped["syncer_changes_total"] == {
        ("created",): 7,
        ("state",): 6,
        ("changed",): 6,
        ("removed",): 1,
        ("restored",): 1,
        ("redirect_opened",): 2,
        ("redirect_closed",): 2,
    }


async def test_unknown_values_are_counted_once(account: PolledAccount, scraped: ScrapedProcess) -> None:
    await account.poll(record(1, state="parked", type="esim"), record(2, state="stolen"))
    await account.poll(record(1, state="stolen", type="esim"), record(2, state="parked"))

    assert scraped["syncer_unknown_values_total"] == {("state",): 2, ("type",): 1}


async def test_the_gauges_equal_the_views_also_in_a_process_that_has_just_started(
    account: PolledAccount, scraped: ScrapedProcess
) -> None:
    listed = [record(number) for number in range(1, 11)]
    await account.poll_at(T0, *listed, record(20))
    await scraped.refresh()
    assert (await account.poll_at(T0 + timedelta(minutes=1), *listed)).removed == 1
    await account.poll_at(
        T0 + timedelta(minutes=5),
        *listed[:4],
        record(5, state="freeze"),
        record(6, state="parked"),
        {"id": 7},
        record(11, state=None),
    )
    await account.set_clock(T0 + timedelta(minutes=10))
    assert (await account.poll_body(b"no list")).outcome == "failed"

    await scraped.refresh()
    restarted = ScrapedProcess(account)
    await restarted.refresh()

    success, held, rejected = await account.row("select last_success_at, held, rejected from analytics.freshness")
    assert (success, held, rejected) == (T0 + timedelta(minutes=5) + TICK, 3, 2)
    for process in (scraped, restarted):
        assert process["syncer_last_success_timestamp_seconds"] == {(): success.timestamp()}
        assert process["syncer_held_removals"] == {(): held}
        assert process["syncer_rejected_records"] == {(): rejected}
        assert process["syncer_numbers"] == {("active",): 8, ("freeze",): 1, ("other",): 1}
        assert process["syncer_numbers"] == {
            (state,): count
            for state, count in await account.rows(
                "select case when documented then state else 'other' end, count(*) "
                "from analytics.numbers join analytics.states using (state) group by 1"
            )
        }
        assert process["syncer_stale_from_timestamp_seconds"] == {
            (): (T0 + timedelta(minutes=5) + 3 * timedelta(minutes=5)).timestamp()
        }


async def test_numbers_are_recounted_only_after_a_run_that_changed_something(
    account: PolledAccount, scraped: ScrapedProcess
) -> None:
    await account.poll(record(1), record(2))
    await scraped.refresh()
    await account.sql.execute("set session_replication_role = replica")  # no trigger asks for a run
    await account.sql.execute("update syncer.virtual_number set state = 'inactive' where virtual_number_id = 2")
    await account.sql.execute("reset session_replication_role")

    await account.poll(record(1), record(2))
    await scraped.refresh()
    assert scraped["syncer_numbers"] == {("active",): 2}

    await account.poll(record(1, comment="новый"), record(2))
    await scraped.refresh()
    assert scraped["syncer_numbers"] == {("active",): 1, ("inactive",): 1}


async def test_a_state_without_numbers_has_no_series(account: PolledAccount, scraped: ScrapedProcess) -> None:
    await account.poll(record(1), record(2))
    await scraped.refresh()
    await account.poll(record(1, state="freeze"), record(2, state="freeze"))
    await scraped.refresh()

    assert scraped.all()["syncer_numbers"] == {("freeze",): 2}


async def test_no_undocumented_state_becomes_a_label(account: PolledAccount, scraped: ScrapedProcess) -> None:
    hostile = ["79161234567", "token", "a\nb", "\x1b[31mred", 'a"} 1\nsyncer_ready 0', "x" * 200]
    records = [record(number, state=state) for number, state in enumerate(hostile, start=10)]

    await account.poll(*records, record(1), record(2, state="parked", type="79161234567", purpose="token"))
    await scraped.refresh()

    assert scraped["syncer_numbers"] == {("active",): 1, ("other",): 7}
    assert scraped["syncer_unknown_values_total"] == {("type",): 1, ("purpose",): 1, ("state",): 7}


async def test_gauges_of_the_current_state_disappear_if_the_database_cannot_be_read_for_long(
    account: PolledAccount, scraped: ScrapedProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await account.poll(record(1))
    await scraped.refresh()
    present = {
        "syncer_numbers",
        "syncer_held_removals",
        "syncer_unconfirmed_removals",
        "syncer_rejected_records",
    }
    before = scraped.all()

    monkeypatch.setattr("syncer.telemetry.metrics.MAX_GAUGE_AGE_SECONDS", 0.0)

    assert before.keys() - scraped.all().keys() == present


async def test_a_clock_that_was_set_back_is_exported_until_it_has_caught_up(
    account: PolledAccount, scraped: ScrapedProcess
) -> None:
    await account.poll_at(T0, record(1))
    await account.set_clock(T0 - timedelta(hours=1))
    await scraped.refresh()
    assert scraped["syncer_clock_behind_seconds"] == {(): 3600.000001}

    await account.set_clock(T0 + timedelta(seconds=1))
    await scraped.refresh()
    assert scraped["syncer_clock_behind_seconds"] == {}


async def test_the_series_of_a_removed_account_disappear_even_if_its_last_poll_ends_later(
    account: PolledAccount, scraped: ScrapedProcess
) -> None:
    await account.poll(record(1))
    await scraped.refresh()
    scraped.metrics.set_accounts(["default", "second"])
    assert scraped["syncer_runs_total"] == {("applied",): 1}
    both = generate_latest(scraped.metrics.registry).decode()
    assert both.count('"second"') == both.count('"default"') - 6  # those read from the database are not there yet

    scraped.metrics.set_accounts(["second"])
    await account.poll(record(1, state="freeze"))

    assert 'account="default"' not in generate_latest(scraped.metrics.registry).decode()
    scraped.metrics.set_accounts(["default", "second"])
    assert scraped["syncer_runs_total"] == {}


async def test_no_phone_number_and_no_token_is_exported(account: PolledAccount, scraped: ScrapedProcess) -> None:
    await account.poll(record(1, number="79208547433", comment="секрет", state="parked"), record(2, state=None))
    account.emulator.fault = faults.Status(status=401)
    await account.poll_again()
    await scraped.refresh()

    exported = generate_latest(scraped.metrics.registry).decode()

    assert 'state="other"' in exported
    for secret in ("79208547433", "секрет", account.account.token.get_secret_value() + '"'):
        assert secret not in exported


async def test_the_time_that_polls_wait_for_slots_is_counted_and_logged(
    engine: Engine, emulator: Emulator, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.endpoint.client.MAX_LARGE_BODIES", 1)
    async with PolledAccount(engine, emulator, sql, settings_for(emulator)) as account, AsyncExitStack() as processing:
        scraped = ScrapedProcess(account)
        large = json.dumps([record(number, comment="x" * 100) for number in range(1, 1500)])
        assert len(large) > LARGE_BODY_BYTES
        emulator.fault = faults.Body(body=large)
        slots = account.poller.processing_slots
        while not slots.locked():
            await processing.enter_async_context(slots)
        with capture_logs() as logs:
            polls = {asyncio.ensure_future(account.poll_again()) for _ in range(2)}
            assert (await asyncio.wait(polls, timeout=1))[0] == set()
            await processing.aclose()
            await asyncio.gather(*polls)
        waits = scraped["syncer_slot_wait_seconds_total"]
        # One poll has the slot for the body and waits for the other one; the other poll waits for the body's.
        assert 0.5 < waits["processing",] < 10
        assert 0.5 < waits["large_body",] < 10
        logged = [entry["slot_wait_seconds"] for entry in logs if entry["event"] == "poll_finished"]
        assert sum(logged) == pytest.approx(sum(waits.values()), abs=0.01)


def account_with(**schedule: Any) -> Account:
    given: dict[str, Any] = {
        "poll_interval": timedelta(minutes=5),
        "poll_cron": None,
        "time_zone": ZoneInfo("Europe/Moscow"),
    }
    who: dict[str, Any] = {
        "name": "default",
        "token": SecretStr("token"),
        "api_url": "http://127.0.0.1:1",
        "auth_scheme": None,
    }
    return Account(**(who | given | schedule))


def test_an_account_is_stale_after_three_due_times_without_a_success() -> None:
    assert stale_from(account_with(), T0) == T0 + timedelta(minutes=15)
    assert stale_from(account_with(poll_interval=timedelta(hours=6)), T0) == T0 + timedelta(hours=18)


def test_an_account_not_scheduled_at_weekends_does_not_become_stale_then() -> None:
    resting = account_with(poll_cron="*/10 8-20 * * 1-5")
    friday = datetime(2026, 3, 6, 20, 50, 7, tzinfo=ZoneInfo("Europe/Moscow"))
    assert stale_from(resting, friday) == datetime(2026, 3, 9, 8, 20, tzinfo=ZoneInfo("Europe/Moscow"))
    monday = datetime(2026, 3, 9, 8, 0, tzinfo=ZoneInfo("Europe/Moscow"))
    assert stale_from(resting, monday) == datetime(2026, 3, 9, 8, 30, tzinfo=ZoneInfo("Europe/Moscow"))
