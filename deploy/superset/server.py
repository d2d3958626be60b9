"""Runs Superset from .venv-superset; it writes only to one folder."""

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
_FOLDER: Final = Path(__file__).parent
_BIN: Final = _FOLDER.parents[1] / ".venv-superset" / "bin"
_START_TIMEOUT_SECONDS: Final = 120.0


class SupersetError(Exception):
    """A command or request to Superset failed; the message has the command or request and the output."""


class Superset:
    """Superset on a free loopback port; leaving the context stops it.

    Args:
        folder: The folder that it may write to.
        database_url: An empty database for Superset's own tables.
        analyst_url: The database with the numbers, with the credentials of an analyst.
    """

    def __init__(self, folder: Path, database_url: str, analyst_url: str) -> None:
        self._folder = folder
        self._log = folder / "superset.log"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._gunicorn: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_urlsafe(9)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
        self._environment = inherited | {
            "HOME": str(folder),
            "SUPERSET_HOME": str(folder),
            "SUPERSET_CONFIG_PATH": str(_FOLDER / "superset_config.py"),
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
        """Creates Superset's tables, its roles and an administrator.

        Raises:
            SupersetError: A command failed.
        """
        names = ["--firstname", "Admin", "--lastname", "Admin", "--email", "admin@localhost"]
        self._superset("db", "upgrade")
        self._superset("fab", "create-admin", "--username", USER, *names, "--password", self.password)
        self._superset("init")

    def import_bundle(self, bundle: Path) -> None:
        """Imports the bundle and overwrites existing objects.

        Raises:
            SupersetError: The output contains an error; the exit code is 0 even then.
        """
        output = self._superset("import-directory", "--overwrite", str(bundle))
        if "error" in output.lower():
            raise SupersetError(f"Superset did not import the bundle {bundle}:\n{output}")

    def serve(self) -> None:
        """Starts the web server and waits until it responds.

        Raises:
            SupersetError: It does not respond.
        """
        file_descriptor = self._socket.fileno()
        command: list[str | Path] = [
            _BIN / "gunicorn",
            *("--bind", f"fd://{file_descriptor}", "--workers", "2", "--worker-class", "gthread", "--threads", "8"),
            *("--timeout", "120", "--log-level", "warning", "superset.app:create_app()"),
        ]
        with self._log.open("wb") as log:
            self._gunicorn = subprocess.Popen(  # noqa: S603 - a program in .venv-superset
                command,
                cwd=self._folder,
                env=self._environment,
                pass_fds=[file_descriptor],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        # The socket is already listening, so the request waits until a worker accepts it.
        host, port = self._socket.getsockname()
        client = HTTPConnection(host, port, timeout=_START_TIMEOUT_SECONDS)
        try:
            client.request("GET", "/health")
            status = client.getresponse().status
        except OSError as error:
            raise SupersetError(f"Superset does not respond: {error}\n{self._log.read_text()}") from error
        finally:
            client.close()
        if status != HTTPStatus.OK:
            raise SupersetError(f"Superset responds with {status}:\n{self._log.read_text()}")

    def _superset(self, *command: str) -> str:
        return self._run(_BIN / "superset", *command)

    def _run(self, *command: str | Path) -> str:
        completed = subprocess.run(  # noqa: S603 - programs in .venv-superset
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if completed.returncode:
            name = " ".join(map(str, command[:2]))
            raise SupersetError(f"{name} exited with {completed.returncode}:\n{completed.stdout}")
        return completed.stdout
