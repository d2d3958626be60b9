"""Polls with dlt and its strategy scd2, through CSV and COPY.

    python -m benchmarks.polls.systems.scd2 ENDPOINT DATABASE [FOLDER]

Runs in the benchmark's environment, which has dlt.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}  # before dlt reads them

import dlt
import orjson

from benchmarks.polls.systems.steps import run_steps

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(endpoint: str, database: str, folder: str | None = None) -> None:
    """Runs the requested steps in one pipeline; the folder keeps its state."""
    pipeline = dlt.pipeline(
        "numbers",
        pipelines_dir=folder or tempfile.mkdtemp(),
        destination=dlt.destinations.postgres(database),
        dataset_name="polled",
    )

    def work(step: int) -> None:
        @dlt.resource(
            name="numbers",
            primary_key="id",
            write_disposition={"disposition": "merge", "strategy": "scd2"},
            max_table_nesting=0,  # `from_redirect_numbers` becomes a JSON column, which is faster than a child table
        )
        def numbers() -> Iterator[list[dict[str, object]]]:
            with closing(HTTPConnection(urlsplit(endpoint).netloc)) as connection:
                connection.request("GET", f"/{step}/numbers/virtual-number")
                yield orjson.loads(connection.getresponse().read())

        pipeline.run(numbers(), loader_file_format="csv")

    run_steps(work)


if __name__ == "__main__":
    main(*sys.argv[1:])
