"""Faults of the records in an otherwise correct response."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from syncer.emulator.fault import Fraction, Positive, Record, RecordsFault


class WrongAccount(RecordsFault, frozen=True, tag="wrong_account"):
    """The records belong to another Личный кабинет."""

    app_id: int = 7

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Puts the other app_id into every record."""
        return [record | {"app_id": self.app_id} for record in records]


class PartialList(RecordsFault, frozen=True, tag="partial_list"):
    """A part of the list that looks like the complete list, unless headers say that it is not.

    Attributes:
        share: The share of the records.
        headers: Further headers, such as `Link`, `X-Total-Count` or `Content-Range`.
    """

    share: Fraction = 0.5
    headers: dict[str, str] = msgspec.field(default_factory=dict)

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Keeps this share of the records."""
        return records[: round(len(records) * self.share)]

    def extra_headers(self) -> dict[str, str]:
        """Returns the headers."""
        return self.headers


class AbsentKeys(RecordsFault, frozen=True, tag="absent_keys"):
    """A half-deployed version of the vendor: these keys are missing from every record."""

    keys: frozenset[str] = frozenset({"comment", "from_redirect_numbers"})

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Removes the keys."""
        return [{key: value for key, value in record.items() if key not in self.keys} for record in records]


class UnknownState(RecordsFault, frozen=True, tag="unknown_state"):
    """The first `count` records are in a state that the vendor does not document."""

    word: str = "porting"
    count: Positive = 1

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Sets the state."""
        return [record | {"state": self.word} for record in records[: self.count]] + records[self.count :]


class UnknownFields(RecordsFault, frozen=True, tag="unknown_fields"):
    """A newer version of the vendor: every record has fields that the vendor does not document."""

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Adds a scalar field and a nested one."""
        return [record | {"is_vip": False, "tariff": {"name": "Бизнес", "price": 500}} for record in records]


class BrokenRecords(RecordsFault, frozen=True, tag="broken_records"):
    """The first `count` records have an invalid value, for example `number` is null or `id` is a string."""

    field: str = "number"
    value: Any = None
    count: Positive = 1

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Sets the field to the value."""
        return [record | {self.field: self.value} for record in records[: self.count]] + records[self.count :]


class RepeatedRecords(RecordsFault, frozen=True, tag="repeated_records"):
    """The first `count` records appear twice: identical, or with another comment."""

    count: Positive = 1
    differing: bool = False

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Appends the repeated records."""
        difference = {"comment": "другая запись с тем же id"} if self.differing else {}
        return records + [record | difference for record in records[: self.count]]


class UnusableNames(RecordsFault, frozen=True, tag="unusable_names"):
    """The first `count` records of a list of employees or groups have no id or no usable name.

    Attributes:
        problem: The id is missing; the name is null; the name has 301 characters; or the id has a second record, at the
            end of the list, with another name.
        count: How many records.
    """

    problem: Literal["id_missing", "name_null", "name_too_long", "second_name"]
    count: Positive = 1

    def alter_records(self, records: list[Record]) -> list[Record]:
        """Alters the records, or appends second ones."""
        altered = [self._altered(record) for record in records[: self.count]]
        return records + altered if self.problem == "second_name" else altered + records[self.count :]

    def _altered(self, record: Record) -> Record:
        key = "full_name" if "full_name" in record else "name"
        match self.problem:
            case "id_missing":
                return {name: value for name, value in record.items() if name != "id"}
            case "name_null":
                return record | {key: None}
            case "name_too_long":
                return record | {key: "я" * 301}
            case "second_name":
                return record | {key: "другое имя с тем же id"}
