"""The parameters of the C library can be fixed where it is glibc's."""

from __future__ import annotations

import platform

from syncer.daemon.malloc import tune_malloc


def test_glibc_lets_its_parameters_be_fixed() -> None:
    assert tune_malloc() is (platform.libc_ver()[0] == "glibc")
