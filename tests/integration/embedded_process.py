"""A process with an embedded server in a given folder, to which the tests send signals.

It prints a JSON line with `owner` and `url` whenever either changes. SIGINT stops it in an orderly way; other signals
have their default effect.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from pathlib import Path

from syncer.embedded import EmbeddedServer


def main() -> None:
    last_output = None
    # When the tests run in the background of a shell, SIGINT is ignored, and a child process inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), EmbeddedServer(Path(sys.argv[1])) as server:
        while True:
            server.ensure()
            current = json.dumps({"owner": server.is_owner, "url": server.url})
            if current != last_output:
                print(current, flush=True)  # noqa: T201 - the tests read it
                last_output = current
            time.sleep(0.02)


if __name__ == "__main__":
    main()
