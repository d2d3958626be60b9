"""A process with an embedded server in the folder that it is given, for the tests to signal.

It prints a JSON line, `owner` and `url`, whenever either changes. SIGINT has it stop in order; any other signal ends it
as it would end any program.
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
    said = None
    # Whoever runs the tests in the background of a shell may have it ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), EmbeddedServer(Path(sys.argv[1])) as server:
        while True:
            server.ensure()
            now = json.dumps({"owner": server.is_owner, "url": server.url})
            if now != said:
                print(now, flush=True)  # noqa: T201 - the tests read it
                said = now
            time.sleep(0.02)


if __name__ == "__main__":
    main()
