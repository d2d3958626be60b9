"""The vendor's endpoint, emulated, with faults on request: for the demo, tests and benchmarks.

It shares nothing with the rooms that read the endpoint: a field misread once must not be misread on both sides.

    server.py   the endpoint over HTTP, several accounts, what goes wrong when
    fault.py    what every fault is
    faults/     everything it can do wrong, each a small class
    fleet.py    the numbers of one account and how they live
    story.py    half a year of such a life, in which things happen for a reason
    record.py   one number, made up and changed
    words.py    regions, codes, comments, reasons
"""

from syncer.emulator import faults
from syncer.emulator.fleet import REALISTIC, STILL, Fleet, Rates
from syncer.emulator.server import Emulator, serve

__all__ = ["REALISTIC", "STILL", "Emulator", "Fleet", "Rates", "faults", "serve"]
