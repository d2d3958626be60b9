"""What all tables of schema `syncer` share."""

from __future__ import annotations

from typing import Final

from sqlalchemy import DateTime, MetaData

SCHEMA: Final = "syncer"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

Time = DateTime(timezone=True)
"""`timestamptz`, always from the database's clock."""
