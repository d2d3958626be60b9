"""`syncer`, and `python -m syncer`."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # An interrupt during the imports, which take a tenth of a second, ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from syncer.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
