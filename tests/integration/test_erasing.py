"""Erasing a number: nothing that says whose it is stays, its history keeps its shape, and it is not stored again."""

from __future__ import annotations

import asyncio
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from syncer.embedded.programs import find_binaries
from syncer.emulator import Emulator, faults
from syncer.store.erasures import erasing, lift_erasure, list_erasures
from syncer.store.queries.number_search import spellings
from tests.builders import PolledAccount, record, redirect, settings_for, without
from tests.integration.test_restore import dump, restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.store.engine import Engine
    from syncer.store.erasures import Erasure

PERSONAL_DATA = Path(__file__).parents[2] / "docs" / "personal-data.md"
T0 = datetime(2026, 3, 2, 7, tzinfo=UTC)
NUMBER = "79261234567"
TEN_DIGITS = NUMBER[1:]
OTHER = "79269999999"
OTHERS = [record(id_) for id_ in range(10, 20)]
SHAPE = {
    "days": "select * from analytics.daily_states",
    "flows": "select * from analytics.daily_flows",
    "states": "select * from syncer.state_history",
    "runs": "select * from syncer.sync_run",
    "periods": "select virtual_number_id, state, reason, state_since from syncer.virtual_number",
}


def personal(**fields: Any) -> dict[str, Any]:
    """Number 1, with all that is personal."""
    return record(
        1,
        **{
            "number": NUMBER,
            "comment": "Иванов, личный",
            "employee_id": 125,
            "dgn_number": "74951234567",
            "redirect_number": "79031112233",
            "sip_uri": f"sip:{NUMBER}@example.org",
            "from_redirect_numbers": [redirect(7, "79051112233"), redirect(7, "79051112234")],
            "owner": "Иванов",
        }
        | fields,
    )


def mentioning() -> list[dict[str, Any]]:
    """Numbers that mention number 1: in each column that can."""
    return [
        record(2, from_redirect_numbers=[redirect(1, NUMBER), redirect(1, OTHER)]),
        record(3, dgn_number=NUMBER),
        record(4, redirect_number=NUMBER),
        record(5, comment=f"см. {NUMBER}, {OTHER}"),
        record(6, note={"of": [NUMBER]}),
        without(record(8, comment=NUMBER), "number"),
    ]


async def erase(account: PolledAccount, number: str = NUMBER, *, confirmed: bool = True) -> dict[str, int]:
    """Erases a number as the command does: in all its spellings."""
    async with erasing(account.engine, 1, confirmed=confirmed) as eraser:
        await eraser.erase_number(*spellings(number), reason="a request")
    return eraser.rows


async def erase_again(account: PolledAccount, erasures: Iterable[Erasure]) -> None:
    """Erases what was erased after the backup that was restored, as `syncer erase --again` does."""
    for one in erasures:
        async with erasing(account.engine, 1, confirmed=True) as eraser:
            await eraser.erase_again(one)


def dumped(database: str) -> str:
    """Everything that a backup has."""
    command = [str(find_binaries() / "pg_dump"), "--data-only", database]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # The first is random, and a sequence goes on though a transaction is rolled back.
    return "\n".join(line for line in text.splitlines() if "restrict " not in line and "setval" not in line)


async def shape(account: PolledAccount) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sorted(await account.rows(query), key=repr) for name, query in SHAPE.items()}


async def poll_some_history(account: PolledAccount) -> None:
    """Number 1 is listed, is locked, has another comment, is removed and returns; others mention it."""
    account.poller = account.poller
    steps: list[Sequence[Any]] = [
        [personal(), *mentioning(), *OTHERS],
        [personal(state="debt_lock"), *mentioning(), *OTHERS],
        [personal(comment="Петров", number=OTHER), *OTHERS, *mentioning()],
        [personal(), *mentioning(), *OTHERS],
        [*mentioning(), *OTHERS],
        [personal(from_redirect_numbers=[redirect(7, "79051112233")]), *mentioning(), *OTHERS],
    ]
    for day, records in enumerate(steps):
        await account.poll_at(T0 + timedelta(days=day), *records)


