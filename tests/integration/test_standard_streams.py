"""The queue between what is logged and who reads it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
import structlog

from syncer.standard_streams import QueuedStream, dropped_log_lines
from syncer.telemetry.logs import configure_logging, log
from syncer.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPACITY = 20_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, QueuedStream]]:
    """A pipe's end to read, and a stream that writes into it."""
    reader, writer = os.pipe()
    yield reader, QueuedStream(writer, capacity=CAPACITY)
    os.close(reader)
    os.close(writer)


def fill(stream: QueuedStream) -> None:
    """Writes empty lines into the pipe until it takes no more."""
    os.set_blocking(stream.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(stream.fileno(), b"\n")
    os.set_blocking(stream.fileno(), True)


def read_line_by_line(reader: int) -> Iterator[str]:
    """Yields the lines of a pipe that are not empty, as they arrive."""
    with open(reader, encoding="utf-8", closefd=False) as lines:
        yield from (line for line in lines if line != "\n")


def test_lines_are_dropped_and_counted_while_nobody_reads_and_reported_when_somebody_does(
    pipe: tuple[int, QueuedStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, stream = pipe
    fill(stream)
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging("info", "json")
    metrics, started = Metrics(), time.monotonic()

    for number in range(5_000):
        log.info("poll_finished", number=number)

    dropped = dropped_log_lines()
    (family,) = [one for one in metrics.collect() if one.name == "syncer_log_lines_dropped"]
    lines = read_line_by_line(reader)
    written = []
    for line in lines:
        written.append(json.loads(line))
        if written[-1]["event"] == "log_lines_dropped":
            break
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)

    assert time.monotonic() - started < 20
    assert [sample.value for sample in family.samples] == [dropped]
    assert len(written) - 1 + dropped == 5_000
    assert sum(len(json.dumps(line)) + 1 for line in written[:-1]) <= CAPACITY + 1000  # spaces that we do not write
    assert len(written) > CAPACITY / 120
    assert [line["number"] for line in written[:-1]] == [*range(len(written) - 1)]
    assert (written[-1]["level"], written[-1]["lines"]) == ("warning", dropped)


def test_what_waits_at_the_end_is_written_if_somebody_reads_and_given_up_after_a_limited_time(
    pipe: tuple[int, QueuedStream],
) -> None:
    reader, stream = pipe
    fill(stream)
    stream.write("x\n")
    started = time.monotonic()
    assert stream.drain(0.3) is False
    assert 0.3 <= time.monotonic() - started < 5

    thread = threading.Thread(target=lambda: next(read_line_by_line(reader)), daemon=True)
    thread.start()

    assert stream.drain(30) is True
    thread.join()


def test_a_line_larger_than_the_queue_is_written_whole(pipe: tuple[int, QueuedStream]) -> None:
    reader, stream = pipe
    stream.write("я" * CAPACITY + "\n")
    assert next(read_line_by_line(reader)) == "я" * CAPACITY + "\n"


def test_a_reader_that_closed_the_pipe_makes_no_write_fail(pipe: tuple[int, QueuedStream]) -> None:
    _, stream = pipe
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, pipe[0])  # closes the pipe
    os.close(null)
    stream.write("one\n")
    stream.write("two\nthree\n")
    assert stream.drain(30) is True
    assert stream.dropped_lines == 3


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe: tuple[int, QueuedStream]) -> None:
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    stream.write("x" * 200_000 + "\n")
    assert len(next(read_line_by_line(reader))) == 200_001
