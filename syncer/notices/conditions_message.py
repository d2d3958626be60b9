"""The subject and the text of a notice of conditions of accounts."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal

from syncer.notices.layout import MAX_LINES, MAX_SUBJECT, Group, clean_name, join_phrases, lay_out, subject_line
from syncer.notices.moments import Moments
from syncer.notices.rules import CONDITIONS
from syncer.notices.texts import COUNTED, Words
from syncer.outcome import accept_removals_command
from syncer.printable import single_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.notice import AccountCondition, ConditionsNotice
    from syncer.notices.rules import Channel

ConditionEvent = Literal["began", "began_and_ended", "ended"]
"""What a notice says of a condition."""
_EVENTS: Final[tuple[ConditionEvent, ...]] = ("began", "began_and_ended", "ended")
_COUNTS: Final = {"held": "numbers", "rejected": "records"}
"""What is counted of a condition."""


def condition_event(condition: AccountCondition) -> ConditionEvent:
    """Returns what a notice says of a condition."""
    if condition.ended_at is None:
        return "began"
    return "ended" if condition.began_before else "began_and_ended"


def write_conditions(notice: ConditionsNotice, channel: Channel) -> tuple[str, str]:
    """Returns the subject and the text of a notice in the language of a channel."""
    return _ConditionsWriter(notice, channel).write()


def describe_conditions(notice: ConditionsNotice, channel: Channel) -> list[str]:
    """Returns a phrase for each condition of one account, as for a digest."""
    writer = _ConditionsWriter(notice, channel)
    return [writer.phrase([condition]) for condition in sorted(notice.conditions, key=_importance)]


class _ConditionsWriter:
    def __init__(self, notice: ConditionsNotice, channel: Channel) -> None:
        self._notice = notice
        self._words = Words(channel.language)

    def write(self) -> tuple[str, str]:
        conditions = self._notice.conditions
        by_kind = [list(group) for _, group in groupby(sorted(conditions, key=_importance), _importance)]
        groups = [self._group(group) for group in by_kind]
        if len({one.account_id for one in conditions}) == 1:
            phrases = join_phrases([self.phrase(group) for group in by_kind])
            subject = f"{clean_name(conditions[0].account)}: {phrases}"
        else:
            subject = join_phrases([group.heading for group in groups], "; ")
        return subject_line(subject), lay_out(groups, self._footer(), self._words)

    def _footer(self) -> str:
        zones = sorted({one.time_zone for one in self._notice.conditions})
        zone = self._words.text("own_zones" if len(zones) > 1 else "one_zone", time_zone=clean_name("".join(zones[:1])))
        return self._words.text("conditions_footer", rule=clean_name(self._notice.rule), zone=zone)

    def _group(self, conditions: Sequence[AccountCondition]) -> Group:
        first, several = conditions[0], len(conditions) > 1
        accounts = self._words.counted("accounts", len(conditions)) if several else clean_name(first.account)
        with_time = not self._common_time(conditions)
        return Group(
            heading=f"{accounts}: {self.phrase(conditions)}",
            lines=[self._line(one, with_time=with_time) for one in conditions[:MAX_LINES]] if several else (),
            count=len(conditions) * several,
            hint=self._hint(first, several=several) if condition_event(first) == "began" else "",
        )

    def phrase(self, conditions: Sequence[AccountCondition]) -> str:
        """Says what has begun or ended, and when, unless that differs between the accounts."""
        first = conditions[0]
        name = f"{first.kind}_{condition_event(first)}"
        count = sum(one.count or 0 for one in conditions) if first.kind in _COUNTS else len(conditions)
        phrase = self._words.counted(name, count) if count and name in COUNTED else self._words.text(name)
        separator = ", " if condition_event(first) == "ended" else " "
        time = self._common_time(conditions)
        return f"{phrase}{separator}{time}" if time else phrase

    def _common_time(self, conditions: Sequence[AccountCondition]) -> str:
        times = {self._time(one) for one in conditions}
        return times.pop() if len(times) == 1 else ""

    def _time(self, condition: AccountCondition) -> str:
        moments = Moments(self._words, condition.time_zone, self._notice.created_at)
        if condition.ended_at is None:
            return self._words.text("since", begin=moments.moment(condition.began_at))
        period = moments.period(condition.began_at, condition.ended_at)
        return self._words.text(f"{condition.kind}_was", period=period) if condition.began_before else period

    def _line(self, condition: AccountCondition, *, with_time: bool) -> str:
        details = [self._time(condition)] * with_time
        counted = _COUNTS.get(condition.kind)
        if counted and condition.count and condition_event(condition) != "ended":
            details.insert(0, self._words.counted(counted, condition.count))
        name = clean_name(condition.account)
        return f"{name}: {', '.join(details)}" if details else name

    def _hint(self, condition: AccountCondition, *, several: bool) -> str:
        account = self._words.text("some_account") if several else single_line(condition.account, MAX_SUBJECT)
        return self._words.text(f"{condition.kind}_hint", command=accept_removals_command(account))


def _importance(condition: AccountCondition) -> tuple[int, int]:
    return _EVENTS.index(condition_event(condition)), CONDITIONS.index(condition.kind)
