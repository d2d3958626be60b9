"""What the vendor does wrong: each kind of incident, made up at random."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from benchmarks.incidents.chances import chance, happens, log_uniform
from syncer.emulator.record import Number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from benchmarks.incidents.world import World

_encode: Final = msgspec.json.Encoder().encode


class Incident(NamedTuple):
    """What is wrong with the answers from one tick to another.

    Attributes:
        answer: The body at a tick; None if there is none.
        redraws: The ticks at which it changes by itself, sorted.
        words: The share of the numbers that are given unknown words meanwhile, and truly have them.
    """

    kind: str
    start: int
    end: int
    answer: Callable[[World, int], bytes | None]
    redraws: Sequence[int] = ()
    words: float = 0


class Drawn(NamedTuple):
    """What an incident is made of."""

    random: Random
    start: int
    end: int

    @property
    def salt(self) -> int:
        """Tells one incident's chances from another's."""
        return self.start

    def redraws(self) -> list[int]:
        """Some ticks, from one to every second one."""
        ticks = range(self.start + 1, self.end)
        share = log_uniform(self.random, 1 / 100, 1 / 2)
        return [tick for tick in ticks if happens(self.random, share)]


def altered(change: Callable[[dict[str, Any]], list[Any]], share: float, salt: int) -> Callable[[World, int], bytes]:
    """Alters this share of the records."""
    cache: dict[int, tuple[bytes, bytes]] = {}

    def alter(key: int, source: bytes) -> bytes:
        if chance(salt, key) >= share:
            return source
        found = cache.get(key)
        if found is None or found[0] is not source:
            cache[key] = found = source, b",".join(map(_encode, change(json.loads(source))))
        return found[1]

    return lambda world, _: b"[%b]" % b",".join(alter(key, source) for key, source in world.encoded.items())


def outage(drawn: Drawn) -> Incident:
    """No answer, or none with 200."""
    return Incident("outage", drawn.start, drawn.end, lambda *_: None)


def truncated(drawn: Drawn) -> Incident:
    """The body ends anywhere."""

    def answer(world: World, tick: int) -> bytes:
        body = world.body()
        return body[: int(chance(tick, "cut") * len(body))]

    return Incident("truncated body", drawn.start, drawn.end, answer)


def empty(drawn: Drawn) -> Incident:
    """The empty list."""
    return Incident("empty list", drawn.start, drawn.end, lambda *_: b"[]")


def half(drawn: Drawn) -> Incident:
    """A part of the list that looks whole: always the same numbers, or the first ones."""
    share, cuts = drawn.random.random(), happens(drawn.random, 0.5)

    def answer(world: World, _: int) -> bytes:
        if cuts:
            return b"[%b]" % b",".join(list(world.encoded.values())[: round(share * len(world.encoded))])
        return b"[%b]" % b",".join(one for key, one in world.encoded.items() if chance(drawn.salt, key) < share)

    return Incident("half answer, the same half", drawn.start, drawn.end, answer)


def halves(drawn: Drawn) -> Incident:
    """A part of the list that looks whole: other numbers every now and then, and sometimes all."""
    redraws = drawn.redraws()
    shares = [drawn.random.random() for _ in range(len(redraws) + 1)]
    wholes = [happens(drawn.random, 0.1) for _ in shares]

    def answer(world: World, tick: int) -> bytes:
        turn = bisect_right(redraws, tick)
        if wholes[turn]:
            return world.body()
        salt, share = (drawn.salt, turn), shares[turn]
        return b"[%b]" % b",".join(one for key, one in world.encoded.items() if chance(salt, key) < share)

    return Incident("half answer, changing halves", drawn.start, drawn.end, answer, redraws)


_REQUIRED: Final = ("id", "number", "state")
_OPTIONAL: Final = sorted({field.encode_name for field in msgspec.structs.fields(Number)} - set(_REQUIRED))


def _half_deployed(drawn: Drawn, kind: str, keys: Sequence[str], share: float) -> Incident:
    newer = {"is_vip": False, "tariff": {"name": "Бизнес"}} if happens(drawn.random, 0.3) else {}

    def change(record: dict[str, Any]) -> list[Any]:
        return [{key: value for key, value in record.items() if key not in keys} | newer]

    return Incident(kind, drawn.start, drawn.end, altered(change, share, drawn.salt))


def _some_keys(random: Random) -> list[str]:
    """One to eight keys; redirects and the account's own id often among them."""
    chosen = random.sample(_OPTIONAL, random.randint(1, 6))
    return chosen + [key for key in ("from_redirect_numbers", "app_id") if happens(random, 0.4)]


def keys_absent(drawn: Drawn) -> Incident:
    """A version in which some keys are missing."""
    return _half_deployed(drawn, "keys absent everywhere", _some_keys(drawn.random), 1)


def keys_absent_here_and_there(drawn: Drawn) -> Incident:
    """A version in which some keys are missing, on some machines."""
    share = drawn.random.random()
    return _half_deployed(drawn, "keys absent in some records", _some_keys(drawn.random), share)


def required_key_absent(drawn: Drawn) -> Incident:
    """A version in which records cannot be taken for want of a key."""
    share = drawn.random.choice((1, log_uniform(drawn.random, 0.001, 1)))
    return _half_deployed(drawn, "required key absent", [drawn.random.choice(_REQUIRED)], share)


def unknown_words(drawn: Drawn) -> Incident:
    """Words that no page has; the numbers truly have them, and have the old ones again afterwards."""
    share = log_uniform(drawn.random, 0.001, 1)
    return Incident("unknown words", drawn.start, drawn.end, lambda world, _: world.body(), words=share)


def broken_records(drawn: Drawn) -> Incident:
    """Records that cannot be taken."""
    breaks: tuple[Callable[[dict[str, Any]], list[Any]], ...] = (
        lambda record: [record | {"number": None}],
        lambda record: [record | {"state": 5}],
        lambda record: [record | {"is_scenario_active": "yes"}],
        lambda record: [record | {"from_redirect_numbers": [{"id": None}]}],
        lambda record: [record | {"id": str(record["id"])}],
        lambda _: ["?"],
        lambda record: [record, record | {"comment": "another"}],
        lambda record: [record, record | {"id": 10**40}],
    )
    share = drawn.random.choice((1, log_uniform(drawn.random, 0.001, 1)))
    change = drawn.random.choice(breaks)
    return Incident("broken records", drawn.start, drawn.end, altered(change, share, drawn.salt))


_SINGLE: Final = (
    outage, truncated, empty, half, halves, keys_absent, keys_absent_here_and_there, required_key_absent,
    unknown_words, broken_records,
)  # fmt: skip


def mixed(drawn: Drawn) -> Incident:
    """One after another of the others, with whole answers between some."""
    bounds = sorted({drawn.start, *drawn.redraws()})
    parts = []
    for start, end in zip(bounds, [*bounds[1:], drawn.end], strict=True):
        make = drawn.random.choice([one for one in _SINGLE if one is not unknown_words])
        part = make(Drawn(drawn.random, start, end))
        is_whole = happens(drawn.random, 0.15)
        parts.append(part._replace(answer=lambda world, _: world.body()) if is_whole else part)

    def answer(world: World, tick: int) -> bytes | None:
        return parts[bisect_right(bounds, tick) - 1].answer(world, tick)

    redraws = sorted({tick for part in parts for tick in (part.start, *part.redraws)} - {drawn.start})
    return Incident("one after another", drawn.start, drawn.end, answer, redraws)


MAKERS: Final[tuple[Callable[[Drawn], Incident], ...]] = (*_SINGLE, mixed)
