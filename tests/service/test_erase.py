"""`syncer erase` and `syncer erasures`: what they print, and whom they obey."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.bi.test_names import moscow, store_names
from tests.builders import record, redirect

if TYPE_CHECKING:
    from pathlib import Path

    from tests.builders import PolledAccount
    from tests.service.processes import Program

NUMBER = "79261234567"
ERASED = (
    "erased, and not stored again (erasure 2); backups, replicas, exported files and messages that were sent still "
    "have it: see docs/personal-data.md\n"
)
ROWS = "           1  syncer.virtual_number\n           1  syncer.virtual_number_redirect\n"


async def poll(account: PolledAccount) -> None:
    await account.poll(
        record(1, number=NUMBER, comment="Иванов", from_redirect_numbers=[redirect(7, "79051112233")]), record(2)
    )


async def test_a_number_is_erased_once_it_is_confirmed_and_found_in_any_spelling(
    account: PolledAccount, syncer: Program
) -> None:
    await poll(account)

    planned = await syncer.run("erase", "--account", "default", "--number", "+7 926 123-45-67")
    assert planned.result == (2, ROWS)
    assert planned.err.splitlines()[-1].startswith(
        "syncer: nothing was erased: to mask these rows for good, add --yes (database: "
    )
    assert await account.rows("select comment from syncer.virtual_number where virtual_number_id = 1") == [("Иванов",)]

    done = await syncer.run(
        "erase", "--account", "default", "--number", "8 (926) 123-45-67", "--reason", "a request", "--yes"
    )
    assert done.result == (0, ROWS + ERASED)

    listed = await syncer.run("erasures")
    assert listed.code == 0
    assert listed.out.startswith("2  ")
    assert listed.out.endswith("  default: number with id 1, 2 rows, by postgres: a request\n")
    (line,) = (await syncer.run("erasures", "--json")).out.splitlines()
    found = json.loads(line)
    assert (found["account"], found["virtual_number_id"], found["rows"]) == (
        "default",
        1,
        {"syncer.virtual_number": 1, "syncer.virtual_number_redirect": 1},
    )
    assert NUMBER not in line

    again = await syncer.run("erase", "--account", "default", "--number", NUMBER, "--yes")
    assert (again.code, again.err.splitlines()[0]) == (3, "the account has nothing of this number")
    assert (await syncer.run("check", "--data")).out.splitlines()[-1] == "ok     data: every invariant holds"


async def test_the_statistics_of_the_database_have_nothing_of_an_erased_number(
    account: PolledAccount, syncer: Program
) -> None:
    await poll(account)
    statistics = "select count(*) from pg_stats where pg_stats::text like '%' || $1 || '%'"
    await account.sql.execute("analyze")
    assert (await account.row(statistics, NUMBER))[0] > 0

    await syncer.run("erase", "--account", "default", "--number", NUMBER, "--yes")

    assert await account.row(statistics, NUMBER) == (0,)


async def test_an_erasure_is_lifted_by_its_id(account: PolledAccount, syncer: Program) -> None:
    await poll(account)
    await syncer.run("erase", "--account", "default", "--number", NUMBER, "--yes")

    lifted = await syncer.run("erasures", "--lift", "1")
    assert lifted.result == (
        0,
        "erasure 1: what the vendor lists is stored again from the next poll on; the past stays masked\n",
    )
    assert "stored again since" in (await syncer.run("erasures")).out
    assert (
        (await syncer.run("erasures", "--lift", "1"))
        .error_line()
        .startswith("syncer: there is no erasure 1 that is in force: `syncer erasures` lists them")
    )
    await poll(account)
    assert await account.rows("select number from syncer.virtual_number where virtual_number_id = 1") == [(NUMBER,)]


async def test_numbers_removed_long_ago_are_erased_by_their_age(account: PolledAccount, syncer: Program) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    await account.poll_at(long_ago, record(1, comment="Иванов"), *(record(id_) for id_ in range(10, 20)))
    await account.poll_at(long_ago + timedelta(days=1), *(record(id_) for id_ in range(10, 20)))
    await account.set_clock(None)

    planned = await syncer.run("erase", "--account", "default", "--removed-before", "365d")
    assert planned.code == 2
    assert "to mask these rows of 1 number, add --yes" in planned.err
    done = await syncer.run("erase", "--account", "default", "--removed-before", "365d", "--yes")
    assert (done.code, done.out.splitlines()[-1].partition(";")[0]) == (0, "1 number erased")
    done = await syncer.run("erase", "--account", "default", "--removed-before", "365d", "--yes")
    assert done.result == (0, "0 numbers erased\n")


async def test_a_list_of_erasures_is_erased_again(account: PolledAccount, syncer: Program, tmp_path: Path) -> None:
    await poll(account)
    await syncer.run("erase", "--account", "default", "--number", NUMBER, "--yes")
    (tmp_path / "erasures").write_text((await syncer.run("erasures", "--json")).out)

    assert (await syncer.run("erase", "--again", str(tmp_path / "erasures"))).result == (0, "0 erasures made again\n")
    (tmp_path / "erasures").write_text("{}")
    wrong = await syncer.run("erase", "--again", str(tmp_path / "erasures"))
    assert wrong.code == 2
    assert "it must be what `syncer erasures --json` has printed" in wrong.err


async def test_a_list_of_erasures_that_cannot_be_read_is_a_wrong_option(
    account: PolledAccount, syncer: Program, tmp_path: Path
) -> None:
    await account.poll(record(1))
    missing = await syncer.run("erase", "--again", str(tmp_path / "missing"))
    folder = await syncer.run("erase", "--again", str(tmp_path))
    assert (missing.code, "it cannot be read (No such file or directory)" in " ".join(missing.err.split())) == (2, True)
    assert (folder.code, "it cannot be read (Is a directory)" in " ".join(folder.err.split())) == (2, True)


async def test_a_list_of_erasures_with_an_id_that_cannot_be_stored_is_a_wrong_option(
    account: PolledAccount, syncer: Program, tmp_path: Path
) -> None:
    await account.poll(record(1, employee_id=125))
    await syncer.run("erase", "--account", "default", "--employee", "125", "--yes")
    line = (await syncer.run("erasures", "--json")).out
    (tmp_path / "erasures").write_text(line.replace('"employee_id":125', f'"employee_id":{2**63}'))

    wrong = await syncer.run("erase", "--again", str(tmp_path / "erasures"))

    assert (wrong.code, "`$.employee_id`" in wrong.err) == (2, True)


async def test_an_employee_is_erased_by_the_vendors_id_with_or_without_comments(
    account: PolledAccount, syncer: Program, tmp_path: Path
) -> None:
    await account.poll(record(1, employee_id=125, comment="Иванов"), record(2))
    await account.sql.execute(
        "insert into syncer.name (account_id, list, object_id, name, first_seen_at, changed_at)"
        " values (1, 'employees', 125, 'Иванов Пётр', now(), now())"
    )

    planned = await syncer.run("erase", "--account", "default", "--employee", "125")
    assert planned.result == (2, "           1  syncer.name\n")
    assert "nothing was erased" in planned.err
    done = await syncer.run("erase", "--account", "default", "--employee", "125", "--comments", "--yes")
    assert done.result == (0, "           1  syncer.name\n           1  syncer.virtual_number\n" + ERASED)
    again = await syncer.run("erase", "--account", "default", "--employee", "125", "--yes")
    assert (again.code, again.err.splitlines()[0]) == (3, "the account has nothing of this employee")

    listed = (await syncer.run("erasures")).out
    assert listed.endswith("  default: employee with id 125 with comments, 2 rows, by postgres\n")
    (tmp_path / "erasures").write_text((await syncer.run("erasures", "--json")).out)
    await account.sql.execute("delete from syncer.erasure")
    await account.sql.execute("update syncer.name set name = 'Иванов Пётр'")
    assert (await syncer.run("erase", "--again", str(tmp_path / "erasures"))).result == (0, "1 erasure made again\n")
    assert await account.rows("select name from syncer.name") == [(None,)]
    assert (await syncer.run("erasures", "--lift", "3")).code == 0


async def test_everything_of_an_account_is_erased_once_nobody_polls_it(account: PolledAccount, syncer: Program) -> None:
    await poll(account)

    polled = await syncer.run("erase", "--account", "default", "--all", "--yes")
    assert polled.code == 2
    assert "the configuration still has the account 'default'" in polled.err
    await account.sql.execute("update syncer.account set name = 'former'")
    assert (await syncer.run("erase", "--account", "former", "--all")).code == 2
    assert await account.row("select count(*) from syncer.virtual_number") == (2,)
    done = await syncer.run("erase", "--account", "former", "--all", "--yes")
    assert (done.code, done.out.splitlines()[-1]) == (0, "former: deleted")
    assert await account.row("select count(*) from syncer.account") == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--account", "default"), "give exactly one of --number, --employee, --removed-before, --all and --again"),
        (("--number", NUMBER), "it goes with every other option but --again"),
        (("--account", "default", "--number", NUMBER, "--comments"), "it goes with --employee"),
        (("--account", "default", "--all", "--reason", "x"), "it goes with --number, --employee and --removed-before"),
        (("--account", "default", "--employee", "Белова"), "Input should be a valid integer"),
        (("--account", "default", "--employee", str(2**63)), "Input should be less than or equal to"),
        (("--account", "default", "--number", NUMBER, "--removed-before", "365d"), "give exactly one of"),
        (("--account", "nobody", "--number", NUMBER), "there is no account 'nobody'; the accounts are default"),
        (("--account", "default", "--number", "abc"), "it has no digits"),
        (("--account", "default", "--removed-before", "3d"), "it must be a duration of at least 30d, such as 365d"),
    ],
)
async def test_wrong_usage_erases_nothing(
    account: PolledAccount, syncer: Program, arguments: tuple[str, ...], message: str
) -> None:
    await poll(account)

    finished = await syncer.run("erase", *arguments, "--yes")

    assert finished.code == 2
    assert message in " ".join(finished.err.split())
    assert await account.row("select count(*) from syncer.erasure") == (0,)


async def test_a_login_that_is_not_the_owner_may_not_erase(
    account: PolledAccount, syncer: Program, database: str
) -> None:
    await poll(account)
    await account.sql.execute("create role polls login password 'secret' in role syncer_daemon")
    try:
        parts = urlsplit(database)
        url = urlunsplit(parts._replace(netloc=f"polls:secret@{parts.hostname}:{parts.port}"))
        finished = await syncer.run("erase", "--account", "default", "--number", NUMBER, "--yes", database_url=url)
    finally:
        await account.sql.execute("drop role polls")

    assert finished.code == 2
    assert "this login may not erase: set SYNCER_MIGRATE_DATABASE_URL to the address of the owner" in finished.err


async def test_all_that_is_stored_of_a_number_is_exported_for_who_asks(
    account: PolledAccount, syncer: Program, tmp_path: Path
) -> None:
    await poll(account)
    await account.poll(record(1, number=NUMBER, state="debt_lock"), record(2))
    folder = tmp_path / "answer"

    done = await syncer.run("export", "--number", "8 926 123-45-67", "--output", str(folder))

    assert done.result == (0, "")
    files = {file.name: file.read_text() for file in folder.iterdir()}
    assert {
        "numbers.csv",
        "changes.csv",
        "number_history.csv",
        "redirect_history.csv",
        "state_history.csv",
    } <= files.keys()
    assert "Иванов" in files["number_history.csv"]
    assert [name for name, text in files.items() if record(2)["number"] in text] == []
    assert folder.stat().st_mode & 0o777 == 0o700
    nobody = await syncer.run("export", "--number", "70000000000", "--output", str(tmp_path / "nothing"))
    assert (nobody.code, nobody.err.splitlines()[0]) == (3, "no number has or had it")
    assert list((tmp_path / "nothing").iterdir()) == []
    assert (await syncer.run("export", "--number", NUMBER)).code == 2
    assert (await syncer.run("export")).code == 2


async def test_the_export_of_a_number_goes_into_no_folder_that_has_files(
    account: PolledAccount, syncer: Program, tmp_path: Path
) -> None:
    await account.poll(
        record(1, number=NUMBER, from_redirect_numbers=[redirect(7, "79051112233")]), record(2, number="79261234568")
    )
    folder = tmp_path / "answer"
    folder.mkdir()  # an empty one is used
    assert (await syncer.run("export", "--number", NUMBER, "--output", str(folder))).result == (0, "")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert "redirects.csv" in before

    for number in ("79261234568", "70000000000", NUMBER):
        refused = await syncer.run("export", "--number", number, "--output", str(folder))
        assert refused.result == (2, "")
        assert refused.err == (
            f"syncer: --output {folder}: the folder is not empty, and its files would be taken for those of this "
            "number: name a new folder\n"
        )
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


async def test_the_export_of_a_number_refuses_an_account_that_was_never_polled(
    account: PolledAccount, syncer: Program, tmp_path: Path
) -> None:
    await account.poll(record(1, number=NUMBER))
    command = ("export", "--number", NUMBER, "--output", str(tmp_path / "answer"), "--account")

    refused = await syncer.run(*command, "nobody", "--account", "default")
    assert refused.result == (2, "")
    assert refused.err.startswith("syncer: --account 'nobody' was never polled: the accounts are default (database: ")
    assert list((tmp_path / "answer").iterdir()) == []
    assert (await syncer.run(*command, "default")).code == 0


async def test_the_export_of_a_number_has_the_names_of_its_employees_of_the_time_and_no_others(
    account: PolledAccount, syncer: Program, tmp_path: Path
) -> None:
    await account.poll_at(moscow(1), record(1, number=NUMBER, employee_id=5, group_id=9), record(2, employee_id=7))
    await account.poll_at(moscow(5), record(1, number=NUMBER, employee_id=6, group_id=9), record(2, employee_id=7))
    await store_names(account.sql, "employees", 5, [(moscow(1), "Белова Анна"), (moscow(7), "Орлова Анна")])
    await store_names(account.sql, "employees", 6, [(moscow(1), "Ким Игорь"), (moscow(6), "Ким Пётр")])
    await store_names(account.sql, "employees", 7, [(moscow(1), "Ли Вера")])
    await store_names(account.sql, "groups", 9, [(moscow(1), "Продажи")])
    await account.set_clock(None)
    folder = tmp_path / "answer"

    done = await syncer.run("export", "--number", NUMBER, "--output", str(folder))

    assert done.result == (0, "")
    files = {file.name: file.read_text() for file in folder.iterdir()}
    found = {name: {file for file, text in files.items() if name in text} for name in ("Орлова", "Ли Вера")}
    assert found == {"Орлова": set(), "Ли Вера": set()}
    assert [name for name in ("Белова Анна", "Ким Игорь") if name not in files["changes.csv"]] == []
    assert [name for name in ("Белова Анна", "Ким Пётр") if name not in files["assignments.csv"]] == []
    assert "Продажи" in files["number_history.csv"]
    assert "name_history.csv" not in files