async def test_nothing_of_an_erased_number_is_in_a_backup_and_history_keeps_its_shape(
    account: PolledAccount, database: str
) -> None:
    await poll_some_history(account)
    before, text = await shape(account), dumped(database)
    for secret in (NUMBER, "Иванов", "Петров", "79031112233", "79051112234", "74951234567"):
        assert secret in text

    rows = await erase(account)

    assert set(rows) == {
        "syncer.virtual_number",
        "syncer.virtual_number_history",
        "syncer.virtual_number_redirect",
        "syncer.virtual_number_redirect_history",
        "syncer.rejected_record",
    }
    text = dumped(database)
    for secret in (NUMBER, "Иванов", "Петров", "79031112233", "79051112234", "74951234567"):
        assert secret not in text, secret
    assert await shape(account) == before
    assert await account.broken_invariants() == []
    assert await account.row(
        "select number, comment, employee_id, dgn_number, redirect_number, sip_uri, extra::text, state "
        "from syncer.virtual_number where virtual_number_id = 1"
    ) == ("erased-1", None, None, None, None, None, "{}", "active")


async def test_what_was_erased_stays_erased_though_the_vendor_goes_on_listing_it(
    account: PolledAccount, database: str
) -> None:
    await poll_some_history(account)
    await erase(account)
    again = [personal(from_redirect_numbers=[redirect(7, "79051112233")]), *mentioning(), *OTHERS]

    assert (await account.poll(*again)).outcome == "unchanged"
    account.restart()
    locked = personal(state="debt_lock", comment="Сидоров", from_redirect_numbers=[redirect(7, "79051112233")])
    result = await account.poll(locked, *mentioning(), *OTHERS, record(30, number=NUMBER, comment="Сидоров"))
    assert (result.changed, result.state_changes, result.created) == (1, 1, 1)
    changed = [dict(one, comment=f"{one['comment']} {NUMBER}") for one in mentioning()]
    await account.poll(locked, *changed, *OTHERS, record(30, number=NUMBER, comment="Сидоров"))
    only_comment = personal(state="debt_lock", comment="Козлов", from_redirect_numbers=[redirect(7, "79051112233")])
    result = await account.poll(only_comment, *changed, *OTHERS, record(30, number=NUMBER, comment="Сидоров"))
    assert (result.changed, result.outcome) == (0, "unchanged")

    text = dumped(database)
    for secret in (NUMBER, "Иванов", "Петров", "Сидоров", "Козлов"):
        assert secret not in text, secret
    assert await account.broken_invariants() == []
    assert await account.rows(
        "select virtual_number_id, number, state from syncer.virtual_number where virtual_number_id in (1, 30) "
        "order by 1"
    ) == [(1, "erased-1", "debt_lock"), (30, "erased-1", "active")]


async def test_without_yes_nothing_is_written(account: PolledAccount, database: str) -> None:
    await poll_some_history(account)
    before = dumped(database)

    assert sum((await erase(account, confirmed=False)).values()) > 10
    assert dumped(database) == before


async def test_a_number_that_nobody_has_is_not_remembered(account: PolledAccount) -> None:
    await poll_some_history(account)

    assert await erase(account, "70000000000") == {}
    assert await list_erasures(account.engine) == []


async def test_after_an_erasure_is_lifted_the_number_is_stored_again_and_its_past_stays_masked(
    account: PolledAccount,
) -> None:
    await account.poll(personal(), *OTHERS)
    await account.poll(personal(state="debt_lock"), *OTHERS)
    await erase(account)
    assert await lift_erasure(account.engine, 1)
    assert not await lift_erasure(account.engine, 1)

    result = await account.poll(personal(state="debt_lock"), *OTHERS)

    assert (result.outcome, result.changed) == ("applied", 1)
    assert await account.rows("select number from syncer.virtual_number where virtual_number_id = 1") == [(NUMBER,)]
    assert set(await account.rows("select number from syncer.virtual_number_history")) == {("erased-1",)}
    assert await account.broken_invariants() == []


