"""Shows on a terminal what a command is doing, and for how long; anywhere else, nothing."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def show_progress(text: str, *, hidden: bool = False) -> Iterator[Callable[[str], object]]:
    """Shows a text on standard error while the block runs, if that is a terminal.

    Args:
        text: What the command is doing.
        hidden: Whether to show nothing, because the result itself is printed there.

    Yields:
        A function that replaces the text.
    """
    if hidden or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as above

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda new_text: progress.update(task, description=new_text)
