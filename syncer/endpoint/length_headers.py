"""Reads the headers by which a response may say that it is a part of a longer list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from syncer.diff.declared_length import DeclaredLength

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multidict import CIMultiDictProxy

_LINK_TARGET: Final = re.compile(r"<[^<>]*>")
_RELATIONS: Final = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.IGNORECASE)
_CONTENT_RANGE: Final = re.compile(r"[^/]*/\s*([0-9]{1,18})\s*", re.ASCII)
_TOTAL_COUNT: Final = re.compile(r"\s*([0-9]{1,18})\s*", re.ASCII)


def read_length_headers(headers: CIMultiDictProxy[str]) -> DeclaredLength:
    """Returns what `Link`, `X-Total-Count` and `Content-Range` say; malformed values are ignored."""
    return DeclaredLength(
        has_next_page="next" in _relations(headers),
        totals=tuple(
            (header, int(match[1]))
            for header, pattern in (("X-Total-Count", _TOTAL_COUNT), ("Content-Range", _CONTENT_RANGE))
            for value in headers.getall(header, ())
            if (match := pattern.fullmatch(value))
        ),
    )


def _relations(headers: CIMultiDictProxy[str]) -> Iterator[str]:
    """Yields the relation types of all links.

    aiohttp's `response.links` is not used: it raises an error if a link's target is not a valid URL, and takes several
    relation types of one link as one.
    """
    for value in headers.getall("Link", ()):
        for quoted, token in _RELATIONS.findall(_LINK_TARGET.sub("", value)):
            yield from (quoted or token).lower().split()
