"""What is wrong with records in an answer that is well otherwise."""

from __future__ import annotations

from typing import Any

from syncer.emulator.fault import Positive, Record, RecordsFault, Share


class WrongAccount(RecordsFault, frozen=True, tag="wrong_account"):
    """The records belong to another Личный кабинет."""

    app_id: int = 7

    def alter(self, records: list[Record]) -> list[Record]:
        """Say another account everywhere."""
        return [record | {"app_id": self.app_id} for record in records]


class PartialList(RecordsFault, frozen=True, tag="partial_list"):
    """A part of the list that looks whole."""

    share: Share = 0.5

    def alter(self, records: list[Record]) -> list[Record]:
        """Keep this share of the records."""
        return records[: round(len(records) * self.share)]


class AbsentKeys(RecordsFault, frozen=True, tag="absent_keys"):
    """A half-deployed version: these keys are in no record."""

    keys: frozenset[str] = frozenset({"comment", "from_redirect_numbers"})

    def alter(self, records: list[Record]) -> list[Record]:
        """Leave the keys out."""
        return [{key: value for key, value in record.items() if key not in self.keys} for record in records]


class UnknownState(RecordsFault, frozen=True, tag="unknown_state"):
    """The first `count` records are in a state that the vendor's page does not have."""

    word: str = "porting"
    count: Positive = 1

    def alter(self, records: list[Record]) -> list[Record]:
        """Put the word there."""
        return [record | {"state": self.word} for record in records[: self.count]] + records[self.count :]


class UnknownFields(RecordsFault, frozen=True, tag="unknown_fields"):
    """A newer version: every record has fields that the vendor's page does not have."""

    def alter(self, records: list[Record]) -> list[Record]:
        """Add a plain one and a nested one."""
        return [record | {"is_vip": False, "tariff": {"name": "Бизнес", "price": 500}} for record in records]


class BrokenRecords(RecordsFault, frozen=True, tag="broken_records"):
    """The first `count` records have a value that cannot be: `number` is null, or `id` is a string."""

    field: str = "number"
    value: Any = None
    count: Positive = 1

    def alter(self, records: list[Record]) -> list[Record]:
        """Put the value there."""
        return [record | {self.field: self.value} for record in records[: self.count]] + records[self.count :]


class RepeatedRecords(RecordsFault, frozen=True, tag="repeated_records"):
    """The first `count` records come twice: the same, or with another comment."""

    count: Positive = 1
    differing: bool = False

    def alter(self, records: list[Record]) -> list[Record]:
        """Repeat them at the end."""
        other = {"comment": "другая запись с тем же id"} if self.differing else {}
        return records + [record | other for record in records[: self.count]]
