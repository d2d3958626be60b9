"""What a poll came to: the fields of `syncer sync --json`, and of the run's row."""

from __future__ import annotations

import shlex
from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Final, Literal, Self

from msgspec import Struct

if TYPE_CHECKING:
    from syncer.errors import PollError

Trigger = Literal["schedule", "command", "accept_removals"]
"""What began a poll: the daemon's schedule, `syncer sync`, or `syncer sync --accept-removals`."""

Outcome = Literal["applied", "unchanged", "failed", "superseded"]
"""What a poll comes to."""

COUNTERS: Final = (
    "created",
    "changed",
    "unchanged",
    "removed",
    "restored",
    "held",
    "rejected",
    "state_changes",
    "redirects_opened",
    "redirects_closed",
)
"""The run's counters, but for `received`, which is unknown until a response was read."""


class Conclusion(Struct, frozen=True):
    """How a poll ended, and what it counted: `received` and those of `COUNTERS` that are not 0."""

    outcome: Outcome
    counters: Mapping[str, int]


def accept_removals_command(account: str) -> str:
    """The command, as a shell takes it, by which an operator says that what is missing from an account is gone."""
    return f"syncer sync --account {shlex.quote(account)} --accept-removals"


class PollResult(Struct, frozen=True, kw_only=True):
    """What a poll came to.

    Attributes:
        outcome: `applied`, `unchanged`, `failed` or `superseded`.
        received: Elements of the response; None if it was not read.
        duration_seconds: From the beginning to the outcome.
        error_kind: One of the contract's kinds, if it failed.
        error: What went wrong and what to do, in one line.
    """

    account: str
    run_id: int | None = None
    outcome: Outcome
    received: int | None = None
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    restored: int = 0
    held: int = 0
    rejected: int = 0
    state_changes: int = 0
    redirects_opened: int = 0
    redirects_closed: int = 0
    duration_seconds: float
    error_kind: str | None = None
    error: str | None = None

    @classmethod
    def of(
        cls, account: str, run_id: int | None, conclusion: Conclusion, error: PollError | None, *, seconds: float
    ) -> Self:
        """The result of a poll that took some seconds, with the error if it failed by one."""
        failed = conclusion.outcome == "failed"
        return cls(
            account=account,
            run_id=run_id,
            outcome=conclusion.outcome,
            **conclusion.counters,
            duration_seconds=round(seconds, 6),
            error_kind=error.kind if failed and error is not None else None,
            error=str(error) if failed and error is not None else None,
        )

    @property
    def summary(self) -> str:
        """The result for people, in one line."""
        counted = {name: getattr(self, name) for name in ("received", *COUNTERS)}
        told = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counted.items() if value)
        return f"{self.account}: {self.outcome}{': ' * bool(self.error or told)}{self.error or told}"

    @property
    def exit_code(self) -> int:
        """What `syncer sync` exits with for this account: 1 if it failed, 3 if a person should look, else 0."""
        if self.outcome == "failed":
            return 1
        return 3 if self.held or self.rejected else 0
