"""A Superset of our own: its programs in .venv-superset, everything it writes in one folder."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, Self

USER: Final = "admin"
_HERE: Final = Path(__file__).parent
_PROGRAMS: Final = _HERE.parents[1] / ".venv-superset" / "bin"
_START_SECONDS: Final = 120.0


class SupersetError(Exception):
    """Superset does not do what it was asked; the message says what, and what it said."""


class Superset:
    """Superset on a free port of the loopback; a context manager that stops it.

    Args:
        folder: What it may write to.
        database_url: Where it keeps its own things; an empty database.
        analyst_url: The database of the numbers, as a role that may read its views.
    """

    def __init__(self, folder: Path, database_url: str, analyst_url: str) -> None:
        self._folder = folder
        self._log = folder / "superset.log"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._gunicorn: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_urlsafe(9)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
        self._environment = kept | {
            "HOME": str(folder),
            "SUPERSET_HOME": str(folder),
            "SUPERSET_CONFIG_PATH": str(_HERE / "superset_config.py"),
            "SUPERSET_SECRET_KEY": secrets.token_urlsafe(42),
            "SUPERSET_DATABASE_URL": database_url,
            "SYNCER_ANALYST_URL": analyst_url,
            "FLASK_APP": "superset.app:create_app()",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._gunicorn is not None:
            self._gunicorn.terminate()
            self._gunicorn.wait()
        self._socket.close()

    def set_up(self) -> None:
        """Makes its tables, its roles and a user who may do everything.

        Raises:
            SupersetError: One of its programs failed.
        """
        names = ["--firstname", "Admin", "--lastname", "Admin", "--email", "admin@localhost"]
        self._superset("db", "upgrade")
        self._superset("fab", "create-admin", "--username", USER, *names, "--password", self.password)
        self._superset("init")

    def import_bundle(self, bundle: Path) -> None:
        """Imports the bundle over what is there.

        Raises:
            SupersetError: It says that something is wrong; it exits with 0 even then.
        """
        said = self._superset("import-directory", "--overwrite", str(bundle))
        if "error" in said.lower():
            raise SupersetError(f"Superset did not take the bundle {bundle}:\n{said}")

    def serve(self) -> None:
        """Starts it, and waits until it answers.

        Raises:
            SupersetError: It does not.
        """
        listening = self._socket.fileno()
        command: list[str | Path] = [
            _PROGRAMS / "gunicorn",
            *("--bind", f"fd://{listening}", "--workers", "2", "--worker-class", "gthread", "--threads", "8"),
            *("--timeout", "120", "--log-level", "warning", "superset.app:create_app()"),
        ]
        with self._log.open("wb") as log:
            self._gunicorn = subprocess.Popen(  # noqa: S603 - its own program
                command,
                cwd=self._folder,
                env=self._environment,
                pass_fds=[listening],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        # The socket listens already, so that the first answer comes when a worker takes it.
        host, port = self._socket.getsockname()
        waiting = HTTPConnection(host, port, timeout=_START_SECONDS)
        try:
            waiting.request("GET", "/health")
            answered = waiting.getresponse().status
        except OSError as error:
            raise SupersetError(f"Superset does not answer: {error}\n{self._log.read_text()}") from error
        finally:
            waiting.close()
        if answered != HTTPStatus.OK:
            raise SupersetError(f"Superset answers with {answered}:\n{self._log.read_text()}")

    def _superset(self, *command: str) -> str:
        return self._run(_PROGRAMS / "superset", *command)

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(  # noqa: S603 - its own programs
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            name = " ".join(map(str, command[:2]))
            raise SupersetError(f"{name} exited with {done.returncode}:\n{done.stdout}")
        return done.stdout
