"""The systems that are given the same steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.polls.systems.turn import STEPS

PROGRAM: Final = "syncer"
AFTER_TINY: Final = "syncer, after tiny accounts"
REQUEST: Final = "request"
DIGEST: Final = "request, digest"
LOAD: Final = "request, decode, COPY"
ROWS: Final = "rows alone"
DLT: Final = "dlt scd2"
EXECUTEMANY: Final = "Core, executemany"
VALUES: Final = "Core, VALUES"
PEERS: Final = (EXECUTEMANY, VALUES, DLT)

FIRST, UNCHANGED, SHUFFLED, CHANGED, RESTARTED, ALL = STEPS
_AGAIN: Final = (UNCHANGED,) * 3
"""What takes next to no time and can be repeated is repeated."""
_ONCE: Final = (FIRST, UNCHANGED, SHUFFLED, CHANGED, ALL)

_OURS: Final = """
select virtual_number_id as id, n.number, n.state, n.comment
  from syncer.virtual_number n join syncer.account using (account_id) where name = 'default' and removed_at is null
"""
CURRENT: Final = r"""
select count(*) || ' ' || coalesce(
       md5(string_agg(id || ' ' || number || ' ' || state || ' ' || coalesce(comment, ''), E'\n' order by id)), '')
  from ({}) as current
"""
"""Given a query of the id, number, state and comment of current numbers: their fingerprint."""


@dataclass(frozen=True, slots=True)
class System:
    """A program that is given the steps.

    Attributes:
        module: In the folder `systems`.
        arguments: After the endpoint's and the database's address.
        steps: Those that it takes.
        current: Selects the id, number, state and comment of current numbers; None if it writes none.
        is_peer: Whether it runs in the environment of the peers.
        once_from: With so many numbers it takes part in one round alone, because it takes so long.
        most_numbers: With more of them it takes no part.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    steps: tuple[str, ...] = _ONCE
    current: str | None = _OURS
    is_peer: bool = False
    once_from: int = 10**9
    most_numbers: int = 10**9

    def takes_part(self, numbers: int, rounds_before: int) -> bool:
        """Whether it is its turn in a round."""
        return numbers <= self.most_numbers and (numbers < self.once_from or not rounds_before)


SYSTEMS: Final = (
    System(REQUEST, "floor", ("request",), _AGAIN, current=None),
    System(DIGEST, "floor", ("digest",), _AGAIN, current=None),
    System(LOAD, "floor", ("load",), (FIRST,)),
    System(ROWS, "rows", (), (FIRST, CHANGED, RESTARTED, ALL), most_numbers=100_000),
    System(PROGRAM, "program", ("1",), (FIRST, *_AGAIN, SHUFFLED, CHANGED, RESTARTED, ALL)),
    System(AFTER_TINY, "program", ("300",), (FIRST,), most_numbers=100_000),
    System(
        EXECUTEMANY,
        "upsert",
        ("executemany",),
        current="select * from numbers",
        once_from=100_000,
        most_numbers=100_000,
    ),
    System(VALUES, "upsert", ("values",), current="select * from numbers", once_from=100_000, most_numbers=100_000),
    System(
        DLT,
        "scd2",
        current="select id, number, state, comment from polled.numbers where _dlt_valid_to is null",
        is_peer=True,
        most_numbers=100_000,
    ),
)
