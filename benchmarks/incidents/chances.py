"""What is left to chance, and comes out alike each time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from random import Random


def log_uniform(random: Random, low: float, high: float) -> float:
    """Any order of magnitude between the two as likely as another."""
    return math.exp(random.uniform(math.log(low), math.log(high)))


def happens(random: Random, share: float) -> bool:
    """Whether what happens in this share of the cases happens now."""
    return random.random() < share


def chance(salt: object, key: object) -> float:
    """0 to 1, always the same for the same salt and key."""
    return crc32(f"{salt}:{key}".encode()) / 2**32
