"""Everything that the endpoint can do wrong, one small class each.

In Python, a fault is requested with an instance (`Truncated(share=0.9, requests=2)`), over HTTP with the same in JSON
(`{"name": "truncated", "share": 0.9, "requests": 2}`): the `tag` of a class is the name, its fields are the parameters.
A fault applies to the list of numbers, or with a `path` (`{"name": "hang", "path": "/employee"}`) to a list of names.
To add a fault, write its class in one of the modules here, and list it below.

    answers.py      the status, or the body
    connection.py   the connection
    records.py      the records
"""

from syncer.emulator.faults.answers import (
    Body,
    Empty,
    Healthy,
    Html,
    NotJson,
    Null,
    OneObject,
    Redirect,
    Status,
    String,
    Truncated,
    Unclosed,
)
from syncer.emulator.faults.connection import CutOff, GzipBomb, Hang, Reset, SlowDrip
from syncer.emulator.faults.records import (
    AbsentKeys,
    BrokenRecords,
    PartialList,
    RepeatedRecords,
    UnknownFields,
    UnknownState,
    UnusableNames,
    WrongAccount,
)

AnyFault = (
    Healthy
    | Status
    | Redirect
    | Body
    | Html
    | NotJson
    | Empty
    | Null
    | String
    | OneObject
    | Truncated
    | Unclosed
    | CutOff
    | Reset
    | Hang
    | SlowDrip
    | GzipBomb
    | WrongAccount
    | PartialList
    | AbsentKeys
    | UnknownState
    | UnknownFields
    | BrokenRecords
    | RepeatedRecords
    | UnusableNames
)

__all__ = [
    "AbsentKeys",
    "AnyFault",
    "Body",
    "BrokenRecords",
    "CutOff",
    "Empty",
    "GzipBomb",
    "Hang",
    "Healthy",
    "Html",
    "NotJson",
    "Null",
    "OneObject",
    "PartialList",
    "Redirect",
    "RepeatedRecords",
    "Reset",
    "SlowDrip",
    "Status",
    "String",
    "Truncated",
    "Unclosed",
    "UnknownFields",
    "UnknownState",
    "UnusableNames",
    "WrongAccount",
]
