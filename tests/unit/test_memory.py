"""What the C library and the garbage collector are told."""

from __future__ import annotations

import gc
import platform

from syncer.memory import give_back_early, spare_what_was_loaded


def test_glibc_lets_its_parameters_be_fixed() -> None:
    assert give_back_early() is (platform.libc_ver()[0] == "glibc")


def test_what_was_loaded_is_never_looked_through_for_garbage() -> None:
    loaded = len(gc.get_objects())
    spare_what_was_loaded()
    try:
        assert gc.get_freeze_count() > loaded / 2
        assert len(gc.get_objects()) < loaded / 2
    finally:
        gc.unfreeze()
