"""`syncer history` shows what employees and groups were called, with their ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bi.test_names import moscow, store_names
from tests.builders import record

if TYPE_CHECKING:
    from tests.builders import PolledAccount
    from tests.service.processes import Program


async def test_a_life_has_the_names_of_its_employees_and_groups(syncer: Program, account: PolledAccount) -> None:
    await account.poll_at(moscow(1), record(1, employee_id=5, group_id=9, scenario_id=540))
    await account.poll_at(moscow(5), record(1, employee_id=6, group_id=8, scenario_id=540))
    await store_names(account.sql, "employees", 5, [(moscow(1), "Белова Анна"), (moscow(7), "Орлова Анна")])
    await store_names(
        account.sql, "employees", 6, [(moscow(1), "Ким Игорь"), (moscow(6), "Ким Пётр")], position="Менеджер"
    )
    await store_names(account.sql, "groups", 9, [(moscow(1), "Продажи")])
    await store_names(account.sql, "scenarios", 540, [(moscow(1), None)])
    await account.set_clock(moscow(8))

    as_text = await syncer.run("history", "79000000001")
    as_json = await syncer.run("history", "79000000001", "--json")

    assert [line.strip() for line in as_text.out.splitlines() if "employee" in line or "group" in line] == [
        "type def, purpose company, region регион Москва, employee Ким Пётр (6), group 8",
        "scenario 540: To an employee, Орлова Анна (5)",
        "2026-03-05 12:00:00  -4 d     employee: Белова Анна (5) → Ким Игорь (6)",
        "2026-03-05 12:00:00  -4 d     group: Продажи (9) → 8",
    ]
    life = json.loads(as_json.out)
    assert (life["employee_id"], life["employee"], life["employee_position"]) == (6, "Ким Пётр", "Менеджер")
    assert (life["group_id"], life["group_name"]) == (8, None)
    assert (life["scenario_type"], life["scenario_target"]) == ("redirect_to_employee", "Орлова Анна")
    assert [
        (one["field"], one["old_value"], one["old_name"], one["new_value"], one["new_name"])
        for one in life["changes"]
        if one["kind"] == "changed"
    ] == [("employee_id", "5", "Белова Анна", "6", "Ким Игорь"), ("group_id", "9", "Продажи", "8", None)]
