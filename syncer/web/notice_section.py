"""Turns the newest messages into what the section "Notices" of the page shows: phrases, and no phone numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from syncer.notices.rules import NUMBER_EVENTS
from syncer.notices.texts import Words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.store.queries.notice_list import NoticeList, RecentMessage, WaitingChannel
    from syncer.web.translations import Language

USUAL_WAIT_SECONDS: Final = 60.0
"""How long a message waits without a failure before that is marked."""
OUTCOME_TEXTS: Final = {
    "waiting": "notice_waiting",
    "sent": "notice_sent",
    "expired": "notice_expired",
    "refused": "notice_refused",
}


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message, with what it is about in words.

    Attributes:
        subject: Its account, or how many accounts it is about.
        outcome: The name of the text that says how it ended.
        phrases: What it is about, the most important first.
    """

    message: RecentMessage
    subject: str
    outcome: str
    phrases: list[str]


@dataclass(frozen=True, slots=True)
class NoticeSection:
    """The section "Notices": the channels for which something waits, each with whether too long, and the messages."""

    waiting: list[tuple[WaitingChannel, bool]]
    messages: list[ShownMessage]


def notice_section(notices: NoticeList, language: Language) -> NoticeSection | None:
    """Prepares the section; returns None if there is no notice of any account."""
    if not notices.has_any:
        return None
    words = Words(language)
    return NoticeSection(
        waiting=[
            (channel, channel.error is not None or channel.seconds >= USUAL_WAIT_SECONDS) for channel in notices.waiting
        ],
        messages=[
            ShownMessage(
                message,
                subject=words.counted("accounts", message.accounts) if message.accounts > 1 else message.account,
                outcome=OUTCOME_TEXTS[message.outcome],
                phrases=list(_phrases(message, words)),
            )
            for message in notices.messages
        ],
    )


def _phrases(message: RecentMessage, words: Words) -> Iterable[str]:
    for event in NUMBER_EVENTS:
        if event in message.events:
            yield words.counted(event, message.events[event])
    for event in message.events:
        if event not in NUMBER_EVENTS:
            yield words.text(event if event.endswith("_ended") else f"{event}_began")
    if not message.events:
        yield words.text("no_changes")
