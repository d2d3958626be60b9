"""The new rows of a decision, ready to be copied into their tables: made ahead, while PostgreSQL writes others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from syncer.diff.record import DECODER_VERSION
from syncer.store.poll.copy_format import column, rows, same
from syncer.store.tables import RECORD_COLUMNS, RECORD_KINDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from syncer.diff.changeset import Decision, NewState, NewVersion, RedirectChange
    from syncer.store.poll.runs import Fence

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows of one table: their columns, and what binary COPY takes."""

    table: str
    columns: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Inserts:
    """The new rows of a decision; None for a table that gets none."""

    numbers: NewRows | None
    states: NewRows | None
    redirects: NewRows | None
    digests: NewRows | None


def inserts_of(fence: Fence, decision: Decision, regions: Mapping[str, int]) -> Inserts:
    """Encodes new rows; no I/O. `regions` has the `region_id` of each region that created numbers name."""
    created, states, redirects = decision.created, decision.opened_states, decision.opened_redirects
    return Inserts(
        numbers=_numbers(fence, created, regions) if created else None,
        states=_states(fence, states) if states else None,
        redirects=_redirects(fence, redirects) if redirects else None,
        digests=_digests(fence, created, decision.digests) if created else None,
    )


async def insert(fence: Fence, new: NewRows | None) -> None:
    """Copies rows into their table, if there are any."""
    if new is not None:
        await fence.connection.copy_to_table(
            new.table, schema_name="syncer", columns=new.columns, source=_at_once(new.data), format="binary"
        )


async def _at_once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _new_rows(
    table: str,
    fence: Fence,
    told: Iterable[NewVersion | NewState | RedirectChange],
    columns: dict[str, Iterable[bytes]],
) -> NewRows:
    columns = {
        "account_id": same("integer", fence.run.account_id),
        "virtual_number_id": column("bigint", [one.virtual_number_id for one in told]),
    } | columns
    return NewRows(table, tuple(columns), rows(*columns.values()))


def _numbers(fence: Fence, created: Sequence[NewVersion], regions: Mapping[str, int]) -> NewRows:
    told = dict(zip(RECORD_COLUMNS, zip(*(one.values for one in created), strict=True), strict=True))
    told["region_id"] = tuple(None if name is None else regions[name] for name in told["region_id"])
    columns = {name: column(RECORD_KINDS[name], values) for name, values in told.items()} | {
        "first_seen_at": same("timestamptz", fence.observed_at),
        "changed_at": same("timestamptz", fence.observed_at),
        "changed_after": column("timestamptz", [one.changed_after for one in created]),
        "run_id": same("bigint", fence.run.run_id),
    }
    if any(one.extra for one in created):  # few have any: the column's default is told in no time
        columns["extra"] = column("jsonb", [_encode(one.extra) for one in created])
    return _new_rows("virtual_number", fence, created, columns)


def _states(fence: Fence, opened: Sequence[NewState]) -> NewRows:
    columns = {
        "state": column("text", [one.state for one in opened]),
        "reason": column("text", [one.reason for one in opened]),
    }
    return _new_rows("state_history", fence, opened, columns | _period(fence, opened))


def _redirects(fence: Fence, opened: Sequence[RedirectChange]) -> NewRows:
    columns = {
        "redirect_number_id": column("bigint", [one.redirect_number_id for one in opened]),
        "number": column("text", [one.number for one in opened]),
    }
    return _new_rows("virtual_number_redirect", fence, opened, columns | _period(fence, opened))


def _period(fence: Fence, opened: Sequence[NewState | RedirectChange]) -> dict[str, Iterable[bytes]]:
    """The columns of periods that begin now."""
    return {
        "valid_from": same("timestamptz", fence.observed_at),
        "changed_after": column("timestamptz", [one.changed_after for one in opened]),
        "run_id": same("bigint", fence.run.run_id),
    }


def _digests(fence: Fence, created: Sequence[NewVersion], digests: Mapping[int, bytes]) -> NewRows:
    columns = {
        "digest": column("bytea", [digests[one.virtual_number_id] for one in created]),
        "decoder_version": same("smallint", DECODER_VERSION),
    }
    return _new_rows("record_digest", fence, created, columns)
