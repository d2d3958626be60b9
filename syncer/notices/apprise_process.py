"""The process that runs Apprise for one message; see `syncer.notices.others`.

It reads the address and the message from standard input, prints the name of the service, and says the rest by its exit
code. It prints nothing else: Apprise's messages contain addresses.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from contextlib import suppress
from typing import Final

FAILED: Final = 3
MISSING: Final = 4
NOT_UNDERSTOOD: Final = 5
_MAX_MEMORY_BYTES: Final = 2**30


def main() -> int:
    """Sends the message, if there is one, and returns the exit code."""
    signal.alarm(int(sys.argv[1]))  # ends this process even if the one that started it is no more
    with suppress(ValueError, OSError):  # not every system can limit it
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    request = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    try:
        import apprise  # noqa: PLC0415 - an extra, which may be absent
    except ImportError:
        return MISSING
    service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="syncer", storage_mode="memory"))
    if not service.add(request["url"]):
        return NOT_UNDERSTOOD
    if "body" in request and not service.notify(
        title=request["title"], body=request["body"], body_format=apprise.NotifyFormat.TEXT
    ):
        return FAILED
    sys.stdout.write(str(service[0].service_name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
