"""Logs and counters: the one place where what polls came to is told and counted.

Event names are static, values are fields. There is never a token or a password among them.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import stamina.instrumentation
import structlog

from syncer.outcome import COUNTERS, accept_removals_command

if TYPE_CHECKING:
    from datetime import timedelta

    from syncer.diff.changeset import PollTotals
    from syncer.endpoint.client import Response
    from syncer.outcome import PollResult, Trigger
    from syncer.telemetry.metrics import Metrics

log = structlog.get_logger("syncer")

_SUSPICIOUS_SHARE: Final = 0.2
"""Of the numbers: a column that changes in more of them at once was likely changed by the vendor, not by anybody."""
_MIN_NUMBERS_FOR_SHARE: Final = 10
_MAX_LOGGED_VALUES: Final = 20
_COUNTED_SEPARATELY: Final = {"state", "reason", "from_redirect_numbers"}


@dataclass(slots=True)
class PollStats:
    """What is worth telling of a poll beside its result.

    Attributes:
        trigger: What began it.
        lateness: How long after it was due it began; None if it was not scheduled.
        http_status: What the endpoint answered with, where it answered.
        response_bytes: Size of the decoded body, where one came.
        attempts: How many requests the response took; None if none came.
        absent_keys: How many of the records looked at lacked each key.
        suspicious_columns: Columns that changed in more than a fifth of the numbers, and in how many.
        fields_changed: How many fields changed in all numbers, but for state, reason and redirects.
        learned: Words of the vendor that nobody had seen before, by field.
        clock_ahead: How far the last observation lies ahead of the database's clock, if by more than five minutes.
    """

    trigger: Trigger
    lateness: timedelta | None = None
    http_status: int | None = None
    response_bytes: int | None = None
    attempts: int | None = None
    absent_keys: Counter[str] = field(default_factory=Counter)
    suspicious_columns: dict[str, int] = field(default_factory=dict)
    fields_changed: int = 0
    new_lookup_values: dict[str, list[str]] = field(default_factory=dict)
    clock_ahead: timedelta | None = None

    def add_response(self, response: Response) -> None:
        """Keeps what an answer is worth telling of, whatever it says."""
        self.http_status, self.response_bytes = response.http_status, len(response.body)
        self.attempts = response.attempts

    def add_changes(self, total: PollTotals, *, listed: int) -> None:
        """Keeps what is worth telling of all that was decided and written."""
        self.absent_keys = total.absent_keys
        self.fields_changed = sum(
            count for column, count in total.column_changes.items() if column not in _COUNTED_SEPARATELY
        )
        if listed >= _MIN_NUMBERS_FOR_SHARE:
            self.suspicious_columns = {
                column: count for column, count in total.column_changes.items() if count > _SUSPICIOUS_SHARE * listed
            }


def report_poll(result: PollResult, stats: PollStats, metrics: Metrics) -> None:
    """Counts what a poll came to, and tells it in one line, and in further ones what a person should look at."""
    metrics.count_poll(
        result, fields_changed=stats.fields_changed, new_lookup_values=stats.new_lookup_values, lateness=stats.lateness
    )
    bound = log.bind(account=result.account, run_id=result.run_id)
    quiet = result.outcome == "unchanged"
    level = logging.WARNING if result.outcome == "failed" else logging.DEBUG if quiet else logging.INFO
    bound.log(level, "poll_finished", **_event_fields(result, stats))
    if result.held and not quiet:
        bound.warning(
            "removals_held",
            held=result.held,
            todo=f"if they are really gone: {accept_removals_command(result.account)}",
        )
    if result.rejected and not quiet:
        bound.warning("records_rejected", rejected=result.rejected, todo="see: syncer status")
    if stats.new_lookup_values:
        bound.warning(
            "unknown_values", **{name: words[:_MAX_LOGGED_VALUES] for name, words in stats.new_lookup_values.items()}
        )
    if stats.suspicious_columns:
        bound.warning("mass_column_change", **stats.suspicious_columns)
    if stats.clock_ahead is not None:
        bound.warning("database_clock_behind", seconds=stats.clock_ahead.total_seconds())


def report_poll_crash(account: str, error: Exception, metrics: Metrics) -> None:
    """Counts and tells that a fault of the program ended a poll."""
    metrics.count_crash(account)
    log.error("poll_crashed", account=account, exc_info=error)


def _event_fields(result: PollResult, stats: PollStats) -> dict[str, Any]:
    """The fields of a poll's one line: counters only where they are not 0, but how much was received even then."""
    counted = {name: value for name in COUNTERS if (value := getattr(result, name))}
    told = {
        "trigger": stats.trigger,
        "outcome": result.outcome,
        "received": result.received,
        **counted,
        "absent_keys": dict(stats.absent_keys) or None,
        "http_status": stats.http_status,
        "response_bytes": stats.response_bytes,
        "attempts": stats.attempts,
        "lateness_seconds": None if stats.lateness is None else round(stats.lateness.total_seconds(), 3),
        "duration_seconds": result.duration_seconds,
        "error_kind": result.error_kind,
        "error": result.error,
    }
    return {name: value for name, value in told.items() if value is not None}


def configure_logging(level: str, form: str) -> None:
    """Sends logs, those of libraries too, to standard error.

    Args:
        level: The least that is told: `debug`, `info`, `warning` or `error`.
        form: `console` lines, `json` objects, or `auto`: by whether standard error is a terminal.
    """
    is_console = sys.stderr.isatty() if form == "auto" else form == "console"
    rendering = _console_processors() if is_console else _json_processors()
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[libraries], level=logging.WARNING, force=True)
    # What a poll asked twice for is told by its outcome; by default each retry would be printed to standard output.
    stamina.instrumentation.set_on_retry_hooks(())


def _console_processors() -> list[Any]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    ]


def _json_processors() -> list[Any]:
    # Never with local variables: a token may be among them.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer(ensure_ascii=False)]
