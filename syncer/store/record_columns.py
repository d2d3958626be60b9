"""The columns of the vendor's record in the tables, and their types in PostgreSQL."""

from __future__ import annotations

from typing import Final

RECORD_COLUMN_TYPES: Final = {
    "number": "text",
    "comment": "text",
    "type": "text",
    "purpose": "text",
    "state": "text",
    "reason": "text",
    "scenario_id": "bigint",
    "group_scenario_id": "bigint",
    "group_id": "bigint",
    "is_scenario_active": "boolean",
    "is_group_scenario_active": "boolean",
    "employee_id": "bigint",
    "dgn_number": "text",
    "redirect_number": "text",
    "region_id": "integer",
    "app_id": "bigint",
    "nc_type": "text",
    "sip_uri": "text",
}
"""The PostgreSQL type of each column, in the order of `syncer.diff.record.COLUMNS`; `region_id` takes the place of
`region_name`."""
RECORD_COLUMNS: Final = tuple(RECORD_COLUMN_TYPES)
"""Their names."""
