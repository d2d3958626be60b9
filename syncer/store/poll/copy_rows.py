"""Encodes a change set's new rows for COPY, ahead and without I/O, and copies them into their tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncer.diff.json_values import encode_json
from syncer.diff.record import DECODER_VERSION
from syncer.store.poll.copy_format import encode_column, encode_constant, join_columns
from syncer.store.record_columns import RECORD_COLUMN_TYPES, RECORD_COLUMNS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from syncer.diff.changeset import ChangeSet, NewVersion, RedirectChange
    from syncer.store.poll.runs import Fence


@dataclass(frozen=True, slots=True)
class CopyBatch:
    """New rows of one table, encoded for binary COPY."""

    table: str
    columns: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class CopyBatches:
    """The new rows of a change set by table; None if a table gets no rows."""

    numbers: CopyBatch | None
    redirects: CopyBatch | None
    fingerprints: CopyBatch | None


def encode_new_rows(fence: Fence, changes: ChangeSet, regions: Mapping[str, int]) -> CopyBatches:
    """Encodes the new rows of a change set; no I/O.

    Args:
        fence: The fence that the rows will be written under.
        changes: The change set.
        regions: The `region_id` of each region that created numbers name.
    """
    created, redirects = changes.created, changes.opened_redirects
    return CopyBatches(
        numbers=_encode_numbers(fence, created, regions) if created else None,
        redirects=_encode_redirects(fence, redirects) if redirects else None,
        fingerprints=_encode_fingerprints(fence, created, changes.fingerprints) if created else None,
    )


async def copy_rows(fence: Fence, batch: CopyBatch | None) -> None:
    """Copies rows into their table, if there are any."""
    if batch is not None:
        await fence.connection.copy_to_table(
            batch.table, schema_name="syncer", columns=batch.columns, source=_single_chunk(batch.data), format="binary"
        )


async def _single_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _copy_batch(
    table: str,
    fence: Fence,
    new_rows: Iterable[NewVersion | RedirectChange],
    columns: dict[str, Iterable[bytes]],
) -> CopyBatch:
    columns = {
        "account_id": encode_constant("integer", fence.run.account_id),
        "virtual_number_id": encode_column("bigint", [row.virtual_number_id for row in new_rows]),
    } | columns
    return CopyBatch(table, tuple(columns), join_columns(*columns.values()))


def _encode_numbers(fence: Fence, created: Sequence[NewVersion], regions: Mapping[str, int]) -> CopyBatch:
    by_column = dict(zip(RECORD_COLUMNS, zip(*(version.values for version in created), strict=True), strict=True))
    by_column["region_id"] = tuple(None if name is None else regions[name] for name in by_column["region_id"])
    columns = {name: encode_column(RECORD_COLUMN_TYPES[name], values) for name, values in by_column.items()} | {
        name: encode_constant("timestamptz", fence.observed_at)
        for name in ("first_seen_at", "listed_since", "changed_at", "state_since", "reason_since")
    }
    changed_after = list(encode_column("timestamptz", [version.changed_after for version in created]))
    columns |= dict.fromkeys(("changed_after", "state_since_earliest", "reason_since_earliest"), changed_after)
    columns |= {name: encode_constant("bigint", fence.run.run_id) for name in ("run_id", "reason_run_id")}
    if any(version.extra for version in created):  # few have any, and the column's default costs nothing
        columns["extra"] = encode_column("jsonb", [encode_json(version.extra) for version in created])
    return _copy_batch("virtual_number", fence, created, columns)


def _encode_redirects(fence: Fence, opened: Sequence[RedirectChange]) -> CopyBatch:
    columns = {
        "redirect_number_id": encode_column("bigint", [redirect.redirect_number_id for redirect in opened]),
        "number": encode_column("text", [redirect.number for redirect in opened]),
        "valid_from": encode_constant("timestamptz", fence.observed_at),
        "changed_after": encode_column("timestamptz", [redirect.changed_after for redirect in opened]),
        "run_id": encode_constant("bigint", fence.run.run_id),
    }
    return _copy_batch("virtual_number_redirect", fence, opened, columns)


def _encode_fingerprints(fence: Fence, created: Sequence[NewVersion], fingerprints: Mapping[int, bytes]) -> CopyBatch:
    columns = {
        "fingerprint": encode_column("bytea", [fingerprints[version.virtual_number_id] for version in created]),
        "decoder_version": encode_constant("smallint", DECODER_VERSION),
    }
    return _copy_batch("record_fingerprint", fence, created, columns)
