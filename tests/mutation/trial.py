"""Tries mutants: tests are collected once; then, a process each, they run with a mutant until one of them fails."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import resource
import sys
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import hypothesis
import pytest
from sqlalchemy import TextClause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from importlib.machinery import ModuleSpec
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

    from syncer.embedded import EmbeddedServer
    from tests.mutation.mutant import Mutant

OPTIONS: Final = ("-q", "-s", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist")
_MOST_SECONDS: Final = 60
"""Of computing, for one mutant; the tests have their own limits for waiting."""
_forked: Final = multiprocessing.get_context("fork")

# The same examples each time; and one that fails is enough, it need not be the smallest.
hypothesis.settings.register_profile(
    "mutation",
    derandomize=True,
    database=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        killer: The test that failed, or what else gave it away; None if it lives.
        seconds: How long that took.
    """

    mutant: Mutant
    killer: str | None
    seconds: float


class Trials:
    """A plugin of pytest that, in place of running the tests once, runs them with one mutant after another.

    Args:
        unchanged: The module as it is, which the tests must pass.
        mutants: Of that module.
        servers: As many as mutants are to be tried at once.
        told: Is told of each verdict.
    """

    def __init__(
        self,
        unchanged: Mutant,
        mutants: Iterable[Mutant],
        servers: Sequence[EmbeddedServer],
        told: Callable[[Verdict], None],
    ) -> None:
        self._unchanged = unchanged
        self._mutants = mutants
        self._servers = servers
        self._told = told
        self._kills: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Tries them all."""
        waiting = deque([self._unchanged, *self._mutants])
        free = list(self._servers)
        running: list[_Trial] = []
        while waiting or running:
            while waiting and free and (self._seconds or not running):
                session.items.sort(key=self._seconds_a_kill)
                running.append(_Trial(session, waiting.popleft(), free.pop()))
            multiprocessing.connection.wait([trial.answer for trial in running])
            for trial in [trial for trial in running if trial.answer.poll()]:
                running.remove(trial)
                free.append(trial.server)
                self._tell(trial.verdict())
                self._seconds = self._seconds or trial.seconds
        return True

    def _seconds_a_kill(self, item: pytest.Item) -> float:
        """Who told often is likely to tell again; of the others, the quickest first."""
        return self._seconds[item.nodeid] / (1 + self._kills[item.nodeid])

    def _tell(self, verdict: Verdict) -> None:
        if verdict.mutant is not self._unchanged:
            self._kills[verdict.killer or ""] += 1
            self._told(verdict)
        elif verdict.killer is not None:
            sys.exit(f"{verdict.mutant.module}: nothing is changed, and yet: {verdict.killer}")


class _Trial:
    """One mutant in a process of its own."""

    def __init__(self, session: pytest.Session, mutant: Mutant, server: EmbeddedServer) -> None:
        self.server = server
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.answer, sender = _forked.Pipe(duplex=False)
        self._mutant = mutant
        self._begun = time.monotonic()
        self._process: ForkProcess = _forked.Process(target=_try, args=(session, mutant, server, sender))
        self._process.start()
        sender.close()

    def verdict(self) -> Verdict:
        """What the process says, which ends with it."""
        killer: str | None = "it came to no end"
        with contextlib.suppress(EOFError):
            killer, self.seconds = self.answer.recv()
        self._process.kill()
        self._process.join()
        return Verdict(self._mutant, killer, time.monotonic() - self._begun)


def _try(session: pytest.Session, mutant: Mutant, server: EmbeddedServer, sender: Connection) -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(silence, descriptor)
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    asyncio.run(_drop_databases(server.url))
    watch = _Watch(server, [item.nodeid for item in session.items])
    if _put_in_place(mutant):
        session.config.pluginmanager.register(watch)
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if watch.killer:
                break
    else:
        _import_anew(mutant)
        if pytest.main([*OPTIONS, "-x", *session.config.args], plugins=[watch]) != pytest.ExitCode.OK:
            watch.killer = watch.killer or "it could not be imported"
    sender.send((watch.killer or None, watch.seconds))


async def _drop_databases(url: str) -> None:
    """Drops what tests have left that were ended."""
    connection = await asyncpg.connect(url)
    kept = ["postgres", "template0", "template1", "syncer", "migrated"]
    for (name,) in await connection.fetch("select datname from pg_database where datname <> all($1::text[])", kept):
        await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


class _Watch:
    """Notes which test fails and how long each takes, and gives tests the server that is running and their turn."""

    def __init__(self, server: EmbeddedServer, order: Sequence[str]) -> None:
        self._server = server
        self._turns = {test: turn for turn, test in enumerate(order)}
        self.killer = ""
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._turns.get(item.nodeid, 0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed and not self.killer:
            self.killer = report.nodeid

    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> EmbeddedServer | None:
        if fixturedef.argname != "server":
            return None
        fixturedef.cached_result = (self._server, None, None)
        return self._server


def _put_in_place(mutant: Mutant) -> bool:
    """Changes the module that tests have imported; False if that would not reach those who took something from it."""
    module = sys.modules[mutant.module]
    try:
        old: Any = attrgetter(mutant.place)(module)
    except AttributeError:
        return False
    function: Any = old.fget if isinstance(old, property) else old
    if not isinstance(function, FunctionType | str | TextClause):
        return False
    changed = ModuleType(module.__name__)
    exec(compile(mutant.source, str(module.__file__), "exec", dont_inherit=True), vars(changed))  # noqa: S102
    new: Any = attrgetter(mutant.place)(changed)
    if isinstance(function, FunctionType):
        new = new.fget if isinstance(new, property) else new
        function.__code__, function.__defaults__, function.__kwdefaults__ = (
            new.__code__,
            new.__defaults__,
            new.__kwdefaults__,
        )
    else:
        setattr(module, mutant.place, new)
    return True


def _import_anew(mutant: Mutant) -> None:
    """Has the project's modules imported once more, with the mutant in the place of its module."""
    for name in list(sys.modules):
        if name.partition(".")[0] in {"syncer", "tests"} and not name.startswith("tests.mutation"):
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder(mutant))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._mutant.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert found is not None
        assert found.origin is not None
        return importlib.util.spec_from_file_location(name, found.origin, loader=_Loader(self._mutant, found.origin))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._source = mutant.source

    def get_code(self, fullname: str) -> Any:
        return compile(self._source, self.get_filename(fullname), "exec", dont_inherit=True)
