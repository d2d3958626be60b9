"""The malloc parameters can be set if the C library is glibc."""

from __future__ import annotations

import platform

from syncer.malloc import tune_malloc


def test_malloc_parameters_are_set_only_on_glibc() -> None:
    assert tune_malloc() is (platform.libc_ver()[0] == "glibc")
