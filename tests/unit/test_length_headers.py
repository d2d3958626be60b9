"""The headers by which a response may say that it is a part of a longer list, as an attacker would write them."""

from __future__ import annotations

import time

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from syncer.diff.declared_length import DeclaredLength
from syncer.endpoint.connection_errors import MAX_HEADER_BYTES
from syncer.endpoint.length_headers import read_length_headers


@pytest.mark.parametrize("pattern", ["<", "<a", ";", "; ", ";rel=", ';rel="', '"', "/ ", " ", "1"])
@pytest.mark.parametrize("header", ["Link", "Content-Range", "X-Total-Count"])
def test_the_longest_header_takes_no_more_time_than_its_length_explains(header: str, pattern: str) -> None:
    value = pattern * (MAX_HEADER_BYTES // len(pattern))
    headers = CIMultiDictProxy(CIMultiDict([(header, value)]))

    began = time.process_time()
    declared = read_length_headers(headers)

    assert declared == DeclaredLength()
    assert time.process_time() - began < 0.5


def test_a_target_that_never_ends_hides_no_relation_after_it() -> None:
    headers = CIMultiDictProxy(CIMultiDict([("Link", '<<</numbers?page=2>; rel="next"')]))
    assert read_length_headers(headers) == DeclaredLength(has_next_page=True)


def test_a_header_that_says_the_list_is_longer_than_the_response_is_named() -> None:
    assert DeclaredLength().partial_reason(5) is None
    assert DeclaredLength(has_next_page=True).partial_reason(5) == (
        'the header Link has rel="next": the response is one page of a longer list'
    )
    totals = (("X-Total-Count", 5), ("Content-Range", 6), ("X-Total", 7))
    assert DeclaredLength(totals=totals[:1]).partial_reason(5) is None
    assert DeclaredLength(totals=totals).partial_reason(5) == (
        "the header Content-Range says that the list has 6 elements, but the response has 5"
    )
