"""What is counted once and kept: the days of each account that have ended. It can be counted again from the history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from syncer.store.tables.schema import Time, metadata


def _arrays(kind: type[Any], **comments: str) -> list[Column[Any]]:
    return [Column(name, ARRAY(kind), nullable=False, comment=comment) for name, comment in comments.items()]


day_summary = Table(
    "day_summary",
    metadata,
    Column("account_id", ForeignKey("syncer.account.account_id"), primary_key=True, comment="The account"),
    Column("day", Date, primary_key=True, comment="The day, in the time zone"),
    Column(
        "time_zone",
        Text,
        nullable=False,
        comment="Whose day it is; days of another zone than the account's are not read",
    ),
    Column("ends", Time, nullable=False, comment="When the day ended; not after the account's newest success"),
    *_arrays(Text, states="Every state that a number of the account has had until then"),
    *_arrays(
        Integer,
        region_id="Regions of the groups: each pair of region and type that the account has had until then, with each "
        "state",
    ),
    *_arrays(Text, type="Types of the groups", state="States of the groups"),
    *_arrays(
        Integer,
        numbers="How many numbers each group had when the day ended",
        entered="How many came into its state from another state",
        exited="How many left its state for another state",
        arrived="How many were created in it",
        returned="How many were restored in it",
        removed="How many were removed from it",
    ),
    *_arrays(BigInteger, microseconds="Time that all its numbers together spent in it"),
    *_arrays(Integer, pair_region_id="Regions of the pairs of region and type"),
    *_arrays(Text, pair_type="Types of the pairs"),
    *_arrays(
        Integer,
        month_opening="How many numbers each pair had when the month began",
        month_closing="How many numbers each pair had when the day ended",
        month_arrived="How many were created, from the beginning of the month",
        month_returned="How many were restored, from the beginning of the month",
        month_removed="How many were removed, from the beginning of the month",
        month_locks="How often debt_lock followed another state, from the beginning of the month",
        month_unlocks="How often another state followed debt_lock, from the beginning of the month",
    ),
    *_arrays(
        BigInteger,
        month_active_microseconds="Time that numbers spent in the state active, from the beginning of the month",
        month_listed_microseconds="Time that numbers were listed, from the beginning of the month",
    ),
    comment="The days of each account that have ended, counted once: a cache, which may be deleted from any day on",
)
