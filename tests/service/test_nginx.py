"""The example of nginx in front of the daemon: who gets what with and without the password."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trustme
from aiohttp import ClientSession, TCPConnector, encode_basic_auth

from tests.service.processes import wait_until

if TYPE_CHECKING:
    from tests.service.processes import Program

EXAMPLE: Final = Path(__file__).parents[2] / "deploy" / "nginx" / "syncer.conf"
NGINX: Final = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
NAME: Final = "syncer.example.org"
PASSWORD: Final = "correct horse"
RIGHT: Final = encode_basic_auth("operator", PASSWORD)
WRONG: Final = encode_basic_auth("operator", "guessed")
NUMBER: Final = "79208547433"
TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def configure(folder: Path, daemon_url: str, *, https: int, http: int) -> Path:
    """Writes the example with the ports, the daemon and the folder of this test."""
    example = EXAMPLE.read_text()
    for before, after in (
        ("    listen [::]:443 ssl;\n", ""),
        ("    listen [::]:80;\n", ""),
        ("listen 443 ssl", f"listen 127.0.0.1:{https} ssl"),
        ("listen 80;", f"listen 127.0.0.1:{http};"),
        ("http://127.0.0.1:8080", daemon_url),
        ("/etc/nginx/syncer/", f"{folder}/"),
        ("/var/log/nginx/", f"{folder}/log-"),
    ):
        assert before in example
        example = example.replace(before, after)
    (folder / "syncer.conf").write_text(example)
    main = folder / "nginx.conf"
    user = "user root;" * (os.geteuid() == 0)  # a worker of another user cannot read this folder
    folders = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    main.write_text(
        f"daemon off; {user} pid {folder}/nginx.pid; events {{}}\nhttp {{ {folders}\ninclude {folder}/syncer.conf; }}\n"
    )
    return main


def hash_password() -> str:
    """Returns a line as docs/operations.md says to make it."""
    command = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(command, input=PASSWORD, text=True, check=True, capture_output=True).stdout.strip()


def logs_in(folder: Path) -> str:
    return "".join(path.read_text() for path in [folder / "nginx.log", *folder.glob("log-*")])


async def test_nginx_asks_for_a_password_passes_the_name_on_and_logs_no_phone_number(
    syncer: Program, tmp_path: Path
) -> None:
    assert NGINX is not None
    daemon = await syncer.start("run", poll_interval="1s", http_listen="127.0.0.1:0", http_hosts=NAME)
    daemon_url = (await daemon.wait_for_event("http_listening"))["url"]
    await daemon.wait_for_event("poll_finished", outcome="applied")
    authority, context = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(context)
    certificate = authority.issue_cert(NAME)
    certificate.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(tmp_path / "tls.crt"), append=True)
    (tmp_path / "passwords").write_text(f"operator:{hash_password()}\n")
    https, http = free_ports(2)
    configuration = configure(tmp_path, daemon_url, https=https, http=http)
    log = (tmp_path / "nginx.log").open("wb")
    nginx = await asyncio.create_subprocess_exec(NGINX, "-e", "stderr", "-c", configuration, stderr=log)

    async def get(
        path: str,
        password: str | None = None,
        *,
        host: str = f"{NAME}:{https}",
        source: str = "127.0.0.1",
        method: str = "GET",
    ) -> tuple[int, str]:
        connector = TCPConnector(local_addr=(source, 0))
        async with (
            ClientSession(connector=connector) as session,
            session.request(
                method,
                f"https://127.0.0.1:{https}{path}",
                headers={"Host": host, **({} if password is None else {"Authorization": password})},
                ssl=context,
                server_hostname=NAME,
            ) as response,
        ):
            return response.status, await response.text()

    def is_listening() -> bool:
        with socket.socket() as probe:
            return nginx.returncode is None and probe.connect_ex(("127.0.0.1", https)) == 0

    try:
        await wait_until(is_listening)
        refused = [(await get(path, password))[0] for path in ("/", "/readyz", "/other") for password in (None, WRONG)]
        page_status, page = await get("/?lang=en", RIGHT)
        assert refused == [401] * 6
        assert (page_status, "<h1" in page, "default" in page) == (200, True, True)
        assert await get("/readyz", RIGHT) == (200, "ready\n")
        assert (await get("/", RIGHT, method="POST"))[0] == 405

        assert await get("/livez") == (200, "live\n")
        assert (await get("/metrics"))[0] == 200
        assert (await get("/metrics", source="127.0.0.2"))[0] == 401
        assert (await get("/metrics", RIGHT, source="127.0.0.2"))[0] == 200

        unknown_status, unknown = await get("/", RIGHT, host="attacker.example")
        assert (unknown_status, "SYNCER_HTTP_HOSTS" in unknown) == (421, True)

        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{http}/?lang=en", headers={"Host": NAME}, allow_redirects=False) as answer,
        ):
            assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/?lang=en")

        for path, source in (("/", "127.0.0.3"), ("/metrics", "127.0.0.4")):
            requests = (get(path, WRONG, source=source) for _ in range(60))
            assert {status for status, _ in await asyncio.gather(*requests)} == {401, 429}

        assert (await get(f"/number?number={NUMBER}", RIGHT))[0] == 404
        assert (await daemon.stop()).code == 0
        assert (await get(f"/number?number={NUMBER}", RIGHT))[0] == 502
    finally:
        nginx.terminate()
        await nginx.wait()
        log.close()
    logs = logs_in(tmp_path)
    assert re.findall(r"GET /number (\d+)", logs)[-1] == "502"
    assert NUMBER not in logs
