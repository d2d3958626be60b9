"""The subject and the text of a notice of changes of numbers, and of a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncer.notice import ConditionsNotice
from syncer.notices.conditions_message import describe_conditions
from syncer.notices.layout import Group, capitalise, clean_name, join_phrases, lay_out, subject_line
from syncer.notices.moments import Moments
from syncer.notices.rules import NUMBER_EVENTS
from syncer.notices.texts import Words
from syncer.notices.values import Values, vendor_text
from syncer.titles import ERROR_TITLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from syncer.notice import ChangesNotice, Digest, NumberEvent
    from syncer.notices.rules import Channel

_BLOCKING: Final = {"locked", "frozen"}
_BLOCKED_STATES: Final = ("debt_lock", "freeze")


def write_changes(notice: ChangesNotice, channel: Channel) -> tuple[str, str]:
    """Returns the subject and the text of a notice in the language of a channel."""
    return _ChangesWriter(notice, channel).write()


class _ChangesWriter:
    def __init__(self, notice: ChangesNotice, channel: Channel) -> None:
        self._notice = notice
        self._channel = channel
        self._numbers = channel.numbers
        self._words = Words(channel.language)
        self._values = Values(self._words, channel.numbers, names=channel.names)
        self._moments = Moments(self._words, notice.time_zone, notice.created_at)
        self._kinds = [event for event in NUMBER_EVENTS if notice.counts.get(event)]

    def write(self) -> tuple[str, str]:
        notice = self._notice
        groups = [self._events_group(event) for event in self._kinds]
        if not groups:
            groups.append(Group(heading=capitalise(self._words.text("no_changes"))))
        if notice.digest is not None:
            groups += self._digest_groups(notice.digest)
        footer = self._words.text(
            "changes_footer",
            account=clean_name(notice.account),
            rule=clean_name(notice.rule),
            time_zone=clean_name(notice.time_zone),
        )
        return self._subject(), lay_out(groups, footer, self._words)

    def _subject(self) -> str:
        words, window = self._words, self._notice.window
        phrases = [words.counted(event, self._notice.counts[event]) for event in self._kinds]
        what = join_phrases(phrases) or words.text("no_changes")
        if len(self._kinds) == 1 and (common := self._common_window(self._kinds[0])):
            what += f", {common}"
        elif phrases and window is not None:
            what += f", {self._moments.window(*window)}"
        return subject_line(f"{clean_name(self._notice.account)}: {what}")

    def _events_of(self, event: str) -> list[NumberEvent]:
        return [one for one in self._notice.events if one.event == event]

    def _events_group(self, event: str) -> Group:
        count, common = self._notice.counts[event], self._common_window(event)
        heading = capitalise(self._words.counted(event, count))
        return Group(
            heading=f"{heading}, {common}" if common else heading,
            lines=[self._line(one, with_window=not common) for one in self._events_of(event)],
            count=count,
        )

    def _common_window(self, event: str) -> str:
        """Returns the window that all events of a kind have, or an empty text if it is not known that all have it."""
        events, count = self._events_of(event), self._notice.counts[event]
        if len({self._window(one) for one in events}) != 1:
            return ""
        # Of the events that are not listed, only the window of the whole notice is known.
        if len(events) < count and (_has_window_of_its_own(events[0]) or self._notice.window != _bounds(events[0])):
            return ""
        return self._window(events[0], count=count)

    def _window(self, event: NumberEvent, count: int = 1) -> str:
        moment = self._moments.moment
        if event.event == "removed":
            missed = moment(event.changed_at)
            name = "removed_at_once" if missed == moment(event.recorded_at) else "removed_later"
            return self._words.counted(name, count, missed=missed, recorded=self._moments.at(event.recorded_at))
        if _has_window_of_its_own(event):
            seen = moment(event.changed_at)
            if event.changed_after is None:
                return self._words.counted("returned_at", count, seen=seen)
            last_seen = moment(event.changed_after)
            return self._words.counted("returned_after", count, seen=seen, last_seen=last_seen)
        return self._moments.window(*_bounds(event))

    def _line(self, event: NumberEvent, *, with_window: bool) -> str:
        details = [*self._details(event), *[self._window(event)] * with_window]
        # The change of an employee says who had the number and who has it.
        employee = None if event.event == "employee" else event.employee
        number = self._values.number_of(event.number, event.virtual_number_id, employee)
        return f"{number}: {'; '.join(details)}" if details else number

    def _details(self, event: NumberEvent) -> Iterator[str]:
        old, new, field = event.old, event.new, event.field
        if event.event in _BLOCKING or event.event == "unlocked":
            if old is None:
                yield self._words.text("is_new")
            elif old not in {new, "active"}:
                yield self._words.text("was", state=self._values.value("state", old))
        elif event.event in {"new", "returned"} and new is not None and old in {None, new}:
            yield self._values.value(field or "state", new)
        elif field is not None:
            yield self._values.change(field, old, new, (event.old_name, event.new_name))
        if event.reason and field != "reason":
            yield self._values.quote(event.reason)

    def _digest_groups(self, digest: Digest) -> Iterator[Group]:
        states = [state for state in _BLOCKED_STATES if digest.blocked_counts.get(state)]
        yield from (self._blocked_group(digest, state) for state in states)
        if not states:
            yield Group(heading=self._words.text("none_blocked"))
        begin = self._moments.moment(digest.polls_since)
        if failed := sum(digest.failed_polls.values()):
            kinds = sorted(digest.failed_polls.items(), key=lambda item: (-item[1], item[0]))
            yield Group(
                heading=self._words.text(
                    "failed_polls",
                    begin=begin,
                    count=self._words.count(failed),
                    kinds=", ".join(f"{self._error(kind)}: {self._words.count(polls)}" for kind, polls in kinds),
                )
            )
        else:
            yield Group(heading=self._words.text("no_failed_polls", begin=begin))
        conditions = ConditionsNotice(
            message_id=self._notice.message_id,
            created_at=self._notice.created_at,
            rule=self._notice.rule,
            conditions=digest.conditions,
        )
        yield from (Group(heading=capitalise(phrase)) for phrase in describe_conditions(conditions, self._channel))

    def _blocked_group(self, digest: Digest, state: str) -> Group:
        blocked = [number for number in digest.blocked if number.state == state]
        heading = self._words.counted(state, digest.blocked_counts[state])
        if len(blocked) > 1:
            duration = self._moments.duration_since(min(number.since for number in blocked))
            heading = self._words.text("longest", heading=heading, duration=duration)
        lines = [
            f"{self._values.number_of(number.number, number.virtual_number_id, number.employee)}: "
            + self._words.text(
                "blocked_line",
                begin=self._moments.moment(number.since),
                duration=self._moments.duration_since(number.since),
            )
            for number in blocked
        ]
        return Group(heading=heading, lines=lines, count=digest.blocked_counts[state])

    def _error(self, kind: str) -> str:
        if kind == "abandoned":
            return self._words.text("abandoned")
        title = self._words.of(ERROR_TITLES[kind]) if kind in ERROR_TITLES else vendor_text(kind, self._numbers)
        return title[:1].lower() + title[1:]


def _has_window_of_its_own(event: NumberEvent) -> bool:
    """Whether the moments of an event are not simply those between which it happened."""
    return event.event in {"removed", "returned"} or (event.event in _BLOCKING and event.old == event.new)


def _bounds(event: NumberEvent) -> tuple[datetime | None, datetime]:
    return event.changed_after, event.changed_at
