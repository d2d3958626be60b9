"""Makes the message that a channel sends from a notice. Pure: the same notice makes the same message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.notice import ChangesNotice, ConditionsNotice, Message, TestNotice
from syncer.notices.changes_message import write_changes
from syncer.notices.conditions_message import write_conditions
from syncer.notices.layout import clean_name, subject_line
from syncer.notices.payload import TEST_NUMBER, encode_notice
from syncer.notices.texts import Words
from syncer.notices.values import Values

if TYPE_CHECKING:
    from syncer.notices.rules import Channel


def render(notice: ChangesNotice | ConditionsNotice | TestNotice, channel: Channel) -> Message:
    """Returns a notice as a message in the language of a channel, with phone numbers as the channel shows them."""
    if isinstance(notice, ChangesNotice):
        subject, text = write_changes(notice, channel)
    elif isinstance(notice, ConditionsNotice):
        subject, text = write_conditions(notice, channel)
    else:
        subject, text = _write_test(channel)
    return Message(
        message_id=notice.message_id,
        created_at=notice.created_at,
        subject=subject,
        text=text,
        body=encode_notice(notice, channel.numbers, names=channel.names),
    )


def _write_test(channel: Channel) -> tuple[str, str]:
    words = Words(channel.language)
    name = clean_name(channel.name)
    if channel.numbers == "none":
        number = words.text("test_no_number")
    else:
        number = words.text(
            "test_number", number=Values(words, channel.numbers, names=channel.names).phone(TEST_NUMBER)
        )
    return subject_line(words.text("test_subject", channel=name)), f"{words.text('test_text')}\n{number}"
