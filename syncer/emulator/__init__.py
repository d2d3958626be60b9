"""An emulation of the vendor's endpoint with faults on request, for the demo, tests and benchmarks.

It shares no code with the modules that read the endpoint, so that a misread field cannot be misread on both sides.

    server.py          the HTTP server: several accounts, a queue of faults
    fault.py           the base class of all faults
    faults/            everything that the endpoint can do wrong, one small class each
    fleet.py           the numbers of one account and their random changes
    simulation.py      half a year of changes and faults with realistic causes
    record.py          generates and changes one number
    vendor_values.py   regions, codes, comments, reasons
    name_lists.py      the lists of names: employees, groups, employee groups, scenarios
    name_record.py     generates one employee, group or scenario
    name_values.py     first and last names, positions, names of groups
    paths.py           the vendor's paths
"""

from syncer.emulator import faults
from syncer.emulator.fleet import Fleet
from syncer.emulator.rates import REALISTIC, STATIC, Rates
from syncer.emulator.server import Emulator, serve

__all__ = ["REALISTIC", "STATIC", "Emulator", "Fleet", "Rates", "faults", "serve"]
