"""The benchmarked queries return what plain Python computes from the tables, and read no more rows than they need."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from benchmarks.history import generate_history
from benchmarks.queries import QUERIES, stable_plan
from tests.builders import connect, migrated_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import asyncpg

    from syncer.embedded import EmbeddedServer

MOSCOW = ZoneInfo("Europe/Moscow")
DAY = timedelta(days=1)
Row = dict[str, Any]
# When it happened, a row of the number, kind, field, old value, new value.
Change = tuple[datetime, Row, str, str | None, str | None, str | None]
FIELDS = {
    **dict.fromkeys(("number", "comment", "type", "purpose", "state", "reason", "employee_id", "app_id", "nc_type")),
    "region": "region_id",
}
ENDINGS = {"removed", "redirect_closed"}


@pytest.fixture(scope="module")
def demo_history(server: EmbeddedServer) -> Iterator[str]:
    """The address of a database with the history of the benchmarks: 1,000 numbers in two accounts."""
    with migrated_database(server.url, "benchmark_history") as url:
        asyncio.run(generate_history(url, 1000, accounts=2))
        yield url


class Tables:
    """All rows of the tables, and what can be computed from them without SQL."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self.numbers = {key_of(row): row for row in rows["virtual_number"]}
        listed = [row | {"valid_to": None} for row in rows["virtual_number_redirect"]]
        self.redirects = [*rows["virtual_number_redirect_history"], *listed]
        self.newest_runs = {row["account_id"]: row["applied_run_id"] for row in rows["account_fence"]}
        self.titles = {row["state"]: row for row in rows["number_state"]}
        self.types = {row["type"]: row for row in rows["number_type"]}
        self.purposes = {row["purpose"]: row for row in rows["number_purpose"]}
        self.regions = {row["region_id"]: row["name"] for row in rows["region"]}
        now = [row for row in rows["virtual_number"] if row["removed_at"] is None]
        states = [row | {"valid_from": row["reason_since"], "valid_to": None} for row in now]
        self.periods = by_number([*rows["state_history"], *states])
        versions = [row | {"valid_from": row["changed_at"], "valid_to": None} for row in now]
        self.versions = by_number([*rows["virtual_number_history"], *versions])

    def all_periods(self) -> Iterator[Row]:
        """Every period of state."""
        for periods in self.periods.values():
            yield from periods

    def current_number(self, row: Row) -> str:
        """The current phone number of the number that a row belongs to."""
        number: str = self.numbers[key_of(row)]["number"]
        return number

    def as_text(self, version: Row | None, field: str) -> str | None:
        """A field as text, as the feed contains it."""
        value = None if version is None else version[FIELDS[field] or field]
        return None if value is None else self.regions[value] if field == "region" else str(value)

    def feed(self) -> Iterator[Change]:
        """All changes, in no particular order."""
        for versions in self.versions.values():
            for before, version in pairwise([None, *versions]):
                assert version is not None
                yield from self._changed_fields(before, version)
        for periods in self.periods.values():
            starts = {period["valid_from"] for period in periods}
            for period in periods:
                if period["valid_to"] is not None and period["valid_to"] not in starts:
                    yield period["valid_to"], period, "removed", None, None, None
        for row in self.redirects:
            yield row["valid_from"], row, "redirect_opened", "from_redirect_numbers", None, row["number"]
            if row["valid_to"] is not None:
                yield row["valid_to"], row, "redirect_closed", "from_redirect_numbers", row["number"], None

    def _changed_fields(self, before: Row | None, version: Row) -> Iterator[Change]:
        for field in FIELDS:
            old, new = self.as_text(before, field), self.as_text(version, field)
            kind = "state" if field in {"state", "reason"} else "changed"
            if before is None or before["valid_to"] < version["valid_from"]:
                kind = "created" if before is None else "restored"
            if old != new or (kind == "restored" and new is not None):
                yield version["valid_from"], version, kind, field, old, new


def key_of(row: Row) -> tuple[int, int]:
    return row["account_id"], row["virtual_number_id"]


def by_number(rows: Iterable[Row]) -> dict[tuple[int, int], list[Row]]:
    found: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["valid_from"]):
        found[key_of(row)].append(row)
    return found


def is_valid_at(row: Row, moment: datetime) -> bool:
    return bool(row["valid_from"] <= moment and (row["valid_to"] is None or moment < row["valid_to"]))


def moscow(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=MOSCOW)


def days(seconds: Decimal) -> Decimal:
    return (seconds / 86400).quantize(Decimal("0.1"), ROUND_HALF_UP)


