"""The tables of schema `syncer`, as the newest migration leaves them.

Every key of account-owned data starts with `account_id`. Rows are facts, so there are no entities here: the statements
that read and write them stand in the modules that mean something by it. The comments are what analysts read.

    schema.py     what all tables share
    accounts.py   accounts, when they are polled, and what their polls came to
    numbers.py    the numbers as they are now, their words, and what could not be taken
    history.py    what the numbers were, and when
"""

from syncer.store.tables import history
from syncer.store.tables.accounts import sync_run
from syncer.store.tables.numbers import RECORD_COLUMNS, RECORD_KINDS
from syncer.store.tables.schema import SCHEMA, metadata

# `history` is named so that whoever asks for the metadata has it whole.
__all__ = ["RECORD_COLUMNS", "RECORD_KINDS", "SCHEMA", "history", "metadata", "sync_run"]