async def test_after_an_erasure_is_lifted_other_numbers_mention_the_number_again_with_the_next_poll(
    account: PolledAccount,
) -> None:
    listed = [personal(), record(5, comment=f"см. {NUMBER}"), *OTHERS]
    await account.poll(*listed)
    await erase(account)

    assert await lift_erasure(account.engine, 1)
    await account.poll(*listed)

    assert await account.rows("select comment from syncer.virtual_number where virtual_number_id = 5") == [
        (f"см. {NUMBER}",)
    ]
    assert await account.broken_invariants() == []


async def test_numbers_removed_long_ago_are_erased_by_their_age(account: PolledAccount, database: str) -> None:
    await account.poll_at(T0, personal(), record(2), *OTHERS)
    await account.poll_at(T0 + timedelta(days=1), record(2), *OTHERS)
    await account.poll_at(T0 + timedelta(days=300), *OTHERS)
    await account.set_clock(T0 + timedelta(days=400))

    async with erasing(account.engine, 1, confirmed=True) as eraser:
        assert await eraser.erase_removed(timedelta(days=365), 1000, None) == 1
    async with erasing(account.engine, 1, confirmed=True) as eraser:
        assert await eraser.erase_removed(timedelta(days=365), 1000, None) == 0

    assert "Иванов" not in dumped(database)
    assert await account.broken_invariants() == []
    assert [(one.kind, one.virtual_number_id, one.number_hash) for one in await list_erasures(account.engine)] == [
        ("age", 1, None)
    ]


async def test_what_mentions_a_number_erased_by_its_age_stays_until_its_phone_number_is_erased(
    account: PolledAccount, database: str
) -> None:
    await account.poll_at(T0, personal(), record(2), *mentioning()[1:], *OTHERS)
    await account.poll_at(T0 + timedelta(days=1), record(2), *mentioning()[1:], *OTHERS)
    await account.set_clock(T0 + timedelta(days=1200))
    (page,) = re.findall(r"^```sql\n(.*?)```$", PERSONAL_DATA.read_text(), re.DOTALL | re.MULTILINE)
    to_erase = page.replace("now()", "syncer.clock()").replace("'head office'", "'default'")
    assert await account.rows(to_erase) == [(NUMBER,)]

    async with erasing(account.engine, 1, confirmed=True) as eraser:
        assert await eraser.erase_removed(timedelta(days=1095), 1000, None) == 1
    assert ten_digits_in(dumped(database)) == len(mentioning()[1:])
    assert await account.rows(to_erase) == []

    await erase(account)
    assert ten_digits_in(dumped(database)) == 0
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("is_in_others", [True, False])
async def test_a_restored_backup_is_erased_again_from_the_list_of_erasures(
    account: PolledAccount, database: str, tmp_path: Path, *, is_in_others: bool
) -> None:
    await account.poll(*([] if is_in_others else [personal()]), *mentioning(), *OTHERS)
    await dump(database, tmp_path / "dump")
    await erase(account)
    erasures = await list_erasures(account.engine)
    await restore(database, tmp_path / "dump")
    assert NUMBER in dumped(database)

    await erase_again(account, erasures)

    assert NUMBER not in dumped(database)
    assert await account.broken_invariants() == []


WAITING = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())"


