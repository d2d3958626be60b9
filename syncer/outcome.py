"""The result of a poll: the fields of `syncer sync --json` and of the run's row."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final, Literal, Self

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.errors import PollError

Trigger = Literal["schedule", "command", "accept_removals"]
"""What started a poll: the daemon's schedule, `syncer sync`, or `syncer sync --accept-removals`."""

Outcome = Literal["applied", "unchanged", "failed", "superseded", "unknown"]
"""How a poll ended. `unknown`: the connection was lost at the commit, and the database has not answered since."""

COUNTERS: Final = (
    "created",
    "changed",
    "unchanged",
    "removed",
    "restored",
    "held",
    "unconfirmed",
    "rejected",
    "state_changes",
    "redirects_opened",
    "redirects_closed",
)
"""The run's counters, except `received`, which is unknown until a response has been parsed."""


class Conclusion(Struct, frozen=True):
    """The outcome of a poll with its counters: `received`, and those of `COUNTERS` that are not 0."""

    outcome: Outcome
    counters: Mapping[str, int]


def accept_removals_command(account: str) -> str:
    """Returns the shell command that removes an account's missing numbers without waiting for the hold to end."""
    return f"syncer sync --account {shlex.quote(account)} --accept-removals"


class PollResult(Struct, frozen=True, kw_only=True):
    """The result of a poll.

    Attributes:
        outcome: `applied`, `unchanged`, `failed`, `superseded` or `unknown`.
        received: Number of elements in the response; None if it was not parsed.
        duration_seconds: Time from the start of the poll to its outcome.
        error_kind: If it failed or its outcome is unknown, the kind of the error, one of those in the contract.
        error: In the same cases, what went wrong and what to do, in one line.
        retry_after_seconds: If it failed, how long the endpoint asked to wait, if it did; not part of the JSON.
        notes: What a person should know about the response besides; not part of the JSON.
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
    unconfirmed: int = 0
    rejected: int = 0
    state_changes: int = 0
    redirects_opened: int = 0
    redirects_closed: int = 0
    duration_seconds: float
    error_kind: str | None = None
    error: str | None = None
    retry_after_seconds: float | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        account: str,
        run_id: int | None,
        conclusion: Conclusion,
        error: PollError | None,
        *,
        seconds: float,
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Makes the result of a poll.

        Args:
            account: The account's name.
            run_id: The run's key; None if no run was recorded.
            conclusion: The outcome and the counters.
            error: The error, if there was one; it is reported only if the outcome is `failed` or `unknown`.
            seconds: How long the poll took.
            notes: What a person should know about the response besides.
        """
        text = None if error is None else str(error)
        if conclusion.outcome == "unknown":
            text = (
                f"the outcome of run {run_id} is unknown, because the connection was lost at its commit and the "
                f"database has not answered since ({text}); when it is back, `syncer export runs` lists the outcome: "
                "if that is running or abandoned, nothing was changed"
            )
        has_error = error is not None and conclusion.outcome in {"failed", "unknown"}
        return cls(
            account=account,
            run_id=run_id,
            outcome=conclusion.outcome,
            **conclusion.counters,
            duration_seconds=round(seconds, 6),
            error_kind=error.kind if has_error and error is not None else None,
            error=text if has_error else None,
            retry_after_seconds=error.retry_after if has_error and error is not None else None,
            notes=notes,
        )

    @property
    def summary(self) -> str:
        """The result in one line of text."""
        counters = {name: getattr(self, name) for name in ("received", *COUNTERS)}
        counts = ", ".join(_count(value, name.replace("_", " ")) for name, value in counters.items() if value)
        result = f"{self.account}: {self.outcome}{': ' * bool(self.error or counts)}{self.error or counts}"
        return "; ".join((result, *self.notes))

    @property
    def exit_code(self) -> int:
        """The exit code of `syncer sync` for this account: 1 failed, 4 unknown, 3 needs attention, else 0."""
        if self.outcome in {"failed", "unknown"}:
            return 1 if self.outcome == "failed" else 4
        return 3 if self.held or self.rejected else 0


def _count(value: int, counted: str) -> str:
    """Returns a count in words: "1 redirect opened", "2 redirects opened"."""
    return f"{value} {counted.replace('changes', 'change').replace('redirects', 'redirect') if value == 1 else counted}"
