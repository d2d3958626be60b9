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

    from syncer.diff.changeset import ChangeSet, NewState, NewVersion, RedirectChange
    from syncer.store.poll.runs import Fence

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CopyBatch:
    """Rows of one table: their columns, and what binary COPY takes."""

    table: str
    columns: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class CopyBatches:
    """The new rows of a decision; None for a table that gets none."""

    numbers: CopyBatch | None
    states: CopyBatch | None
    redirects: CopyBatch | None
    fingerprints: CopyBatch | None


def encode_new_rows(fence: Fence, changes: ChangeSet, regions: Mapping[str, int]) -> CopyBatches:
    """Encodes new rows; no I/O. `regions` has the `region_id` of each region that created numbers name."""
    created, states, redirects = changes.created, changes.opened_states, changes.opened_redirects
    return CopyBatches(
        numbers=_numbers(fence, created, regions) if created else None,
        states=_states(fence, states) if states else None,
        redirects=_redirects(fence, redirects) if redirects else None,
        fingerprints=_digests(fence, created, changes.fingerprints) if created else None,
    )


async def copy_rows(fence: Fence, new: CopyBatch | None) -> None:
    """Copies rows into their table, if there are any."""
    if new is not None:
        await fence.connection.copy_to_table(
            new.table, schema_name="syncer", columns=new.columns, source=_as_chunk(new.data), format="binary"
        )


async def _as_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _copy_batch(
    table: str,
    fence: Fence,
    told: Iterable[NewVersion | NewState | RedirectChange],
    columns: dict[str, Iterable[bytes]],
) -> CopyBatch:
    columns = {
        "account_id": same("integer", fence.run.account_id),
        "virtual_number_id": column("bigint", [one.virtual_number_id for one in told]),
    } | columns
    return CopyBatch(table, tuple(columns), rows(*columns.values()))


def _numbers(fence: Fence, created: Sequence[NewVersion], regions: Mapping[str, int]) -> CopyBatch:
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
    return _copy_batch("virtual_number", fence, created, columns)


def _states(fence: Fence, opened: Sequence[NewState]) -> CopyBatch:
    columns = {
        "state": column("text", [one.state for one in opened]),
        "reason": column("text", [one.reason for one in opened]),
    }
    return _copy_batch("state_history", fence, opened, columns | _period(fence, opened))


def _redirects(fence: Fence, opened: Sequence[RedirectChange]) -> CopyBatch:
    columns = {
        "redirect_number_id": column("bigint", [one.redirect_number_id for one in opened]),
        "number": column("text", [one.number for one in opened]),
    }
    return _copy_batch("virtual_number_redirect", fence, opened, columns | _period(fence, opened))


def _period(fence: Fence, opened: Sequence[NewState | RedirectChange]) -> dict[str, Iterable[bytes]]:
    """The columns of periods that begin now."""
    return {
        "valid_from": same("timestamptz", fence.observed_at),
        "changed_after": column("timestamptz", [one.changed_after for one in opened]),
        "run_id": same("bigint", fence.run.run_id),
    }


def _digests(fence: Fence, created: Sequence[NewVersion], fingerprints: Mapping[int, bytes]) -> CopyBatch:
    columns = {
        "fingerprint": column("bytea", [fingerprints[one.virtual_number_id] for one in created]),
        "decoder_version": same("smallint", DECODER_VERSION),
    }
    return _copy_batch("record_fingerprint", fence, created, columns)
