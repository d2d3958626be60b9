"""What Prometheus is told: what this process counted, and what the database says of every account."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from syncer import __version__
from syncer.config.accounts import Account
from syncer.daemon.gauges import Gauges, stale_from
from syncer.emulator import faults
from syncer.outcome import PollResult
from syncer.telemetry.metrics import Metrics
from tests.builders import record, redirect

if TYPE_CHECKING:
    from tests.builders import PolledAccount

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)

Series = dict[tuple[str, ...], float]


class Watched:
    """What one process, from its start on, would tell Prometheus of one account."""

    def __init__(self, polled: PolledAccount) -> None:
        polled.forget()
        self._polled = polled
        self.metrics: Metrics = polled.poller.metrics
        self.metrics.set_accounts(["default"])
        self._gauges = Gauges(polled.engine, self.metrics)

    async def refresh(self) -> None:
        """Asks the database, as the daemon does from time to time."""
        account_id = await self._polled.sql.fetchval("select account_id from syncer.account where name = 'default'")
        await self._gauges.refresh({account_id: self._polled.account})

    def all(self) -> dict[str, Series]:
        """Every series as it is scraped, by metric and by the values of its labels but the account's, which is ours."""
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
def watched(account: PolledAccount) -> Watched:
    return Watched(account)


OUTCOMES = ["applied", "unchanged", "failed", "superseded"]
KINDS = ["created", "changed", "state", "removed", "restored", "redirect_opened", "redirect_closed"]


async def test_every_series_is_there_before_the_first_poll_and_their_number_is_known(
    account: PolledAccount, watched: Watched
) -> None:
    await account.sql.execute(
        "insert into syncer.account (name, time_zone, created_at) values ('default', 'Europe/Moscow', $1)", T0
    )
    await watched.refresh()

    found = watched.all()

    none = {(): 0.0}
    assert found == {
        "syncer_build_info": {(__version__,): 1.0},
        "syncer_ready": none,
        "syncer_tasks": none,
        "syncer_stale_from_timestamp_seconds": {(): (T0 + timedelta(minutes=15)).timestamp()},
        "syncer_clock_behind_seconds": none,
        "syncer_runs_total": {(outcome,): 0.0 for outcome in OUTCOMES},
        "syncer_changes_total": {(kind,): 0.0 for kind in KINDS},
        "syncer_unknown_values_total": {(field,): 0.0 for field in ("type", "purpose", "state")},
        "syncer_run_duration_seconds_bucket": {(edge,): 0.0 for edge in ("1.0", "10.0", "60.0", "+Inf")},
        "syncer_run_duration_seconds_sum": none,
        "syncer_run_duration_seconds_count": none,
        "syncer_poll_lateness_seconds_bucket": {(edge,): 0.0 for edge in ("1.0", "5.0", "60.0", "+Inf")},
        "syncer_poll_lateness_seconds_sum": none,
        "syncer_poll_lateness_seconds_count": none,
        "syncer_held_removals": none,
        "syncer_rejected_records": none,
    }


async def test_each_poll_is_counted_by_its_outcome_and_each_failure_by_its_kind(
    account: PolledAccount, watched: Watched
) -> None:
    await account.poll(record(1))
    await account.poll(record(1))
    await account.poll_body(b"[{")
    account.emulator.fault = faults.Status(status=401)
    await account.poll_again()
    await account.poll(record(1, state="freeze"))
    await account.sql.execute("update syncer.account set success_run_id = 100")
    await account.poll(record(1))

    assert watched["syncer_runs_total"] == {("applied",): 2, ("unchanged",): 1, ("failed",): 2, ("superseded",): 1}
    assert watched["syncer_failures_total"] == {("not_json",): 1, ("unauthorized",): 1}
    assert watched["syncer_run_duration_seconds_count"] == {(): 6}
    assert not any(name.endswith("_created") for name in watched.all())


