"""The embedded PostgreSQL: the server of whoever set no SYNCER_DATABASE_URL.

All of it lives in one data folder:

    lock               held (flock) by the one process that owns the server, for as long as it lives
    data               the cluster, of one major version; `data.new-…` while initdb is at work
    password           of the superuser `postgres`, made once
    port               on 127.0.0.1, the same at every start while it is free
    postgres.log       what the server says; `postgres.log.1` is what the one before it said
    binaries-VERSION   a copy, only where the server's user cannot reach the installed ones

The lock is the authority on who owns the server, since the kernel frees it however its process ends. Whoever holds it
may start a server, once the leftovers of the owner before are gone. Whoever does not uses the server that is running,
and takes over when the lock comes free. A pid file is never believed on its own: pids are reused.

    server.py     the supervisor: owns the server, or joins it and takes over when the lock comes free
    cluster.py    makes a cluster; ends what the owner before left at work in it
    programs.py   PostgreSQL's programs: finds them, copies them aside, runs them
    account.py    whom they run as, and where the data can be for that user to reach it
"""

from syncer.embedded.os_user import default_data_dir
from syncer.embedded.programs import find_binaries
from syncer.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "default_data_dir", "find_binaries"]
