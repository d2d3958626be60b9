"""What `syncer check` says of the servers of a Citus cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.commands.finding import Finding
from syncer.errors import counted
from syncer.store.citus import read_workers
from syncer.store.distribution import describe_distribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.store.citus import Worker
    from syncer.store.engine import Engine

_CLOCK_TOLERANCE: Final = 1.0
"""Seconds by which the clocks of two servers may differ."""


async def check_citus(engine: Engine) -> list[Finding]:
    """Asks the workers whether they can be used; returns nothing if the database does not have the extension.

    Raises:
        DatabaseError: The database cannot be read.
    """
    distribution = await describe_distribution(engine)
    if distribution is None:
        return []
    if not distribution.is_distributed:
        text = "the tables are on one server: run `syncer migrate` to distribute them, or drop the extension"
        return [Finding("citus", text, is_warning=True)]
    workers = await read_workers(engine)
    findings = [finding for worker in workers for finding in _check_worker(worker)]
    if not distribution.is_current:
        text = "functions and views are not those that this version needs where tables are distributed"
        findings.append(Finding("citus", f"{text}: run `syncer migrate`", is_ok=False))
    return findings or [Finding("citus", f"the tables are distributed over {counted(len(workers), 'worker')}")]


def _check_worker(worker: Worker) -> Iterator[Finding]:
    subject = f"worker {worker.address}"
    if worker.error is not None:
        text = "until it answers, its accounts are not polled, and queries of all accounts fail"
        yield Finding(subject, f"{worker.error}; {text}", is_ok=False)
        return
    if not worker.max_prepared_transactions:
        text = "max_prepared_transactions is 0, so no poll can change anything: set it to the value of max_connections"
        yield Finding(subject, f"{text} and restart the server", is_ok=False)
    if abs(worker.clock_offset) > _CLOCK_TOLERANCE:
        direction = "ahead of" if worker.clock_offset > 0 else "behind"
        text = f"its clock is at least {abs(worker.clock_offset):.0f} s {direction} the coordinator's"
        yield Finding(subject, f"{text}: synchronise the clocks of all servers, as with NTP", is_warning=True)