def seconds(duration: timedelta) -> Decimal:
    return Decimal(duration // timedelta(microseconds=1)) / 1_000_000


def join_present(*values: object) -> str:
    return ", ".join(str(value) for value in values if value is not None)


def numbers_in_a_state(tables: Tables) -> list[Any]:
    rows = []
    for key, n in tables.numbers.items():
        if n["removed_at"] is None and n["state"] == "debt_lock":
            (period,) = [period for period in tables.periods[key] if period["valid_to"] is None]
            open_redirects = [row for row in tables.redirects if key_of(row) == key and row["valid_to"] is None]
            lookup_rows = (tables.titles[n["state"]], tables.types[n["type"]], tables.purposes[n["purpose"]])
            state, number_type, purpose = [(row["title_en"], row["title_ru"]) for row in lookup_rows]
            since = (n["reason"], period["valid_from"], period["changed_after"])
            place = (tables.regions[n["region_id"]], len(open_redirects))
            rows.append((n["number"], f"+{n['number']}", *state, *since, *number_type, *purpose, *place))
    return sorted(rows, key=lambda row: (row[5], row[0]))


def numbers_by_state_and_region(tables: Tables) -> list[Any]:
    listed = [row for row in tables.numbers.values() if row["removed_at"] is None]
    count = Counter((tables.regions[row["region_id"]], row["state"]) for row in listed)
    return sorted((*group, numbers) for group, numbers in count.items())


def states_by_day(tables: Tables) -> list[Any]:
    listed = [versions for (account_id, _), versions in tables.versions.items() if account_id == 1]
    midnights = [moscow(2026, 4, 1) + day * DAY for day in range(90)]
    states = {version["state"] for versions in listed for version in versions}
    count = Counter({(midnight.date(), state): 0 for midnight in midnights for state in states})
    for versions in listed:
        for midnight in midnights:
            day_end = midnight + DAY - timedelta(microseconds=1)
            count.update((midnight.date(), version["state"]) for version in versions if is_valid_at(version, day_end))
    return sorted((*group, numbers) for group, numbers in count.items())


def debt_locks_by_week(tables: Tables) -> list[Any]:
    locked: defaultdict[date, list[tuple[int, int]]] = defaultdict(list)
    for key, periods in tables.periods.items():
        for before, period in pairwise(periods):
            at = period["valid_from"]
            in_year = moscow(2025, 6, 30) <= at < moscow(2026, 6, 29)
            if in_year and before["valid_to"] == at and before["state"] != period["state"] == "debt_lock":
                day = at.astimezone(MOSCOW).date()
                locked[day - day.weekday() * DAY].append(key)
    return sorted((week, len(keys), len(set(keys))) for week, keys in locked.items())


def history_of_a_number(tables: Tables) -> list[Any]:
    (key,) = [key for key, row in tables.numbers.items() if row["number"] == "79000000043"]
    rows: list[Any] = [
        (
            *("state", period["valid_from"], period["valid_to"]),
            join_present(tables.titles[period["state"]]["title_en"], period["reason"]),
        )
        for period in tables.periods[key]
    ]
    for version in tables.versions[key]:
        region = tables.regions[version["region_id"]]
        text = join_present(version["comment"], version["type"], version["purpose"], region)
        rows.append(("record", version["valid_from"], version["valid_to"], text))
    redirects = [redirect for redirect in tables.redirects if key_of(redirect) == key]
    rows += [("redirect", one["valid_from"], one["valid_to"], one["number"]) for one in redirects]
    for at, row, kind, field, old, new in tables.feed():
        if key_of(row) == key:
            text = " ".join(word for word in (field, "from", old, "to", new) if word is not None)
            rows.append((kind, at, None, text))
    return sorted(rows, key=lambda row: (row[1], row[0], row[3]))


def changes_of_a_day(tables: Tables) -> list[Any]:
    rows = [
        (at, tables.current_number(row), *change)
        for at, row, *change in tables.feed()
        if moscow(2026, 4, 15) <= at < moscow(2026, 4, 16)
    ]
    return sorted(rows, key=lambda row: (row[0], row[1], row[2], row[3] or ""))


def numbers_as_of(tables: Tables) -> list[Any]:
    moment = moscow(2025, 10, 1)
    versions = [version for by_key in tables.versions.values() for version in by_key if is_valid_at(version, moment)]
    count = Counter(version["state"] for version in versions)
    return sorted((state, tables.titles[state]["title_en"], numbers) for state, numbers in count.items())


def longest_debt_locks(tables: Tables) -> list[Any]:
    locks = [one for one in tables.all_periods() if one["state"] == "debt_lock" and one["valid_to"] is not None]
    locks.sort(key=lambda lock: (lock["valid_from"] - lock["valid_to"], tables.current_number(lock)))
    return [
        (
            *(tables.current_number(lock), lock["reason"], lock["valid_from"], lock["valid_to"]),
            days(seconds(lock["valid_to"] - lock["valid_from"])),
        )
        for lock in locks[:20]
    ]


def time_in_states_by_region(tables: Tables) -> list[Any]:
    begins, ends = moscow(2026, 5, 1), moscow(2026, 6, 1)
    keys: defaultdict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
    spent: Counter[tuple[str, str]] = Counter()
    for period in tables.all_periods():
        clipped = min(period["valid_to"] or ends, ends) - max(period["valid_from"], begins)
        if clipped > timedelta(0):
            group = tables.regions[tables.numbers[key_of(period)]["region_id"]], period["state"]
            keys[group].add(key_of(period))
            spent[group] += clipped // timedelta(microseconds=1)
    return sorted((*group, len(keys[group]), days(Decimal(spent[group]) / 1_000_000)) for group in keys)


def new_changes(*account_ids: int) -> Callable[[Tables], list[Any]]:
    """The changes of the last 300 polls of these accounts."""

    def newest_first(tables: Tables) -> list[Any]:
        rows = [
            (row["closed_run_id" if kind in ENDINGS else "run_id"], at, tables.current_number(row), kind, *values)
            for at, row, kind, *values in tables.feed()
            if row["account_id"] in account_ids
            and row["closed_run_id" if kind in ENDINGS else "run_id"] > tables.newest_runs[row["account_id"]] - 300
        ]
        return sorted(rows, key=lambda row: (*row[:4], *(value or "" for value in row[4:])))

    return newest_first


def average_day(tables: Tables) -> list[Any]:
    totals: defaultdict[str, list[int]] = defaultdict(list)
    for _, state, numbers in states_by_day(tables):
        totals[state].append(numbers)
    return [
        (state, (Decimal(sum(counts)) / 90).quantize(Decimal("0.01"), ROUND_HALF_UP))
        for state, counts in sorted(totals.items())
    ]


def months(tables: Tables) -> list[Any]:
    year = [date(2025 + month // 12, month % 12 + 1, 1) for month in range(5, 17)]
    counts: Counter[tuple[date, str]] = Counter()

    def count(moment: datetime, *kinds: str) -> None:
        counts.update((moment.astimezone(MOSCOW).date().replace(day=1), kind) for kind in kinds)

    for versions in tables.versions.values():
        for before, version in pairwise([None, *versions]):
            assert version is not None
            if before is None or before["valid_to"] < version["valid_from"]:
                count(version["valid_from"], "arrived" if before is None else "returned")
            elif before["state"] != version["state"]:
                locks = {"locks": version["state"], "unlocks": before["state"]}
                count(version["valid_from"], *(kind for kind, state in locks.items() if state == "debt_lock"))
        starts = {version["valid_from"] for version in versions}
        for version in versions:
            if version["valid_to"] is not None and version["valid_to"] not in starts:
                count(version["valid_to"], "removed")
        for month in year:
            end = moscow(month.year + month.month // 12, month.month % 12 + 1, 1) - timedelta(microseconds=1)
            counts[month, "closing"] += any(is_valid_at(version, end) for version in versions)
    columns = ("arrived", "returned", "removed", "locks", "unlocks", "closing")
    return [(month, *(counts[month, column] for column in columns)) for month in year]


EXPECTED = {
    "01_numbers_in_a_state": numbers_in_a_state,
    "02_numbers_by_state_and_region": numbers_by_state_and_region,
    "03_states_by_day": states_by_day,
    "04_debt_locks_by_week": debt_locks_by_week,
    "05_life_of_a_number": history_of_a_number,
    "06_changes_of_a_day": changes_of_a_day,
    "07_numbers_as_of": numbers_as_of,
    "08_longest_debt_locks": longest_debt_locks,
    "09_time_in_states_by_region": time_in_states_by_region,
    "10_new_changes_of_an_account": new_changes(1),
    "11_new_changes_of_all_accounts": new_changes(1, 2),
    "12_average_day": average_day,
    "13_months": months,
}


async def test_each_query_returns_what_python_computes_from_the_tables(
    demo_history: str, analyst: asyncpg.Connection[Any]
) -> None:
    sql = await connect(demo_history)
    names = [row["tablename"] for row in await sql.fetch("select tablename from pg_tables where schemaname = 'syncer'")]
    rows = {table: [dict(row) for row in await sql.fetch(f"select * from syncer.{table}")] for table in names}  # noqa: S608 - names from the catalog
    await sql.close()
    tables = Tables(rows)

    assert [path.stem for path in QUERIES] == list(EXPECTED)
    for path in QUERIES:
        found = [tuple(row) for row in await analyst.fetch(path.read_text())]
        assert found, path.stem
        assert found == EXPECTED[path.stem](tables), path.stem


async def nodes(analyst: asyncpg.Connection[Any], query: str) -> list[Row]:
    """The nodes of a query's plan, with index scans wherever they are possible: the tables of a test are small."""
    async with analyst.transaction():
        await analyst.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
        found = await analyst.fetchval(f"explain (format json) {query}")
    plans, flat = [json.loads(found)[0]["Plan"]], []
    while plans:
        node = plans.pop()
        plans += node.pop("Plans", [])
        flat.append(node)
    return flat


@pytest.mark.parametrize("view", ["number_days", "state_share"])
async def test_history_is_joined_only_with_the_requested_days(analyst: asyncpg.Connection[Any], view: str) -> None:
    plan = await nodes(analyst, f"select count(*) from analytics.{view} where day = '2026-05-01'")  # noqa: S608 - the test's own

    (days,) = [node for node in plan if node.get("Alias") == "d" and node["Node Type"] == "Subquery Scan"]
    assert days["Filter"] == "(d.day = '2026-05-01'::date)"
    assert [node for node in plan if "2026-05-01" in node.get("Filter", "") and node is not days] == []
    # A slower plan would generate a series of days for each row.
    assert [node["Alias"] for node in plan if node.get("Function Name") == "generate_series"] == ["each"]


async def test_the_feed_of_one_number_uses_the_index_on_numbers(analyst: asyncpg.Connection[Any]) -> None:
    plan = await nodes(analyst, "select * from analytics.changes where number_now = '79000000043'")

    found = [node for node in plan if node.get("Index Name") == "virtual_number_number_idx"]
    read = [node for node in plan if node.get("Relation Name") in {"virtual_number_history", "state_history"}]
    assert {node["Index Cond"] for node in found} == {"(number = '79000000043'::text)"}
    assert read
    assert [node for node in read if "virtual_number_id" not in node.get("Index Cond", "")] == []


async def test_kinds_and_fields_that_a_query_filters_out_are_not_read(analyst: asyncpg.Connection[Any]) -> None:
    columns = "change_id, changed_at, kind, field, old_value, new_value, number_now"
    removed = await nodes(analyst, f"select {columns} from analytics.changes where kind = 'removed'")  # noqa: S608 - the test's own
    redirects = await nodes(analyst, f"select {columns} from analytics.changes where field = 'from_redirect_numbers'")  # noqa: S608 - the test's own

    tables = {
        *("virtual_number_history", "state_history"),
        *("virtual_number_redirect", "virtual_number_redirect_history"),
    }
    assert {node.get("Relation Name") for node in removed} & tables == {"state_history"}
    assert {node.get("Relation Name") for node in redirects} & tables == {
        "virtual_number_redirect",
        "virtual_number_redirect_history",
    }


@pytest.mark.parametrize("view", ["state_history", "state_spells", "state_changes", "redirect_history"])
async def test_what_a_number_was_is_looked_up_only_if_it_is_asked_for(
    analyst: asyncpg.Connection[Any], view: str
) -> None:
    without = await nodes(analyst, f"select number_key, changed_after from analytics.{view}")  # noqa: S608 - the test's own
    asked = await nodes(analyst, f"select number from analytics.{view}")  # noqa: S608 - the test's own

    # virtual_number has the periods that have not ended.
    lookups = {"virtual_number_history", "account", "account_fence", "region", "number_state"}
    assert {node.get("Relation Name") for node in without} & lookups == set()
    assert {node.get("Relation Name") for node in asked} & lookups == {"virtual_number_history"}


async def test_the_planner_inlines_numbers_as_of(analyst: asyncpg.Connection[Any]) -> None:
    plan = await nodes(analyst, "select state, count(*) from analytics.numbers_as_of('2025-10-01Z') group by state")

    assert [node for node in plan if node["Node Type"] == "Function Scan"] == []
    # Nobody asks for titles, regions and names. PostgreSQL 15 joins their tables all the same, each of them once.
    needless = {"number_state": 1, "number_type": 1, "number_purpose": 1, "region": 1, "name": 6}
    assert Counter(node["Relation Name"] for node in plan if "Relation Name" in node) == {
        "account": 2,
        "account_fence": 1,
        "virtual_number": 1,
        "virtual_number_history": 1,
        **({"account": 3, "account_fence": 2, **needless} if analyst.get_server_version().major == 15 else {}),
    }


def test_a_recorded_plan_leaves_out_what_differs_from_run_to_run() -> None:
    plan = [
        "Sort (actual rows=9.00 loops=1)",
        "  Sort Method: external merge  Disk: 8kB",
        "  Buffers: shared hit=5 read=7 dirtied=1, temp read=3 written=3",
        "  ->  Seq Scan on state_history (actual rows=9.00 loops=1)",
        "        Buffers: shared read=7",
        "Planning:",
        "  Buffers: shared hit=3",
    ]

    assert stable_plan(plan) == (
        "Sort (actual rows=9.00 loops=1)\n"
        "  Buffers: 12 pages\n"
        "  ->  Seq Scan on state_history (actual rows=9.00 loops=1)\n"
        "        Buffers: 7 pages\n"
    )
