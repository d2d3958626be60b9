"""An account whose lists of names are read, with the responses that a test chooses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from syncer.emulator import faults
from syncer.names.reader import NameReader
from syncer.store.accounts import register_accounts
from tests.builders import PolledAccount

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.config.accounts import Account
    from syncer.emulator.fault import Fault

PATHS = {
    "employees": "/employee",
    "groups": "/scenario/inbound/group",
    "employee_groups": "/employee-group/",
    "scenarios": "/scenario/inbound/virtual-number",
    "group_scenarios": "/scenario/inbound/virtual-number-group",
}


def employee(id: Any = 41, name: Any = "Орлова Анна", position: Any = "Оператор") -> dict[str, Any]:  # noqa: A002 - the vendor's name
    """Returns a record of an employee as the vendor sends it."""
    return {
        "id": id,
        "full_name": name,
        "position_name": position,
        "login": "login-of-hers",
        "email": "anna@example.org",
        "password": "hunter2",
    }


def answering(name: str, *records: Any) -> Fault:
    """Returns a fault with which a list has these records."""
    return faults.Body(path=PATHS[name], body=json.dumps(records, ensure_ascii=False))


async def read_due(reader: NameReader, accounts: dict[int, Account]) -> None:
    """Reads the lists of all accounts that are due, as `syncer sync` does."""
    await reader.register(accounts)
    await reader.read_due(accounts)


class NamedAccount(PolledAccount):
    """An account whose lists of names are read by a reader of its own, as often as the test says."""

    async def accounts(self, *words: Any, are_verified: bool = True) -> dict[int, Account]:
        """Returns the account by its `account_id`, with these words of SYNCER_NAMES.

        Unless `are_verified` is False, its token is known to be its own, as after a poll.
        """
        ids = await register_accounts(self.engine, {self.account.name: self.account.time_zone.key})
        accounts = {ids[self.account.name]: replace(self.account, names=words)}
        if are_verified:
            for account_id, account in accounts.items():
                self.poller.verified_tokens.add(account_id, account)
        return accounts

    def reader(self) -> NameReader:
        """Returns a reader like that of a new process."""
        return NameReader(
            self.engine, self._source, self.settings, self.poller.metrics.names, self.poller.verified_tokens
        )

    async def read(self, *answers: Fault, words: tuple[Any, ...] = ("employees",), at: datetime | None = None) -> None:
        """Reads all lists of some words, with these faults of the endpoint."""
        if at is not None:
            await self.set_clock(at)
        self.emulator.queue(*answers)
        accounts = await self.accounts(*words)
        await self.sql.execute("update syncer.name_list set due_at = syncer.clock()")
        await read_due(self.reader(), accounts)

    async def read_employees(self, *records: Any, at: datetime | None = None) -> None:
        """Reads the list of employees, which has these records."""
        await self.read(answering("employees", *records), at=at)

    async def names(self) -> list[tuple[Any, ...]]:
        """Returns the current names of employees, with their times."""
        return await self.rows(
            "select object_id, name, position, first_seen_at, changed_at, changed_after, unlisted_since "
            "from syncer.name where list = 'employees' order by object_id"
        )

    async def history(self) -> list[tuple[Any, ...]]:
        """Returns the former names of employees, with their times."""
        return await self.rows(
            "select object_id, name, position, valid_from, valid_to, changed_after, closed_after "
            "from syncer.name_history where list = 'employees' order by object_id, valid_from"
        )

    async def list_row(self, name: str = "employees") -> tuple[Any, ...]:
        """Returns how the last attempt to read a list ended."""
        return await self.row(
            "select outcome, error_kind, http_status, received, skipped, success_at from syncer.name_list "
            "where list = $1",
            name,
        )