@pytest.mark.parametrize("listed", [{"from_redirect_numbers": [redirect(1, NUMBER)]}, {"comment": f"см. {NUMBER}"}])
@pytest.mark.parametrize("is_in_backup", [True, False])
async def test_a_number_that_others_mention_stays_erased_after_an_older_backup_was_restored(
    account: PolledAccount, database: str, tmp_path: Path, listed: dict[str, Any], *, is_in_backup: bool
) -> None:
    await account.poll(record(1, **(listed if is_in_backup else {})), *OTHERS)
    await dump(database, tmp_path / "dump")
    await account.poll(record(1, **listed), *OTHERS)
    await erase(account)
    erasures = await list_erasures(account.engine)
    assert [(one.virtual_number_id, one.kind) for one in erasures] == [(None, "number")]
    await restore(database, tmp_path / "dump")

    account.restart()
    await erase_again(account, erasures)
    await account.poll(record(1, state="debt_lock", **listed), *OTHERS)

    assert NUMBER not in dumped(database)


async def test_a_poll_that_waits_for_an_erasure_stores_nothing_of_what_it_read_before(
    account: PolledAccount, database: str
) -> None:
    await account.poll(personal(), *OTHERS)
    async with erasing(account.engine, 1, confirmed=True) as eraser:
        await eraser.erase_number(NUMBER, reason=None)
        poll = asyncio.create_task(account.poll(personal(state="debt_lock", comment="Сидоров"), *OTHERS))
        while not await account.sql.fetchval(WAITING):  # noqa: ASYNC110 - the database sends no event
            await asyncio.sleep(0.01)
    result = await poll

    assert (result.outcome, result.state_changes) == ("applied", 1)
    text = dumped(database)
    assert [secret for secret in (NUMBER, "Иванов", "Сидоров") if secret in text] == []
    assert await account.broken_invariants() == []


async def test_two_erased_numbers_under_one_redirect_stay_two_redirects(account: PolledAccount) -> None:
    both = record(2, from_redirect_numbers=[redirect(7, NUMBER), redirect(7, OTHER)])
    await account.poll(both, *OTHERS)
    await erase(account)
    await erase(account, OTHER)
    account.restart()
    result = await account.poll(dict(both, state="debt_lock"), *OTHERS)

    assert (result.state_changes, result.redirects_opened, result.redirects_closed) == (1, 0, 0)
    assert await account.rows("select number from syncer.virtual_number_redirect order by 1") == [
        ("erased-1",),
        ("erased-2",),
    ]


def ten_digits_in(text: str) -> int:
    """How often the ten digits that all spellings have are in a dump, which has bytes as hexadecimal digits."""
    return text.count(TEN_DIGITS) + text.count(TEN_DIGITS.encode().hex())


SPELT = [f"8{TEN_DIGITS}", TEN_DIGITS, f"+7{TEN_DIGITS}"]


def mentioning_as(number: str) -> list[dict[str, Any]]:
    """Numbers that mention a phone number in a spelling of it: in each column that can."""
    return [
        record(2, from_redirect_numbers=[redirect(1, number), redirect(1, NUMBER), redirect(1, OTHER)]),
        record(3, dgn_number=number, redirect_number=number, sip_uri=f"sip:{number}@pbx"),
        record(4, reason=f"see {number}", state="debt_lock"),
        record(5, comment=f"см. {number}, {OTHER}"),
        record(6, note={"of": [number]}),
        without(record(8, comment=number), "number"),
    ]


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("number", SPELT)
async def test_an_erased_number_stays_erased_where_somebody_has_written_it_in_another_spelling(
    account: PolledAccount, database: str, number: str, *, is_listed: bool
) -> None:
    listed = [personal()] if is_listed else []
    await account.poll(*listed, *mentioning_as(number), *OTHERS)
    assert ten_digits_in(dumped(database)) > len(mentioning_as(number))

    await erase(account)
    assert ten_digits_in(dumped(database)) == 0
    account.restart()
    changed = [dict(one, purpose="personal") for one in mentioning_as(number)]
    result = await account.poll(*listed, *changed, *OTHERS)

    assert (result.redirects_opened, result.redirects_closed) == (0, 0)
    assert ten_digits_in(dumped(database)) == 0
    assert await account.broken_invariants() == []
    assert await account.rows(
        "select count(distinct comment), count(distinct dgn_number), count(distinct reason)"
        " from (select * from syncer.number_version where virtual_number_id between 3 and 5) as version"
    ) == [(1, 1, 1)]


