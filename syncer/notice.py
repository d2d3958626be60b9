"""A notice: what is said in one message, before it has words, and the message that a channel sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID


class NumberEvent(Struct, frozen=True, kw_only=True):
    """Something that happened to a number.

    Attributes:
        event: One of `syncer.notices.rules.NUMBER_EVENTS`.
        number: Its phone number after the change, as stored; the last one if it was removed.
        field: The field that changed; None if the number was removed. `state` for a number that is new or returned.
        old: The value before: null if there was none.
        new: The value after.
        old_name: What the employee or the group whose id `old` is was called; None of other fields, and if it is not
            known or was erased.
        new_name: The same of `new`.
        employee_id: The employee who had the number after the change; the last one if it was removed.
        employee: The name of that employee; None if it is not known or was erased.
        reason: The reason for the new state, if the field is `state`.
        changed_after: The last poll before the change: it happened after that; null if no earlier poll saw the account.
            Of a number that returned, when it was last listed before its removal.
        changed_at: The poll that saw the change. Of a removed number, when it was first missed.
        recorded_at: When the run was recorded. Of a removed number, when its removal was believed.
    """

    event: str
    virtual_number_id: int
    number: str | None
    field: str | None
    old: str | None
    new: str | None
    reason: str | None
    old_name: str | None
    new_name: str | None
    employee_id: int | None
    employee: str | None
    changed_after: datetime | None
    changed_at: datetime
    recorded_at: datetime
    run_id: int


class BlockedNumber(Struct, frozen=True, kw_only=True):
    """A number that is locked (`debt_lock`) or frozen (`freeze`), since when, and who has it."""

    virtual_number_id: int
    number: str | None
    employee_id: int | None
    employee: str | None
    state: str
    since: datetime


class AccountCondition(Struct, frozen=True, kw_only=True):
    """A condition of an account that needs a person: it has begun, or it has ended.

    Attributes:
        kind: One of `syncer.notices.rules.CONDITIONS`.
        began_at: When it was seen first; of `stale`, the account's last success, or when it was first polled.
        ended_at: When it was seen to have ended; None while it holds.
        began_before: Whether an earlier notice has said that it began.
        count: How many removals are held or records are rejected; None of the others.
    """

    account_id: int
    account: str
    time_zone: str
    kind: str
    began_at: datetime
    ended_at: datetime | None
    began_before: bool
    count: int | None


class Digest(Struct, frozen=True, kw_only=True):
    """What a digest says besides its events.

    Attributes:
        blocked_counts: How many numbers are in each of the states `debt_lock` and `freeze`, once the events happened.
        blocked: Those that are longest in them, the longest first, at most 20.
        polls_since: From when on polls are counted here.
        failed_polls: How many of the polls since then failed, by error kind; `abandoned` is one.
        conditions: Conditions of the account that have held since then; `began_before` says that they held already.
    """

    blocked_counts: Mapping[str, int]
    blocked: Sequence[BlockedNumber]
    polls_since: datetime
    failed_polls: Mapping[str, int]
    conditions: Sequence[AccountCondition] = ()


class ChangesNotice(Struct, frozen=True, kw_only=True):
    """What happened to the numbers of one account in a span of runs.

    Attributes:
        message_id: The same in each attempt to send it.
        created_at: When the notice was made; the same in each attempt.
        time_zone: The account's.
        after_run_id: The span begins after this run.
        through_run_id: It ends with this one.
        counts: How many events of each kind there are.
        events: The first of them, at most 100 in all and at most 20 of a kind if there are more.
        window: From when to when they happened; the beginning can be unknown.
        digest: Only of a rule with a crontab line.
    """

    message_id: UUID
    created_at: datetime
    account_id: int
    account: str
    time_zone: str
    rule: str
    after_run_id: int
    through_run_id: int
    counts: Mapping[str, int]
    events: Sequence[NumberEvent]
    window: tuple[datetime | None, datetime] | None
    digest: Digest | None


class ConditionsNotice(Struct, frozen=True, kw_only=True):
    """Conditions of one or several accounts that began or ended together."""

    message_id: UUID
    created_at: datetime
    rule: str
    conditions: Sequence[AccountCondition]


class TestNotice(Struct, frozen=True, kw_only=True):
    """A made-up notice that shows whether a channel works; the message says that it is a test."""

    __test__ = False  # not a class of tests

    message_id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A notice as a channel sends it.

    Attributes:
        message_id: The same in each attempt to send it.
        created_at: When the notice was made.
        subject: One line for people, without control characters.
        text: Plain text for people, several lines, without the subject.
        body: The notice as JSON, the same bytes in each attempt.
        may_repeat: Whether an earlier attempt may have arrived without an answer.
    """

    message_id: UUID
    created_at: datetime
    subject: str
    text: str
    body: bytes
    may_repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an attempt to send a message ended.

    Attributes:
        outcome: `sent`; `failed` if it may succeed later; `refused` if this receiver accepts nothing any more.
        http_status: The status of the receiver's answer, if it speaks HTTP.
        error: What went wrong, in one line without addresses that contain secrets, tokens and phone numbers. Of a
            message that was sent, what went wrong for a part of its recipients.
        retry_after: How long the receiver asked to wait.
        is_uncertain: Whether the message may have arrived although no answer came.
    """

    outcome: Literal["sent", "failed", "refused"]
    http_status: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    is_uncertain: bool = False


class Sender(Protocol):
    """Sends messages through one channel."""

    async def send(self, message: Message) -> Attempt:
        """Sends a message once. Raises nothing but a cancellation: a failure is in the result."""

    async def check(self) -> str:
        """Verifies the channel as far as that is possible without a message, and returns what was found, in one line.

        Raises:
            NoticeError: The channel cannot work; says what to do.
        """
