"""Ten thousand incidents at the vendor's, and what they would have done to the history of the numbers.

    python -m benchmarks.incidents [--incidents 10000] [--seed 1] [--replayed 100]

Accounts of 1 to 2,000 numbers live an ordinary life (states change, numbers come and go) and are polled every five
minutes. Now and then the vendor's answers are wrong for minutes or hours, in one of the ways of `kinds.py`. What a poll
decides is decided by the program's own rooms `arrival` and `reconcile`, on a store in memory, and each row that it
writes is held against what was true of the simulated numbers at that moment.

Polls that cannot differ from the one before are not run: those between two events, once a repeated poll has changed
nothing. Neither that nor the store is taken on trust: some accounts are polled at every tick too, and some through
HTTP into a real PostgreSQL, and each time all rows must be the same.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks.incidents.account import INCIDENTS_AN_ACCOUNT, LASTS, LONG, SHORT, Played, differs_if_dense, play
from benchmarks.incidents.replay import replay
from benchmarks.incidents.report import UNEXPECTED, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def tell(console: Console, lasts: str, played: Iterable[Future[Played]]) -> bool:
    """Prints what came of the accounts of one class; whether anything came out that must not."""
    score: Counter[tuple[str, str]] = Counter()
    findings: list[str] = []
    for account in played:
        score.update(account.result().score)
        findings += account.result().findings
    console.print(table_of(lasts, score))
    if lasts != SHORT:
        return False
    for finding in findings[:20]:
        console.print(f"! {finding}", markup=False, highlight=False)
    return any(score[one] for one in score if one[1] in UNEXPECTED)


def main() -> int:
    """Plays, prints, and tells whether anything came out that must not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.incidents", description=__doc__.splitlines()[0])
    parser.add_argument("--incidents", type=int, default=10_000, help="below the hold time; a tenth as many beyond it")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--replayed", type=int, default=100, help="how many of them to replay in PostgreSQL")
    parser.add_argument("--dense", type=int, default=12, help="how many accounts to poll at every tick")
    parser.add_argument("--processes", type=int, default=None)
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 220)
    begun = time.monotonic()
    below = math.ceil(given.incidents / INCIDENTS_AN_ACCOUNT)
    accounts = {LONG: math.ceil(below / 10), SHORT: below}  # the longest first, for the processes to end together
    with ProcessPoolExecutor(given.processes) as pool:
        played = {
            lasts: [pool.submit(play, f"{given.seed}/{number}", lasts) for number in range(count)]
            for lasts, count in accounts.items()
        }
        sample = [(f"{given.seed}/{number}", lasts) for number in range(given.dense // 2) for lasts in LASTS]
        dense = [pool.submit(differs_if_dense, *one) for one in sample]
        is_unexpected = [tell(console, lasts, futures) for lasts, futures in played.items()]
        differing = sum(future.result() for future in dense)
        console.print(f"{len(dense)} accounts polled at every tick: {differing} differ")
    count = math.ceil(given.replayed / INCIDENTS_AN_ACCOUNT)
    differences = asyncio.run(
        replay((f"{given.seed}/{number}", SHORT if number % 5 else LONG) for number in range(count))
    )
    console.print(f"{count} accounts polled in PostgreSQL: {len(differences)} differences")
    for difference in differences[:10]:
        console.print(f"! {difference}", markup=False, highlight=False)
    console.print(f"{time.monotonic() - begun:.0f} s")
    return int(any(is_unexpected) or differing > 0 or bool(differences))


if __name__ == "__main__":
    sys.exit(main())
