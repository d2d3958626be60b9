"""The embedded PostgreSQL server, used when SYNCER_DATABASE_URL is not set.

All its files are in one data folder:

    lock               locked with flock by the process that owns the server, as long as that process is alive
    data               the cluster, of one major version; `data.new-…` while initdb is running
    password           the password of the superuser `postgres`, created once
    port               the port on 127.0.0.1, the same at every start while it is free
    postgres.log       the log of the server; `postgres.log.1` is the log of the previous start
    binaries-VERSION   a copy of the PostgreSQL programs, only if the server's user cannot access the installed ones

The lock decides which process owns the server: the kernel releases it however the process ends. The process that holds
it may start a server, after the leftovers of the previous owner are gone. Every other process uses the running server,
and takes over when the lock is released. A pid file alone is never trusted, because pids are reused.

    server.py     the supervisor: owns the server, or joins it and takes over when the lock is released
    cluster.py    creates a cluster; stops the processes that a previous owner left running in it
    programs.py   finds PostgreSQL's programs, copies them if necessary, runs them
    os_user.py    which OS user they run as, and which data folders that user can access
"""

from syncer.embedded.os_user import default_data_dir
from syncer.embedded.programs import find_binaries, may_install_packages
from syncer.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "default_data_dir", "find_binaries", "may_install_packages"]
