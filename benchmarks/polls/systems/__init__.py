"""The programs that the benchmark compares, and the steps that each runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.polls.systems.steps import GZIP, LINK, STEPS

SYNCER: Final = "syncer"
AFTER_TINY: Final = "syncer, after tiny accounts"
REQUEST: Final = "request"
DIGEST: Final = "request, digest"
INFLATE: Final = "request, digest, inflate"
LOAD: Final = "request, decode, COPY"
LOAD_BARE: Final = "request, decode, COPY, primary keys only"
ROWS: Final = "rows alone"
MERGE: Final = "COPY and MERGE"
MERGE_REFERENCES: Final = "COPY and MERGE, with references"
DLT: Final = "dlt scd2"
EXECUTEMANY: Final = "Core, executemany"
VALUES: Final = "Core, VALUES"
WITH_GZIP: Final = ", gzip"
OVER_LINK: Final = ", 100 Mbit/s"
"""After the name of a system: the responses are sent compressed, or over a link of this speed."""

FIRST, UNCHANGED, SHUFFLED, CHANGED, RESTARTED, ALL = STEPS
_REPEATED: Final = (UNCHANGED,) * 3
"""This step is so short that it is repeated in each round."""
_ALL_BUT_RESTARTED: Final = (FIRST, UNCHANGED, SHUFFLED, CHANGED, ALL)

_SYNCER_NUMBERS: Final = """
select virtual_number_id as id, n.number, n.state, n.comment
  from syncer.virtual_number n join syncer.account using (account_id) where name = 'default' and removed_at is null
"""
CHECKSUM: Final = r"""
select count(*) || ' ' || coalesce(
       md5(string_agg(id || ' ' || number || ' ' || state || ' ' || coalesce(comment, ''), E'\n' order by id)), '')
  from ({}) as current
"""
"""The checksum of the current numbers, given a query that selects their id, number, state and comment."""


@dataclass(frozen=True, slots=True)
class System:
    """A program that the benchmark measures.

    Attributes:
        module: Its module in this package.
        arguments: The arguments of the module, after the addresses of the endpoint and the database.
        steps: The steps that it runs.
        current: A query that selects id, number, state and comment of the current numbers; None if it writes none.
        needs_dlt: Whether it runs in the environment that has dlt.
        once_from: From this number of numbers on, it runs in one round only, because it takes so long.
        max_numbers: With more numbers, it is not measured.
        transport: How the responses are sent: `GZIP`, `LINK`, both, or uncompressed and as fast as the machine can.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    steps: tuple[str, ...] = _ALL_BUT_RESTARTED
    current: str | None = _SYNCER_NUMBERS
    needs_dlt: bool = False
    once_from: int = 10**9
    max_numbers: int = 10**9
    transport: str = ""

    def runs_in(self, numbers: int, round_index: int) -> bool:
        """Returns whether it is measured in a round."""
        return numbers <= self.max_numbers and (numbers < self.once_from or round_index == 0)


SYSTEMS: Final = (
    System(REQUEST, "minimum", ("request",), _REPEATED, current=None),
    System(DIGEST, "minimum", ("digest",), _REPEATED, current=None),
    System(LOAD, "minimum", ("load",), (FIRST,)),
    System(LOAD_BARE, "minimum", ("load-bare",), (FIRST,), max_numbers=100_000),
    System(ROWS, "rows", (), (FIRST, CHANGED, RESTARTED, ALL), max_numbers=100_000),
    System(SYNCER, "syncer_poller", ("1",), (FIRST, *_REPEATED, SHUFFLED, CHANGED, RESTARTED, ALL)),
    System(AFTER_TINY, "syncer_poller", ("300",), (FIRST,), max_numbers=100_000),
    *(
        System(
            name,
            "merge",
            (variant,),
            current="select * from merged.numbers where removed_at is null",
            max_numbers=100_000,
        )
        for name, variant in ((MERGE, "plain"), (MERGE_REFERENCES, "references"))
    ),
    System(
        EXECUTEMANY,
        "upsert",
        ("executemany",),
        current="select * from numbers",
        once_from=100_000,
        max_numbers=100_000,
    ),
    System(VALUES, "upsert", ("values",), current="select * from numbers", once_from=100_000, max_numbers=100_000),
    System(
        DLT,
        "scd2",
        current="select id, number, state, comment from polled.numbers where _dlt_valid_to is null",
        needs_dlt=True,
        max_numbers=100_000,
    ),
    *(
        System(name + WITH_GZIP, "minimum", (kind,), steps, current=None, max_numbers=100_000, transport=GZIP)
        for name, kind, steps in (
            (REQUEST, "request", _REPEATED),
            (DIGEST, "digest", _REPEATED),
            (INFLATE, "inflate", (SHUFFLED,)),
        )
    ),
    System(
        SYNCER + WITH_GZIP,
        "syncer_poller",
        ("1",),
        (FIRST, *_REPEATED, SHUFFLED, CHANGED, ALL),
        max_numbers=100_000,
        transport=GZIP,
    ),
    *(
        System(
            name + OVER_LINK + coding,
            module,
            arguments,
            steps,
            current=None if module == "minimum" else _SYNCER_NUMBERS,
            once_from=0,
            max_numbers=100_000,
            transport=LINK + transport,
        )
        for coding, transport in (("", ""), (WITH_GZIP, GZIP))
        for name, module, arguments, steps in (
            (REQUEST, "minimum", ("request",), _REPEATED),
            (SYNCER, "syncer_poller", ("1",), (FIRST, *_REPEATED, SHUFFLED, CHANGED)),
        )
    ),
)
