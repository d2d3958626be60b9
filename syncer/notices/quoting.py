"""Error messages that may quote a receiver's answer, but never a secret, a phone number or the message itself."""

from __future__ import annotations

import base64
import html
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, unquote_plus

from syncer.printable import replace_phone_numbers, single_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from yarl import URL

    from syncer.notice import Message

MAX_ERROR_CHARS: Final = 300
_MAX_QUOTED_CHARS: Final = 100
_MAX_EXAMINED_CHARS: Final = 2000
_SHARED_CHARS: Final = 8
"""An answer that has so many characters in a row in common with a secret or with the message is not quoted."""
_JSON_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def error_line(text: str) -> str:
    """Returns an error message as one line that is not too long."""
    return single_line(text, MAX_ERROR_CHARS)


def without_phone_numbers(text: str) -> str:
    """Replaces all that may be a phone number."""
    return replace_phone_numbers(text, lambda _: "…")


def secrets_of_url(url: URL) -> Iterable[str]:
    """Returns those parts of an address that may be secret: all but its host and port."""
    parts = [url.raw_path.lstrip("/"), url.raw_query_string, url.raw_fragment, url.raw_user, url.raw_password]
    if url.user is not None:
        parts.append(base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode())
    return [part for part in parts if part]


class Quotes:
    """Quotes answers of one receiver.

    Args:
        secrets: What an answer may repeat and an error message must not.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        given = {secret for secret in secrets if secret}
        forms = given | {unquote(secret) for secret in given} | {quote(secret, safe="") for secret in given}
        encoded = {base64.b64encode(secret.encode()).decode() for secret in given}
        unpadded = {secret.rstrip("=") for secret in encoded}
        self._secrets = sorted(forms | encoded | unpadded, key=len, reverse=True)

    def clause(self, answer: str, message: Message | None = None) -> str:
        """Returns a clause that quotes the beginning of an answer; an empty one if that is not possible.

        Args:
            answer: What the receiver answered.
            message: The message that the answer is about, which must not be quoted.
        """
        text = " ".join(answer[:_MAX_EXAMINED_CHARS].split())
        for secret in self._secrets:
            text = re.sub(re.escape(secret), "…", text, flags=re.IGNORECASE)
        # A secret may begin in the quoted part and end after it. A page of HTML says nothing that helps.
        examined = text[: _MAX_QUOTED_CHARS + _SHARED_CHARS]
        if examined.startswith("<") or self._repeats(examined, message):
            return ""
        quoted = single_line(without_phone_numbers(examined), _MAX_QUOTED_CHARS)
        return f' and said "{quoted}"' if quoted else ""

    def _repeats(self, text: str, message: Message | None) -> bool:
        hidden = list(self._secrets)
        if message is not None:
            hidden += [" ".join(part.split()) for part in (message.subject, message.text, message.body.decode())]
        hidden = [part.casefold() for part in hidden]
        return any(
            shared in part
            for form in _decoded_forms(text)
            for start in range(max(1, len(form) - _SHARED_CHARS + 1))
            if len(shared := form[start : start + _SHARED_CHARS].casefold()) >= _SHARED_CHARS
            for part in hidden
        )


def _decoded_forms(text: str) -> set[str]:
    """Returns text as it is, and as it reads if it was encoded for an address, for HTML or for JSON."""
    from_json = _JSON_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text).replace("\\/", "/").replace('\\"', '"')
    return {text, unquote_plus(text), html.unescape(text), from_json}
