"""The queries of the dashboards' tiles: Superset's as it asks them, recorded, and Grafana's with its macros replaced.

    python -m benchmarks.tiles

opens every tab of the dashboard in Superset, which `make superset` installs, on the demo's data, and records the query
of each chart in the folder `tiles`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from benchmarks.history import A_NUMBER, END
from deploy.superset import bundle
from deploy.superset.__main__ import prepare
from deploy.superset.server import Superset
from deploy.superset.visit import visitor
from docs import demo_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.superset.bundle import Files

FOLDER: Final = Path(__file__).with_name("tiles")
GRAFANA: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "numbers.json"
_DAYS_AGO: Final = re.compile(r":(\d+)_days_ago")
"""The first day of the period that a chart shows, in its recorded query."""
_FIRST_DAY: Final = re.compile(r"(?:(?<=TO_DATE\(')|(?<=TO_TIMESTAMP\(')|(?<=>= '))\d{4}-\d\d-\d\d")
_PERIOD: Final = timedelta(days=180)
"""The period of Grafana's panels."""
_TAB_OF_A_NUMBER: Final = ("life", "life_changes", "life_employees", "life_redirects")
_DATASET: Final = ") AS virtual_table "


def superset_tiles() -> dict[str, str]:
    """Returns the query of each chart, by the name of its file, for its own period until the generated history ends.

    Those of the tab of one number have a number selected.
    """
    queries = {path.stem: _DAYS_AGO.sub(_first_day, path.read_text()) for path in sorted(FOLDER.glob("*.sql"))}
    of_a_number = f"{_DATASET}WHERE number IN ('{A_NUMBER}') "
    return queries | {name: queries[name].replace(_DATASET, of_a_number) for name in _TAB_OF_A_NUMBER}


def _first_day(found: re.Match[str]) -> str:
    return f"{END - timedelta(days=int(found[1]))}"


def grafana_tiles(accounts: Sequence[str]) -> dict[str, str]:
    """Returns the query of each panel, by its title, for the same period and these accounts."""
    since, until = f"'{END - _PERIOD}T00:00:00Z'", f"'{END}T00:00:00Z'"
    names = ", ".join(f"'{name}'" for name in accounts)
    queries = {}
    for panel in json.loads(GRAFANA.read_text())["panels"]:
        for target in panel.get("targets", []):
            query = target["rawSql"].replace("${account:sqlstring}", names)
            query = re.sub(r"\$__timeFilter\((.*?)\)", rf"\1 between {since} and {until}", query)
            queries[panel["title"]] = query.replace("$__timeFrom()", since).replace("$__timeTo()", until)
    return queries


def digest_of(files: Files, chart: str) -> str:
    """Returns a digest of what a chart's query depends on: the chart and its dataset."""
    content = files[f"charts/{chart}.yaml"]
    (dataset,) = (one for one in files.values() if one.get("uuid") == content["dataset_uuid"])
    described = yaml.safe_dump([content["params"], dataset["sql"], dataset["metrics"], dataset["columns"]])
    return hashlib.sha256(described.encode()).hexdigest()


def record() -> None:
    """Writes what Superset asks PostgreSQL for each chart in English; the Russian ones differ in titles."""
    english, _ = bundle.both()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.sql"):
        path.unlink()
    with demo_data.server() as url, tempfile.TemporaryDirectory(prefix="syncer-tiles-") as folder:
        superset_url, analyst_url = asyncio.run(prepare(url))
        with Superset(Path(folder), superset_url, analyst_url) as superset:
            bundle.make(Path(folder) / "import")
            superset.set_up()
            superset.import_bundle(Path(folder) / "import" / "bundle")
            superset.serve()
            for chart, query in _queries(superset, english, Path(folder)):
                recorded = _FIRST_DAY.sub(_days_ago, query)
                (FOLDER / f"{chart}.sql").write_text(f"-- {digest_of(english, chart)}\n{recorded}")


def _days_ago(found: re.Match[str]) -> str:
    return f":{(datetime.now(UTC).date() - date.fromisoformat(found[0])).days}_days_ago"


def _queries(superset: Superset, files: Files, folder: Path) -> Iterator[tuple[str, str]]:
    (dashboard,) = (content for path, content in files.items() if path.startswith("dashboards/"))
    charts = {content["slice_name"]: Path(path).stem for path, content in files.items() if path.startswith("charts/")}
    with visitor(superset, "en") as browser:
        for tab in dashboard["position"]["TABS-pages"]["children"]:
            for chart in browser.open_tab(dashboard["slug"], tab, folder / "tab.png"):
                (result,) = chart.results
                yield charts[chart.title], result["query"]


if __name__ == "__main__":
    record()
