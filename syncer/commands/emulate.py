"""`syncer emulate`: runs the emulated endpoint without anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from syncer.daemon.signals import install_stop_handlers, run_unless_stopped
from syncer.emulator import Emulator, serve

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.config.hosts import ListenAddress

STEP_SECONDS: Final = 5.0


async def run_emulator(*, numbers: int, seed: int, listen: ListenAddress, file: Path | None) -> None:
    """Serves the emulated endpoint until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The port is in use, or the file cannot be read.
    """
    stop = install_stop_handlers()
    emulator = Emulator(numbers=numbers, seed=seed, file=file, host=listen.host, port=listen.port)
    await run_unless_stopped(stop, serve(emulator, step_interval=STEP_SECONDS, on_started=_print_address))


def _print_address(url: str) -> None:
    typer.echo(f"SYNCER_API_URL={url} SYNCER_API_TOKEN=any; press Ctrl-C to stop")