def test_durations_fall_into_three_widths_and_what_is_beyond() -> None:
    metrics = Metrics()
    metrics.set_accounts(["default"])
    for seconds in (0.25, 1, 5, 60, 100):
        result = PollResult(account="default", outcome="applied", duration_seconds=seconds)
        metrics.count_poll(result, fields_changed=0, new_lookup_values={}, lateness=None)

    def told(suffix: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(
            f"syncer_run_duration_seconds_{suffix}", {"account": "default", **labels}
        )

    assert [told("bucket", le=edge) for edge in ("1.0", "10.0", "60.0", "+Inf")] == [2, 3, 4, 5]
    assert (told("sum"), told("count")) == (166.25, 5)


async def test_only_scheduled_polls_can_be_late(account: PolledAccount, watched: Watched) -> None:
    account.emulator.fault = faults.Body(body="[]")
    for seconds in (0.4, 12, 7200):
        await account.poller.poll(account.account, "schedule", lateness=timedelta(seconds=seconds))
    await account.poller.poll(account.account, "command")

    assert watched["syncer_poll_lateness_seconds_bucket"] == {("1.0",): 1, ("5.0",): 1, ("60.0",): 2, ("+Inf",): 3}
    assert watched["syncer_poll_lateness_seconds_sum"] == {(): 7212.4}
    assert watched["syncer_poll_lateness_seconds_count"] == {(): 3}


async def test_changes_are_counted_as_the_feed_of_changes_tells_them(account: PolledAccount, watched: Watched) -> None:
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

    told = set()
    for kind, run_id, number, field, redirected in await account.rows(
        "select kind, run_id, virtual_number_id, field, redirect_number_id from analytics.changes"
    ):
        # The feed has a row for each field; of what happens to a number as a whole, one is counted.
        is_of_a_field = kind in {"changed", "redirect_opened", "redirect_closed"}
        told.add((kind, run_id, number, *([field, redirected] if is_of_a_field else [])))
    assert watched["syncer_changes_total"] == Counter((kind,) for kind, *_ in told)
    assert watched["syncer_changes_total"] == {
        ("created",): 7,
        ("state",): 6,
        ("changed",): 6,
        ("removed",): 1,
        ("restored",): 1,
        ("redirect_opened",): 2,
        ("redirect_closed",): 2,
    }


async def test_words_that_nobody_had_seen_before_are_counted_once(account: PolledAccount, watched: Watched) -> None:
    await account.poll(record(1, state="parked", type="esim"), record(2, state="stolen"))
    await account.poll(record(1, state="stolen", type="esim"), record(2, state="parked"))

    assert watched["syncer_unknown_values_total"] == {("state",): 2, ("type",): 1}


async def test_the_gauges_say_what_the_views_say_and_so_does_a_process_that_was_just_started(
    account: PolledAccount, watched: Watched
) -> None:
    listed = [record(number) for number in range(1, 11)]
    await account.poll_at(T0, *listed, record(20))
    await watched.refresh()
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

    await watched.refresh()
    restarted = Watched(account)
    await restarted.refresh()

    success, held, rejected = await account.row("select last_success_at, held, rejected from analytics.freshness")
    assert (success, held, rejected) == (T0 + timedelta(minutes=5) + TICK, 3, 2)
    for process in (watched, restarted):
        assert process["syncer_last_success_timestamp_seconds"] == {(): success.timestamp()}
        assert process["syncer_held_removals"] == {(): held}
        assert process["syncer_rejected_records"] == {(): rejected}
        assert process["syncer_numbers"] == {("active",): 8, ("freeze",): 1, ("parked",): 1}
        assert process["syncer_numbers"] == {
            (state,): count
            for state, count in await account.rows("select state, count(*) from analytics.numbers group by 1")
        }
        assert process["syncer_stale_from_timestamp_seconds"] == {
            (): (T0 + timedelta(minutes=5) + 3 * timedelta(minutes=5)).timestamp()
        }


async def test_numbers_are_counted_anew_only_after_a_run_that_changed_something(
    account: PolledAccount, watched: Watched
) -> None:
    await account.poll(record(1), record(2))
    await watched.refresh()
    await account.sql.execute("update syncer.virtual_number set state = 'inactive' where virtual_number_id = 2")

    await account.poll(record(1), record(2))
    await watched.refresh()
    assert watched["syncer_numbers"] == {("active",): 2}

    await account.poll(record(1, comment="новый"), record(2))
    await watched.refresh()
    assert watched["syncer_numbers"] == {("active",): 1, ("inactive",): 1}


async def test_a_state_that_no_number_is_in_any_more_has_no_series(account: PolledAccount, watched: Watched) -> None:
    await account.poll(record(1), record(2))
    await watched.refresh()
    await account.poll(record(1, state="freeze"), record(2, state="freeze"))
    await watched.refresh()

    assert watched.all()["syncer_numbers"] == {("freeze",): 2}


async def test_the_vendor_can_invent_words_without_end_and_only_twenty_become_labels(
    account: PolledAccount, watched: Watched
) -> None:
    await account.poll(*(record(number, state=f"word {number:03}") for number in range(100, 200)), record(1))
    await watched.refresh()
    words = {(f"word {number}",): 1.0 for number in range(100, 120)}
    assert watched["syncer_numbers"] == {("active",): 1, **words, ("other",): 80}

    # Of another account comes a word that the alphabet puts before them: it takes the place of the last one.
    await account.sql.execute("insert into syncer.number_state (state, documented) values ('aaa', false)")
    await watched.refresh()
    del words["word 119",]
    assert watched["syncer_numbers"] == {("active",): 1, **words, ("other",): 81}


async def test_what_was_true_of_the_present_is_no_longer_told_when_the_database_has_been_silent_for_long(
    account: PolledAccount, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await account.poll(record(1))
    await watched.refresh()
    present = {"syncer_numbers", "syncer_held_removals", "syncer_rejected_records"}
    before = watched.all()

    monkeypatch.setattr("syncer.telemetry.metrics.MAX_GAUGE_AGE_SECONDS", 0.0)

    assert before.keys() - watched.all().keys() == present


async def test_a_clock_that_was_put_back_shows_until_it_has_caught_up(account: PolledAccount, watched: Watched) -> None:
    await account.poll_at(T0, record(1))
    await account.set_clock(T0 - timedelta(hours=1))
    await watched.refresh()
    assert watched["syncer_clock_behind_seconds"] == {(): 3600.000001}

    await account.set_clock(T0 + timedelta(seconds=1))
    await watched.refresh()
    assert watched["syncer_clock_behind_seconds"] == {}


async def test_an_account_that_leaves_takes_its_series_along_even_if_its_last_poll_ends_later(
    account: PolledAccount, watched: Watched
) -> None:
    await account.poll(record(1))
    await watched.refresh()
    watched.metrics.set_accounts(["default", "second"])
    assert watched["syncer_runs_total"] == {("applied",): 1}
    both = generate_latest(watched.metrics.registry).decode()
    assert both.count('"second"') == both.count('"default"') - 5  # of which the database said nothing yet

    watched.metrics.set_accounts(["second"])
    await account.poll(record(1, state="freeze"))

    assert 'account="default"' not in generate_latest(watched.metrics.registry).decode()
    watched.metrics.set_accounts(["default", "second"])
    assert watched["syncer_runs_total"] == {}


async def test_no_phone_number_and_no_token_is_told(account: PolledAccount, watched: Watched) -> None:
    await account.poll(record(1, number="79208547433", comment="секрет", state="parked"), record(2, state=None))
    account.emulator.fault = faults.Status(status=401)
    await account.poll_again()
    await watched.refresh()

    told = generate_latest(watched.metrics.registry).decode()

    assert 'state="parked"' in told
    for secret in ("79208547433", "секрет", account.account.token.get_secret_value() + '"'):
        assert secret not in told


def polled(**schedule: Any) -> Account:
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


def test_an_account_is_stale_when_three_of_its_moments_have_passed_without_a_success() -> None:
    assert stale_from(polled(), T0) == T0 + timedelta(minutes=15)
    assert stale_from(polled(poll_interval=timedelta(hours=6)), T0) == T0 + timedelta(hours=18)


def test_an_account_that_rests_at_the_weekend_does_not_grow_stale_by_it() -> None:
    resting = polled(poll_cron="*/10 8-20 * * 1-5")
    friday = datetime(2026, 3, 6, 20, 50, 7, tzinfo=ZoneInfo("Europe/Moscow"))
    assert stale_from(resting, friday) == datetime(2026, 3, 9, 8, 20, tzinfo=ZoneInfo("Europe/Moscow"))
    monday = datetime(2026, 3, 9, 8, 0, tzinfo=ZoneInfo("Europe/Moscow"))
    assert stale_from(resting, monday) == datetime(2026, 3, 9, 8, 30, tzinfo=ZoneInfo("Europe/Moscow"))
