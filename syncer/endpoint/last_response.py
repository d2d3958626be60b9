"""What is remembered of accounts' last responses, so that the same bytes need not be inflated, or even sent, again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from syncer.diff.content_hash import ContentHash
    from syncer.endpoint.client import Response

_CONDITIONAL_SECONDS: Final = 3600.0
"""How long after a whole response the endpoint may answer that it has not changed: a broken cache between it and this
machine would say so forever."""


@dataclass(frozen=True, slots=True)
class LastResponse:
    """What is known of an account's last response when the next one is requested.

    Attributes:
        content_hash: The hash function of digests.
        received_digest: The digest of its body as it was received, compressed or not; None if nothing is known.
        body_digest: The digest of its decoded body.
        size: The size of its decoded body.
        validators: The headers of a request that ask whether it has changed.
    """

    content_hash: ContentHash
    received_digest: bytes | None = None
    body_digest: bytes = b""
    size: int = 0
    validators: Mapping[str, str] = field(default_factory=dict)


class LastResponses:
    """Remembers the last compressed response of each account, a few hundred bytes of it.

    What is stored in PostgreSQL decides whether a response is the last one: what is remembered here counts only while
    the digest of the body is the same there.
    """

    def __init__(self) -> None:
        self._by_account: dict[int, tuple[LastResponse, float]] = {}

    def get(self, account_id: int, content_hash: ContentHash, body_digest: bytes | None) -> LastResponse:
        """Returns what is known of the account's last response, if its body has this digest."""
        last, received_at = self._by_account.get(account_id, (None, 0.0))
        if last is None or last.body_digest != body_digest:
            return LastResponse(content_hash)
        is_recent = time.monotonic() - received_at < _CONDITIONAL_SECONDS
        return last if is_recent else replace(last, validators={})

    def put(self, account_id: int, content_hash: ContentHash, response: Response, body_digest: bytes) -> None:
        """Remembers a response that was recorded, unless it was sent uncompressed and cannot be asked about.

        Args:
            account_id: The account.
            content_hash: The hash function of digests.
            response: The response.
            body_digest: The digest of its decoded body.
        """
        if response.http_status != HTTPStatus.OK:  # there is nothing new to remember
            return
        self._by_account.pop(account_id, None)
        if response.received_digest not in {b"", body_digest} or response.validators:
            last = LastResponse(content_hash, response.received_digest, body_digest, response.size, response.validators)
            self._by_account[account_id] = (last, time.monotonic())

    def keep_only(self, account_ids: Collection[int]) -> None:
        """Forgets all accounts but these."""
        for account_id in self._by_account.keys() - set(account_ids):
            del self._by_account[account_id]