@pytest.mark.parametrize("number", SPELT)
async def test_an_erased_number_stays_erased_where_it_is_first_written_in_another_spelling_afterwards(
    account: PolledAccount, database: str, number: str
) -> None:
    await account.poll(personal(), *OTHERS)
    await erase(account)

    await account.poll(personal(), *mentioning_as(number), record(30, number=number, comment="Сидоров"), *OTHERS)

    text = dumped(database)
    assert (ten_digits_in(text), "Сидоров" in text) == (0, False)
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("number", SPELT)
async def test_after_an_erasure_is_lifted_each_spelling_of_the_number_is_stored_again(
    account: PolledAccount, number: str
) -> None:
    listed = [personal(), record(5, comment=f"см. {number}"), *OTHERS]
    await account.poll(*listed)
    await erase(account)
    assert [one.erasure_id for one in await list_erasures(account.engine)] == [1]

    assert await lift_erasure(account.engine, 1)
    await account.poll(*listed)

    assert await account.rows(
        "select virtual_number_id, number, comment from syncer.virtual_number where virtual_number_id in (1, 5)"
        " order by 1"
    ) == [(1, NUMBER, "Иванов, личный"), (5, record(5)["number"], f"см. {number}")]


@pytest.mark.parametrize("number", SPELT)
async def test_a_restored_backup_is_erased_again_in_each_spelling(
    account: PolledAccount, database: str, tmp_path: Path, number: str
) -> None:
    await account.poll(personal(), *mentioning_as(number), *OTHERS)
    await dump(database, tmp_path / "dump")
    await erase(account)
    erasures = await list_erasures(account.engine)
    await restore(database, tmp_path / "dump")

    await erase_again(account, erasures)

    assert ten_digits_in(dumped(database)) == 0
    assert await account.broken_invariants() == []


async def test_a_number_is_erased_where_somebody_has_written_it_with_the_digits_of_another_script(
    account: PolledAccount, database: str
) -> None:
    arabic = NUMBER.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    await account.poll(personal(), record(5, comment=f"см. {arabic}"), *OTHERS)

    await erase(account, arabic)

    text = dumped(database)
    assert (ten_digits_in(text), arabic in text) == (0, False)


PATHS = "select virtual_number_id, target_number_id, hops, is_loop, works from analytics.redirect_paths"


@pytest.mark.parametrize("number", [NUMBER, f"8{TEN_DIGITS}", TEN_DIGITS])
async def test_calls_are_followed_through_an_erased_number_as_before_in_whichever_spelling_it_is_listed(
    account: PolledAccount, number: str
) -> None:
    through = [
        personal(number=number, from_redirect_numbers=[redirect(3, record(3)["number"])]),
        record(2, from_redirect_numbers=[redirect(1, number)]),
        record(3),
    ]
    await account.poll(*through, *OTHERS)
    paths = [(1, 2, 1, False, True), (3, 2, 2, False, True)]
    assert await account.rows(PATHS) == paths

    await erase(account)
    assert await account.rows(PATHS) == paths
    account.restart()
    await account.poll(*(dict(one, purpose="personal") for one in through), *OTHERS)

    assert await account.rows(PATHS) == paths


IN_ADDRESSES = [f"sip:{NUMBER}@pbx", f"sip:8{TEN_DIGITS}@pbx", f"{NUMBER}@pbx"]


