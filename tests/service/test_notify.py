"""`syncer notify`, and what `syncer sync` and `syncer run` send."""

from __future__ import annotations

import json
import re
import signal
import textwrap
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from aiohttp import web

from tests.builders import record
from tests.receiver import Receiver
from tests.service.processes import TOKEN, database_line, wait_until
from tests.service.scenarios import run_concurrently
from tests.service.test_sync import FIELDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from syncer.emulator import Emulator
    from tests.builders import PolledAccount
    from tests.service.processes import Finished, Program

SECRET = "whsec_" + "c2VjcmV0" * 4
T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
"""10:00 in the account's zone, on a Monday."""
NOWHERE = "http://127.0.0.1:1/hook"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that accepts everything."""
    async with Receiver() as running:
        yield running


def channel(name: str, url: str, *more: str) -> str:
    """Returns the table of a webhook."""
    keys = [f'name = "{name}"', 'kind = "webhook"', f'url = "{url}"', f'secret = "{SECRET}"', *more]
    return "\n".join(["[[channel]]", *keys, ""])


def rule(name: str, *more: str, channels: str = "duty") -> str:
    """Returns the table of a rule."""
    return "\n".join(["[[rule]]", f'name = "{name}"', f'channels = ["{channels}"]', *more, ""])


def notify_file(syncer: Program, url: str, *more: str) -> str:
    """Writes a notify file with the channel `duty` and the rule `locks`, and more keys of that rule."""
    return syncer.write("notify.toml", channel("duty", url, 'language = "en"') + rule("locks", *more))


async def test_what_happened_since_the_rule_is_there_is_sent_once(
    syncer: Program, receiver: Receiver, account: PolledAccount, database: str
) -> None:
    file = notify_file(syncer, receiver.url)
    await account.poll(record(1), record(2))

    first = await syncer.run("notify", notify_file=file)
    await account.poll(record(1, state="debt_lock"), record(2))
    second, third = [await syncer.run("notify", notify_file=file) for _ in range(2)]

    assert [one.result for one in (first, second, third)] == [
        (0, "nothing to send\n"),
        (0, "1 message sent\n"),
        (0, "nothing to send\n"),
    ]
    assert [first.err, third.err] == [database_line(database)] * 2
    logged, named = second.err.splitlines()
    assert (json.loads(logged)["event"], named + "\n") == ("notice_sent", database_line(database))
    assert [message.counts for message in receiver.requests] == [{"locked": 1}]


async def test_a_message_that_fails_is_refused_or_is_too_old_exits_with_1(
    syncer: Program, receiver: Receiver, account: PolledAccount
) -> None:
    file = notify_file(syncer, receiver.url, 'events = ["locked", "unlocked"]')
    await account.poll_at(T0, record(1), record(2))
    await syncer.run("notify", notify_file=file)
    receiver.answers = [500, 410, 500]

    async def notify_at(moment: timedelta, *records: Any) -> tuple[int, str]:
        if records:
            await account.poll_at(T0 + moment, *records)
        await account.set_clock(T0 + moment)
        return (await syncer.run("notify", notify_file=file)).result

    hour, day = timedelta(hours=1), timedelta(days=1)
    locked, unlocked = (record(1, state="debt_lock"), record(2)), (record(1), record(2))
    assert await notify_at(hour, *locked) == (1, "1 message failed; still waiting: 1 message\n")
    assert await notify_at(hour) == (0, "nothing to send; still waiting: 1 message\n")
    assert await notify_at(2 * hour) == (1, "1 message refused for good\n")
    assert await notify_at(3 * hour, *unlocked) == (1, "1 message failed; still waiting: 1 message\n")
    assert await notify_at(3 * hour + 2 * day) == (1, "1 message not sent in time\n")
    assert await notify_at(4 * hour + 2 * day) == (0, "nothing to send\n")
    assert len({request.id for request in receiver.requests}) == 2


async def test_no_phone_number_and_no_secret_is_in_the_tables_of_notices_or_in_the_output(
    syncer: Program, receiver: Receiver, account: PolledAccount
) -> None:
    file = notify_file(syncer, f"{receiver.url}?key=s3cr3t-k3y")
    await account.poll(record(1), record(2))
    await syncer.run("notify", notify_file=file)
    await account.poll(record(1, state="debt_lock", reason="call 79000000009"), record(2))
    repeated = f"{SECRET} s3cr3t-k3y 79000000001 +7 900 000-00-01 call 79000000009"
    receiver.answers = [web.Response(status=500, text=repeated)]

    failed = await syncer.run("notify", notify_file=file)

    assert failed.result == (1, "1 message failed; still waiting: 1 message\n")
    assert json.loads(receiver.requests[0].body)["data"]["events"][0]["number"] == "79000000001"
    stored = [
        text
        for table in ("notice", "notice_cursor", "account_condition")
        for (text,) in await account.rows(f"select t::text from syncer.{table} t")  # noqa: S608 - ours
    ]
    assert len(stored) == 2
    for text in [*stored, failed.out, failed.err]:
        assert re.search(r"s3cr3t|whsec_|7900000000\d|000-00-01|debt_lock|call", text) is None


async def test_channels_are_tested_without_a_database_and_without_a_token(syncer: Program, receiver: Receiver) -> None:
    content = channel("duty", receiver.url) + channel("night", receiver.url) + channel("gone", NOWHERE)
    file = syncer.write("notify.toml", content + rule("locks"))
    without = {"notify_file": file, "database_url": None, "api_token": None, "embedded": "off"}

    chosen = await syncer.run("notify", "--test", "--channel", "night", "--channel", "night", **without)
    receiver.answers = [500]
    failed = await syncer.run("notify", "--test", "--channel", "duty", **without)
    every = await syncer.run("notify", "--test", **without)
    unknown = await syncer.run("notify", "--test", "--channel", "day", **without)

    assert [json.loads(request.body)["type"] for request in receiver.requests] == ["test"] * 4
    assert without_seconds(chosen) == (0, ["night: accepted (HTTP 200) in S s"])
    peer = receiver.url.removeprefix("http://").partition("/")[0]
    assert without_seconds(failed) == (1, [f"duty: not accepted (HTTP 500) in S s: {peer} answered 500"])
    assert without_seconds(every) == (
        1,
        [
            "duty: accepted (HTTP 200) in S s",
            (
                "gone: not accepted in S s: cannot connect to 127.0.0.1:1 (Connection refused): check the address, the "
                "network and the firewall"
            ),
            "night: accepted (HTTP 200) in S s",
        ],
    )
    assert [one.err for one in (chosen, failed, every)] == [""] * 3
    assert (unknown.code, unknown.error_line()) == (
        2,
        "syncer: --channel 'day' is not in the notify file; its channels are duty, gone and night",
    )


def without_seconds(finished: Finished) -> tuple[int, list[str]]:
    """Returns the exit code and the lines, sorted and without how long it took."""
    return finished.code, sorted(re.sub(r" in \d+\.\d\d s", " in S s", finished.out).splitlines())


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            """\
            2026-03-02 10:05:00 Europe/Moscow  locks → duty
                default: 1 number locked for debt, between 10:00 and 10:05
                1 number locked for debt, between 10:00 and 10:05:
                • NUMBER: “debt of 100”

                Account: default. Rule: locks. Time zone: Europe/Moscow.
            """,
        ),
        (
            "ru",
            """\
            2026-03-02 10:05:00 Europe/Moscow  locks → duty
                default: заблокирован за долг 1 номер, между 10:00 и 10:05
                Заблокирован за долг 1 номер, между 10:00 и 10:05:
                • NUMBER: «debt of 100»

                Личный кабинет: default. Правило: locks. Часовой пояс: Europe/Moscow.
            """,
        ),
    ],
)
async def test_a_dry_run_prints_what_would_have_been_sent_and_writes_and_sends_nothing(
    syncer: Program,
    receiver: Receiver,
    account: PolledAccount,
    sql: asyncpg.Connection,
    database: str,
    language: str,
    expected: str,
) -> None:
    content = channel("duty", receiver.url, f'language = "{language}"') + rule("locks")
    file = syncer.write("notify.toml", content)
    await account.poll_at(T0, record(1), record(2))
    await account.poll_at(T0 + timedelta(minutes=5), record(1, state="debt_lock", reason="debt of 100"), record(2))
    await account.set_clock(T0 + timedelta(days=2))

    shown = await syncer.run("notify", "--dry-run", "--since", "7d", notify_file=file)
    too_short = await syncer.run("notify", "--dry-run", "--since", "1d", notify_file=file)

    number = "+7\u00a0900\u00a0000-00-01"
    assert shown.result == (0, textwrap.dedent(expected).replace("NUMBER", number) + "\n")
    assert too_short.result == (0, "")
    summary = "about changes of numbers; nothing was sent\n"
    assert shown.err == f"1 message {summary}{database_line(database)}"
    assert too_short.err == f"0 messages {summary}{database_line(database)}"
    assert receiver.requests == []
    assert await sql.fetchval("select count(*) from syncer.notice_cursor") == 0
    assert await sql.fetchval("select count(*) from syncer.notice") == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--since", "7d"], "--since: it only goes with --dry-run"),
        (["--channel", "duty"], "--channel: it only goes with --test"),
        (["--test", "--dry-run"], "--dry-run: it does not go with --test"),
        (
            ["--dry-run", "--since", "soon"],
            "--since: 'soon': it must be a duration of at least 1m, such as 12h or 7d",
        ),
    ],
)
async def test_options_that_do_not_go_together_are_a_usage_error(
    syncer: Program, arguments: list[str], error: str
) -> None:
    finished = await syncer.run("notify", *arguments, notify_file=notify_file(syncer, NOWHERE))

    assert finished.code == 2
    assert finished.err.splitlines()[-1] == f"Error: Invalid value for {error}"


@pytest.mark.parametrize("arguments", [[], ["--test"], ["--dry-run"]])
async def test_without_a_notify_file_the_command_says_which_setting_names_it(
    syncer: Program, arguments: list[str]
) -> None:
    finished = await syncer.run("notify", *arguments)

    assert finished.code == 2
    assert finished.error_line() == (
        "syncer: SYNCER_NOTIFY_FILE is not set: name a TOML file with the rules and channels of notices in it"
    )


@pytest.mark.parametrize("command", ["run", "sync", "notify"])
async def test_a_wrong_notify_file_exits_with_2_and_all_its_problems(
    syncer: Program, emulator: Emulator, command: str
) -> None:
    content = channel("duty", "example.org") + rule("locks", 'events = ["lock"]', channels="dutty")
    file = syncer.write("notify.toml", content)

    finished = await syncer.run(command, notify_file=file)

    assert (finished.code, finished.out) == (2, "")
    assert finished.err.splitlines() == [
        (
            f"syncer: {file}, channel 'duty': url has an invalid value, which is not shown: it must be an address such "
            "as https://example.org/hook, with no fragment"
        ),
        (
            f"syncer: {file}, rule 'locks': channels has 'dutty': no channel of this file has this name; did you mean "
            "'duty'?"
        ),
        f"syncer: {file}, rule 'locks': events has 'lock': no event has this name; did you mean 'locked'?",
    ]
    assert emulator.requests == {}


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
async def test_a_database_without_the_schema_is_one_sentence(
    syncer: Program, empty_database: str, arguments: list[str]
) -> None:
    file = notify_file(syncer, NOWHERE)

    finished = await syncer.run("notify", *arguments, notify_file=file, database_url=empty_database)

    assert finished.code == 1
    place = database_line(empty_database).removeprefix("database: ").rstrip()
    assert finished.error_line() == (
        f"syncer: the database has no schema of syncer yet: run `syncer migrate` (database: {place})"
    )


async def test_sync_sends_at_its_end_and_prints_and_exits_as_without_a_notify_file(
    syncer: Program, emulator: Emulator, receiver: Receiver, sql: asyncpg.Connection
) -> None:
    file = notify_file(syncer, receiver.url)

    first = await syncer.run("sync", notify_file=file)
    emulator.fleet(TOKEN).change_fraction(0.05)
    second = await syncer.run("sync", "--json", notify_file=file)
    assert len(receiver.requests) == 1
    receiver.answer = 500
    emulator.fleet(TOKEN).change_fraction(0.05)
    third = await syncer.run("sync", notify_file=file)
    emulator.fleet(TOKEN).change_fraction(0.05)
    fourth = await syncer.run("sync", notify_file=notify_file(syncer, NOWHERE))

    assert [one.code for one in (first, second, third, fourth)] == [0] * 4
    (line,) = second.out.splitlines()
    assert list(json.loads(line)) == FIELDS
    for one in (third, fourth):
        assert re.fullmatch(r"default: applied: 200 received, 10 changed, 190 unchanged.*\n", one.out)
    assert [json.loads(line)["event"] for line in third.err.splitlines()][-1] == "notice_failed"
    assert await sql.fetchval("select count(*) from analytics.notifications where outcome = 'sent'") == 1


@run_concurrently
async def test_sync_waits_ten_seconds_for_a_receiver_that_hangs_and_succeeds(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    async with Receiver() as receiver:
        receiver.answer = None
        file = notify_file(syncer, receiver.url)
        await syncer.run("sync", notify_file=file)
        emulator.fleet(TOKEN).change_fraction(0.05)
        started = time.monotonic()
        finished = await syncer.run("sync", notify_file=file)
        seconds = time.monotonic() - started

        assert len(receiver.requests) == 1
    assert finished.code == 0
    assert re.fullmatch(r"default: applied: 200 received, 10 changed, 190 unchanged.*\n", finished.out)
    assert json.loads(finished.err.splitlines()[-1]).items() >= {"event": "notices_not_finished", "seconds": 10}.items()
    assert 10 <= seconds < 20
    # The lease goes on: nobody knows whether the message has arrived.
    assert await sql.fetchval("select lease_until > clock_timestamp() from syncer.notice where outcome = 'waiting'")


@pytest.mark.parametrize(
    ("disturbance", "expected"),
    [
        (
            "alter table syncer.notice_cursor rename to gone",
            (
                "notices_not_finished",
                'database: relation "syncer.notice_cursor" does not exist; check the server\'s log',
            ),
        ),
        ("update syncer.notice set events = '5', due_at = now()", ("notifier_crashed", None)),
    ],
    ids=["an error of the database", "a bug"],
)
async def test_a_fault_with_the_notices_is_logged_and_hides_no_result_of_sync(
    syncer: Program,
    emulator: Emulator,
    receiver: Receiver,
    sql: asyncpg.Connection,
    disturbance: str,
    expected: tuple[str, str | None],
) -> None:
    file = notify_file(syncer, receiver.url)
    await syncer.run("sync", notify_file=file)
    receiver.answer = 500
    emulator.fleet(TOKEN).change_fraction(0.05)
    await syncer.run("sync", notify_file=file)
    await sql.execute(disturbance)

    emulator.fleet(TOKEN).change_fraction(0.05)
    finished = await syncer.run("sync", notify_file=file)

    assert finished.code == 0
    assert re.fullmatch(r"default: applied: 200 received, 10 changed, 190 unchanged.*\n", finished.out)
    event = json.loads(finished.err.splitlines()[-1])
    assert (event["event"], event.get("error")) == expected


@run_concurrently
async def test_sighup_takes_another_notify_file_and_a_wrong_one_changes_nothing_and_logs_one_line(
    syncer: Program, emulator: Emulator, sql: asyncpg.Connection
) -> None:
    async def follows(*rules: str) -> bool:
        names = await sql.fetch("select rule from syncer.notice_cursor where retired_at is null order by 1")
        return [name for (name,) in names] == list(rules)

    async with Receiver() as receiver:
        duty = channel("duty", receiver.url)
        file = syncer.write("notify.toml", duty + rule("first"))
        daemon = await syncer.start("run", notify_file=file, poll_interval="1s")
        await wait_until(lambda: follows("first"))

        syncer.write("notify.toml", duty + rule("second"))
        daemon.send(signal.SIGHUP)
        await daemon.wait_for_event("accounts_reloaded")
        await wait_until(lambda: follows("second"))
        emulator.fleet(TOKEN).change_fraction(0.05)
        await wait_until(lambda: len(receiver.requests) == 1)

        syncer.write("notify.toml", duty + rule("third", channels="dutty"))
        daemon.send(signal.SIGHUP)
        event = await daemon.wait_for_event("accounts_not_reloaded", level="error")
        emulator.fleet(TOKEN).change_fraction(0.05)
        await wait_until(lambda: len(receiver.requests) == 2)

        assert [request.data["rule"] for request in receiver.requests] == ["second"] * 2
        assert event["error"] == (
            f"{file}, rule 'third': channels has 'dutty': no channel of this file has this name; did you mean 'duty'?"
        )
        assert len(daemon.events("accounts_not_reloaded")) == 1
        assert await follows("second")
        assert (await daemon.stop(within=10)).code == 0


async def test_the_daemons_login_may_do_all_of_it_and_an_analyst_nothing(
    syncer: Program, emulator: Emulator, receiver: Receiver, sql: asyncpg.Connection, database: str
) -> None:
    file = notify_file(syncer, receiver.url)
    await syncer.run("sync")
    async with login(sql, database, "syncer_daemon") as address:
        as_daemon = {"database_url": address, "notify_file": file, "migrate_on_start": "false"}
        first = await syncer.run("sync", **as_daemon)
        emulator.fleet(TOKEN).change_fraction(0.05)
        second = await syncer.run("sync", **as_daemon)
        emulator.fleet(TOKEN).change_fraction(0.05)
        await syncer.run("sync")
        third = await syncer.run("notify", **as_daemon)
        fourth = await syncer.run("notify", "--dry-run", **as_daemon)
        assert [one.code for one in (first, second, third, fourth)] == [0] * 4
        assert third.out == "1 message sent\n"
        assert fourth.err.splitlines()[0] == "2 messages about changes of numbers; nothing was sent"
    assert len(receiver.requests) == 2
    async with login(sql, database, "syncer_analyst") as address:
        as_analyst = {"database_url": address, "notify_file": file, "migrate_on_start": "false"}
        refused = [await syncer.run("notify", *more, **as_analyst) for more in ([], ["--dry-run"])]
    place = database_line(database).removeprefix("database: ").rstrip()
    denied = "permission denied for schema syncer; let an administrator grant what is missing"
    assert [(one.code, one.error_line()) for one in refused] == [(1, f"syncer: database: {denied} ({place})")] * 2
    assert len(receiver.requests) == 2


@asynccontextmanager
async def login(sql: asyncpg.Connection, database: str, role: str) -> AsyncIterator[str]:
    """Yields the address of the database for a new login with a role."""
    name = f"notify_{role}"
    await sql.execute(f"create role {name} login password 'passw0rd' in role {role}")
    place = database.rpartition("@")[2].split("/")[0]
    yield urlunsplit(urlsplit(database)._replace(netloc=f"{name}:passw0rd@{place}"))
    await sql.execute(f"drop role {name}")
