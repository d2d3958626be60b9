"""What error messages of notices quote of a receiver's answer."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from yarl import URL

from syncer.notice import Message
from syncer.notices.quoting import Quotes, error_line, secrets_of_url

QUOTES = Quotes(["s3cret-of-the-bot", "abc", "with space&more"])
MESSAGE = Message(
    message_id=UUID("6f1d2a60-8a52-4c5e-9d1c-0c3bb0f2a001"),
    created_at=datetime(2026, 11, 29, 7, 5, tzinfo=UTC),
    subject="Head office",
    text="Comment:\nask Ivan at the gate",
    body=b'{"comment":"ask Ivan at the gate"}',
)


@pytest.mark.parametrize(
    ("answer", "clause"),
    [
        ("chat not found", ' and said "chat not found"'),
        ("  two\n lines ", ' and said "two lines"'),
        ("s3cret-of-the-bot is wrong", ' and said "… is wrong"'),
        ("the key abc is wrong", ' and said "the key … is wrong"'),
        ("bot S3CRET-OF-THE-BOT", ' and said "bot …"'),
        ("with%20space%26more is wrong", ' and said "… is wrong"'),
        ("of s3cret-o only a part", ""),
        ("as with+space+only in a form", ""),
        ("czNjcmV0LW9mLXRoZS1ib3Q= in base64", ' and said "… in base64"'),
        ("x" * 95 + "s3cret-of-the-bot", f' and said "{"x" * 95}…"'),
        ("x" * 96 + " s3cret-of", ""),
        ("x" * 99, f' and said "{"x" * 99}"'),
        ("x" * 200, f' and said "{"x" * 99}…"'),
        ("call +7 (920) 854-74-33 or 123456", ' and said "call +… or 123456"'),
        ("cannot store ask\nIvan   at the gate", ""),
        ("cannot store ASK IVAN AT", ""),
        ("<html><body>error</body></html>", ""),
        ("", ""),
        (" \r\n", ""),
        ("\ufffd\x00", ' and said "\ufffd\ufffd"'),
    ],
)
def test_an_answer_is_quoted_without_secrets_phone_numbers_and_the_message(answer: str, clause: str) -> None:
    assert QUOTES.clause(answer, MESSAGE) == clause


def test_all_of_an_address_but_its_host_may_be_secret() -> None:
    url = URL("https://user:p%40ss@example.org/a/b?token=1#f")
    assert set(secrets_of_url(url)) == {"a/b", "token=1", "f", "user", "p%40ss", "dXNlcjpwQHNz"}
    assert list(secrets_of_url(URL("https://example.org/"))) == []


def test_an_error_is_one_line_of_300_characters_at_most() -> None:
    assert error_line("a\nb" + "x" * 400) == "a b" + "x" * 296 + "…"