async def test_redirects_that_have_an_erased_number_in_an_address_lose_it_and_stay_the_same_redirects(
    account: PolledAccount, database: str
) -> None:
    redirects = [redirect(1, number) for number in [*IN_ADDRESSES, NUMBER, OTHER]]
    await account.poll(record(2, from_redirect_numbers=redirects), record(3, from_redirect_numbers=redirects), *OTHERS)
    await account.poll(record(2, from_redirect_numbers=redirects), record(3), *OTHERS)

    rows = await erase(account)
    account.restart()
    result = await account.poll(
        record(2, from_redirect_numbers=redirects, state="debt_lock"), record(3, state="debt_lock"), *OTHERS
    )

    assert rows == {"syncer.virtual_number_redirect": 4, "syncer.virtual_number_redirect_history": 4}
    assert (result.state_changes, result.redirects_opened, result.redirects_closed) == (2, 0, 0)
    assert ten_digits_in(dumped(database)) == 0
    assert await account.broken_invariants() == []


@pytest.mark.parametrize("number", IN_ADDRESSES)
async def test_a_number_that_is_in_the_address_of_a_redirect_only_is_erased_and_erased_again(
    account: PolledAccount, database: str, tmp_path: Path, number: str
) -> None:
    listed = record(2, from_redirect_numbers=[redirect(1, number)])
    await account.poll(listed, *OTHERS)
    await dump(database, tmp_path / "dump")
    await erase(account)
    assert ten_digits_in(dumped(database)) == 0
    erasures = await list_erasures(account.engine)
    await restore(database, tmp_path / "dump")

    account.restart()
    await erase_again(account, erasures)
    result = await account.poll(dict(listed, state="debt_lock"), *OTHERS)

    assert (result.redirects_opened, result.redirects_closed) == (0, 0)
    assert ten_digits_in(dumped(database)) == 0


@pytest.mark.parametrize("role", ["syncer_daemon", "syncer_analyst"])
async def test_nobody_but_the_owner_can_erase_even_with_its_setting(account: PolledAccount, role: str) -> None:
    await account.poll(personal(), *OTHERS)
    await account.poll(personal(state="debt_lock"), *OTHERS)
    await account.sql.execute(f"set role {role}; set syncer.erasing = 'on'")
    for statement in (
        "update syncer.virtual_number_history set comment = null",
        "delete from syncer.virtual_number_history",
        "update syncer.state_history set reason = null",
        "insert into syncer.erasure (account_id, kind, erased_at, erased_by, rows) values (1, 'age', now(), '', '{}')",
        "update syncer.erasure set lifted_at = now()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await account.sql.execute(statement)


async def test_the_owner_cannot_change_history_without_saying_that_it_erases(account: PolledAccount) -> None:
    await account.poll(personal(), *OTHERS)
    await account.poll(personal(state="debt_lock"), *OTHERS)
    for statement in (
        "update syncer.virtual_number_history set comment = null",
        "update syncer.virtual_number set comment = null where virtual_number_id = 1",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await account.sql.execute(statement)


@pytest.mark.timeout(240)
async def test_through_a_hundred_polls_of_a_living_account_nothing_of_an_erased_number_comes_back(
    engine: Engine, database: str, sql: asyncpg.Connection[Any]
) -> None:
    async with (
        Emulator(numbers=60, seed=7) as emulator,
        PolledAccount(engine, emulator, sql, settings_for(emulator)) as account,
    ):
        await account.poll_again()
        number = await sql.fetchval("select min(number) from syncer.virtual_number")
        for step in range(100):
            if step == 20:
                before = await shape(account)
                await erase(account, number)
                after = await shape(account)
                # Until the next poll, the durations of today grow.
                assert {name for name in SHAPE if after[name] != before[name]} <= {"flows"}
            emulator.fleet("token").change_fraction(0.1)
            account.emulator.fault = faults.BrokenRecords(count=5) if step % 7 == 0 else faults.Healthy()
            if step % 10 == 0:
                account.restart()
            await account.poll_again()
            if step > 20 and step % 10 == 0:
                assert number not in dumped(database)
        assert await account.broken_invariants() == []
