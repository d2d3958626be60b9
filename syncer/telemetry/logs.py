"""Logging, and the one place where the results of polls are logged and counted.

Event names are constants, and everything that varies is in fields. No field ever holds a token or a password.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from io import StringIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import stamina.instrumentation
import structlog

from syncer.diff.changeset import MAX_KEY_CHARS
from syncer.diff.response import MAX_STORED_REJECTIONS
from syncer.endpoint.retry_after import in_words
from syncer.errors import InternalError
from syncer.outcome import COUNTERS, accept_removals_command
from syncer.printable import contains_phone_number, escape_unprintable
from syncer.standard_streams import QueuedStream

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime, timedelta
    from typing import TextIO

    from pydantic import SecretStr
    from structlog.typing import EventDict, ExcInfo

    from syncer.diff.changeset import PollTotals
    from syncer.endpoint.client import Response
    from syncer.outcome import Conclusion, PollResult, Trigger
    from syncer.store.identities import IdentityBehind
    from syncer.telemetry.metrics import Metrics

log = structlog.get_logger("syncer")

_SUSPICIOUS_SHARE: Final = 0.2
"""A column that changes in more than this share of the numbers in one poll was probably changed by the vendor."""
_MIN_NUMBERS_FOR_SHARE: Final = 10
_MAX_LOGGED_VALUES: Final = 20
_MAX_LOGGED_KEYS: Final = 20
_MIN_SECRET_CHARS: Final = 4
_COUNTED_SEPARATELY: Final = {"state", "reason", "from_redirect_numbers"}


@dataclass(slots=True)
class PollStats:
    """What is logged or counted about a poll in addition to its result.

    Attributes:
        trigger: What started the poll.
        lateness: How long after its due time the poll started; None if it was not scheduled.
        http_status: The status of the last response; None if there was none.
        response_bytes: Size of the decoded body; None if there was none.
        attempts: Number of requests until the successful one; None if none succeeded.
        absent_keys: For each key, how many of the decoded records lacked it.
        vanished_keys: The keys that no record of the response has, although some had them until now.
        suspicious_columns: Columns that changed in more than a fifth of the numbers, each with the count.
        fields_changed: Changed fields of all numbers, not counting state, reason and redirects.
        new_lookup_values: Values of the vendor that were never seen before, by field.
        refused_words: How many new values of each field were not stored, because the response has too many.
        token: The account's token, which no log line may contain.
        identities_behind: Generated ids that were behind the data, and that were put right.
        crash: The exception of a bug in the program, if one ended the poll.
        clock_ahead: How far the last observation is ahead of the database's clock, if by more than five minutes.
        slot_waits: For each of `SLOTS` that it needed, for how many seconds the poll waited until one was free.
        partial_reason: Why the response is a part of the list only, in a sentence; None if no header says so.
        unreadable: How many distinct elements of the response have an id that cannot be read.
    """

    trigger: Trigger
    lateness: timedelta | None = None
    http_status: int | None = None
    response_bytes: int | None = None
    attempts: int | None = None
    absent_keys: Counter[str] = field(default_factory=Counter)
    vanished_keys: list[str] = field(default_factory=list)
    suspicious_columns: dict[str, int] = field(default_factory=dict)
    fields_changed: int = 0
    new_lookup_values: dict[str, list[str]] = field(default_factory=dict)
    refused_words: dict[str, int] = field(default_factory=dict)
    token: SecretStr | None = None
    clock_ahead: timedelta | None = None
    slot_waits: dict[str, float] = field(default_factory=dict)
    partial_reason: str | None = None
    unreadable: int = 0
    crash: Exception | None = None
    identities_behind: Sequence[IdentityBehind] = ()

    @asynccontextmanager
    async def count_wait(self, slot: str, slots: asyncio.Semaphore) -> AsyncIterator[None]:
        """Holds a slot within this context, and counts the time until one is free."""
        began = time.monotonic()
        async with slots:
            self.slot_waits[slot] = time.monotonic() - began
            yield

    def notes(self, conclusion: Conclusion) -> tuple[str, ...]:
        """Returns what a person should know about the response besides the counters, one sentence each."""
        notes = []
        if self.partial_reason is not None:
            notes.append(self.partial_reason)
        if self.trigger == "accept_removals" and self.unreadable and conclusion.counters.get("removed"):
            notes.append(
                f"elements whose id cannot be read: {self.unreadable}; each of them may be one of the removed numbers"
            )
        return tuple(notes)

    def add_response(self, response: Response) -> None:
        """Adds what is logged about a response, before its body is parsed."""
        self.http_status, self.response_bytes = response.http_status, response.size
        self.attempts = response.attempts

    def add_crash(self, error: Exception) -> InternalError:
        """Adds an exception that no poll expects, to be logged with its traceback if it is a fault of the program."""
        failure = InternalError(error)
        self.crash = error if failure.is_fault else None
        return failure

    def add_changes(self, totals: PollTotals, *, listed: int) -> None:
        """Adds what is logged about the changes that were written.

        Args:
            totals: The totals of the poll.
            listed: How many numbers were listed before it.
        """
        self.absent_keys = totals.absent_keys
        self.fields_changed = sum(
            count for column, count in totals.column_changes.items() if column not in _COUNTED_SEPARATELY
        )
        if listed >= _MIN_NUMBERS_FOR_SHARE:
            self.suspicious_columns = {
                column: count for column, count in totals.column_changes.items() if count > _SUSPICIOUS_SHARE * listed
            }


def report_poll(result: PollResult, stats: PollStats, metrics: Metrics) -> None:
    """Counts a poll and logs its result as `poll_finished`, with a warning of its own for each thing to look at."""
    metrics.count_poll(
        result, fields_changed=stats.fields_changed, new_lookup_values=stats.new_lookup_values, lateness=stats.lateness
    )
    metrics.count_slot_waits(stats.slot_waits)
    bound = log.bind(account=result.account, run_id=result.run_id)
    if stats.crash is not None:
        bound.error("poll_crashed", exc_info=stats.crash)
    report_identities(stats.identities_behind)
    is_unchanged = result.outcome == "unchanged"
    is_failed = result.outcome in {"failed", "unknown"}
    level = logging.WARNING if is_failed else logging.DEBUG if is_unchanged else logging.INFO
    bound.log(level, "poll_finished", **_event_fields(result, stats))
    _warn(bound, result, stats)
    _warn_about_content(bound, stats)


def _warn(bound: Any, result: PollResult, stats: PollStats) -> None:  # noqa: ANN401 - structlog's logger has no type
    """Logs what a person should look at: first about missing and rejected numbers, then about the response."""
    is_unchanged = result.outcome == "unchanged"
    if stats.partial_reason is not None:
        bound.warning("response_is_partial", reason=stats.partial_reason)
    if result.held and not is_unchanged:
        unreadable = {"unreadable": stats.unreadable} if stats.unreadable else {}
        bound.warning(
            "removals_held",
            held=result.held,
            **unreadable,
            todo=f"if they are really gone: {accept_removals_command(result.account)}",
        )
    if stats.trigger == "accept_removals" and stats.unreadable and result.removed:
        bound.warning(
            "removals_accepted_with_unreadable_elements",
            removed=result.removed,
            unreadable=stats.unreadable,
            todo="each of these elements may be one of the removed numbers: see: syncer status",
        )
    if result.rejected and not is_unchanged:
        stored = {"stored": MAX_STORED_REJECTIONS} if result.rejected > MAX_STORED_REJECTIONS else {}
        bound.warning("records_rejected", rejected=result.rejected, **stored, todo="see: syncer status")


def _warn_about_content(bound: Any, stats: PollStats) -> None:  # noqa: ANN401 - structlog's logger has no type
    """Logs what is unusual about the content of a response."""
    if stats.new_lookup_values:
        bound.warning(
            "unknown_values",
            **{
                name: [_masked(value, stats.token) for value in values[:_MAX_LOGGED_VALUES]]
                for name, values in stats.new_lookup_values.items()
            },
        )
    if stats.refused_words:
        bound.warning(
            "words_refused",
            **stats.refused_words,
            todo="too many new values in one response: its other records are rejected; ask the vendor what they are",
        )
    if stats.vanished_keys:
        bound.warning(
            "keys_vanished",
            keys=[_masked_beginning(key, stats.token) for key in stats.vanished_keys[:_MAX_LOGGED_KEYS]],
            todo="fields with a column keep their last values; ask the vendor whether the keys are gone for good",
        )
    if stats.suspicious_columns:
        bound.warning("mass_column_change", **stats.suspicious_columns)
    if stats.clock_ahead is not None:
        bound.warning("database_clock_behind", seconds=stats.clock_ahead.total_seconds())


def _masked(value: str, token: SecretStr | None) -> str:
    """Returns a value of the vendor, or asterisks in its place if it contains the token or a phone number."""
    plain = value
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    plain = plain.lower()
    if contains_phone_number(plain) or (token is not None and token.get_secret_value().lower() in plain):
        return "***"
    return value


def _masked_beginning(key: str, token: SecretStr | None) -> str:
    """Returns what `_masked` does, and asterisks too if the key may have been cut within the token."""
    if token is not None and len(key) >= MAX_KEY_CHARS:
        secret = token.get_secret_value().lower()
        if any(key.lower().endswith(secret[:length]) for length in range(_MIN_SECRET_CHARS, len(secret))):
            return "***"
    return _masked(key, token)


def report_postponed(account: str, asked: timedelta, due_at: datetime) -> None:
    """Logs that an account is polled later than its schedule says, because the endpoint asked for it."""
    log.warning(
        "poll_postponed",
        account=account,
        asked_wait=in_words(asked.total_seconds()),
        due_at=due_at.astimezone(UTC).isoformat(timespec="seconds"),
    )


def report_identities(behind: Sequence[IdentityBehind]) -> None:
    """Logs generated ids that were behind the data, and that were put right."""
    for identity in behind:
        log.warning("ids_advanced", found=identity.problem, goes_on_after=identity.next)


def _event_fields(result: PollResult, stats: PollStats) -> dict[str, Any]:
    """Returns the fields of `poll_finished`: counters that are 0 are left out, but `received` is kept even then."""
    counters = {name: value for name in COUNTERS if (value := getattr(result, name))}
    event_fields = {
        "trigger": stats.trigger,
        "outcome": result.outcome,
        "received": result.received,
        **counters,
        "absent_keys": dict(stats.absent_keys) or None,
        "http_status": stats.http_status,
        "response_bytes": stats.response_bytes,
        "attempts": stats.attempts,
        "lateness_seconds": None if stats.lateness is None else round(stats.lateness.total_seconds(), 3),
        "duration_seconds": result.duration_seconds,
        "slot_wait_seconds": round(sum(stats.slot_waits.values()), 3) or None,
        "error_kind": result.error_kind,
        "error": result.error,
    }
    return {name: value for name, value in event_fields.items() if value is not None}


def configure_logging(level: str, log_format: str) -> None:
    """Sends logs, including those of libraries, to standard error.

    Args:
        level: The minimum level: `debug`, `info`, `warning` or `error`.
        log_format: `console`, `json`, or `auto`: `console` if standard error is a terminal, else `json`.
    """
    is_console = sys.stderr.isatty() if log_format == "auto" else log_format == "console"
    renderers = _console_processors() if is_console else _json_processors()
    enrichers: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*enrichers, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    library_handler = logging.StreamHandler(sys.stderr)
    library_handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=enrichers,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[library_handler], level=logging.WARNING, force=True)
    if isinstance(sys.stderr, QueuedStream):
        sys.stderr.on_resume = _report_dropped_lines
    # By default each retry would be printed to standard output; `attempts` in `poll_finished` counts them.
    stamina.instrumentation.set_on_retry_hooks(())


def _report_dropped_lines(lines: int) -> None:
    log.warning("log_lines_dropped", lines=lines, todo="what reads the log had stopped, or is too slow")


def _console_processors() -> list[Any]:
    return [
        _escape_fields,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=_print_traceback, sort_keys=False
        ),
    ]


def _escape_fields(_: Any, __: str, event_dict: EventDict) -> EventDict:  # noqa: ANN401 - as structlog has it
    return {name: _escaped(value) for name, value in event_dict.items()}


def _escaped(value: Any) -> Any:  # noqa: ANN401 - a field may hold anything
    match value:
        case str():
            return escape_unprintable(value)
        case list():
            return [_escaped(element) for element in value]
        case dict():
            return {_escaped(key): _escaped(element) for key, element in value.items()}
        case _:
            return value


def _print_traceback(file: TextIO, exc_info: ExcInfo) -> None:
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    file.write("\n".join(map(escape_unprintable, text.getvalue().split("\n"))))


def _json_processors() -> list[Any]:
    # Local variables are never logged: one of them may hold a token.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    to_json = structlog.processors.JSONRenderer(ensure_ascii=False)

    def render(logger: Any, name: str, event_dict: EventDict) -> str:  # noqa: ANN401 - as structlog has it
        return escape_unprintable(str(to_json(logger, name, event_dict)))  # JSON escapes only some of these characters

    return [structlog.processors.ExceptionRenderer(tracebacks), render]
