"""Makes what Superset imports, in English and Russian, from the English bundle and the table of translations.

python deploy/superset/bundle.py FOLDER             writes both languages to FOLDER/bundle, and a ZIP file of each
python deploy/superset/bundle.py FOLDER SCHEMA      the same for a login that sees some accounts only: analytics_clerk
python deploy/superset/bundle.py --take EXPORT.zip  replaces bundle/ with the English dashboard as Superset exports it
"""

from __future__ import annotations

import re
import shutil
import sys
import uuid
import zipfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import yaml

Files = dict[str, Any]
SOURCE: Final = Path(__file__).with_name("bundle")
TABLE: Final = Path(__file__).with_name("ru.yaml")
_NAMESPACE: Final = uuid.UUID("5f0d3c1e-6a43-4c58-9c0e-3b7a4c1f2d90")
_SHARED: Final = ("metadata.yaml", "databases/")
_SQL_KEYS: Final = ("sql", "expression", "sqlExpression")
# What Superset derives from the rest, and identifiers that differ in each Superset.
_LEFT_OUT: Final = {
    *("query_context", "datasource", "slice_id", "dashboards", "chartsInScope", "tabsInScope"),
    *("chart_configuration", "global_chart_configuration", "shared_label_colors", "map_label_colors"),
}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def read(folder: Path) -> Files:
    """Returns the content of each file of a bundle by its path in the folder."""
    paths = sorted(folder.rglob("*.yaml"))
    return {path.relative_to(folder).as_posix(): yaml.safe_load(path.read_text("utf-8")) for path in paths}


def in_russian(files: Files, table: dict[str, str]) -> Files:
    """Returns the dashboard, its charts and its datasets in Russian, with identifiers of their own."""
    paths = {path: path.replace(".yaml", "_ru.yaml") for path in files if not path.startswith(_SHARED)}
    uuids = {files[path]["uuid"]: str(uuid.uuid5(_NAMESPACE, russian)) for path, russian in paths.items()}
    return {russian: _translate(files[path], table | uuids) for path, russian in paths.items()}


def _translate(value: object, table: dict[str, str], key: str = "") -> object:
    match value:
        case dict():
            return {table.get(name, name): _translate(item, table, name) for name, item in value.items()}
        case list():
            return [_translate(item, table) for item in value]
        case str() if key in _SQL_KEYS:
            translated = re.sub(r"'((?:[^']|'')*)'", lambda literal: f"'{table.get(literal[1], literal[1])}'", value)
            return re.sub(r"(?<=title)_en\b", "_ru", translated)
        case str():
            return table.get(value, value)
        case _:
            return value


def in_schema(files: Files, schema: str) -> Files:
    """Returns a bundle for a login that sees some accounts only, which can be imported beside the one for all accounts.

    Args:
        files: The bundle.
        schema: The schema of the login's views: `analytics_` and the login.

    Raises:
        ValueError: It is another schema.
    """
    login = schema.removeprefix("analytics_")
    if not login or login == schema:
        raise ValueError(f"{schema!r} is not the schema of a login, such as analytics_clerk for the login clerk")
    quoted = schema if re.fullmatch("[a-z_][a-z0-9_]*", schema) else '"{}"'.format(schema.replace('"', '""'))
    uuids = {
        content["uuid"]: str(uuid.uuid5(_NAMESPACE, f"{schema}/{content['uuid']}"))
        for content in files.values()
        if "uuid" in content
    }
    found: Files = {path: _translate(content, uuids) for path, content in files.items()}
    for content in found.values():
        if "sql" in content:
            content["schema"], content["sql"] = schema, re.sub(r"\banalytics\.", lambda _: f"{quoted}.", content["sql"])
        elif "sqlalchemy_uri" in content:
            content["database_name"] += f" ({login})"
            content["sqlalchemy_uri"] = content["sqlalchemy_uri"].replace("syncer_analyst", quote(login, safe=""))
        elif "slug" in content:
            content["dashboard_title"] += f" ({login})"
            content["slug"] += f"-{login}"
    return found


def write(files: Files, folder: Path) -> None:
    """Replaces a folder with the files of a bundle."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        text = yaml.dump(content, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
        (folder / path).write_text(text, "utf-8")


def both() -> tuple[Files, Files]:
    """Returns the bundle in English and in Russian."""
    english = read(SOURCE)
    return english, in_russian(english, yaml.safe_load(TABLE.read_text("utf-8")))


def make(folder: Path, schema: str = "analytics") -> None:
    """Writes both languages to a folder that Superset imports, and a ZIP file of each beside it.

    Args:
        folder: The folder.
        schema: The schema of the views; if it is not `analytics`, that of a login which sees some accounts only.

    Raises:
        ValueError: There is no such schema of a login.
    """
    english, russian = both()
    if schema != "analytics":
        files = in_schema(english | russian, schema)
        english = {path: files[path] for path in english}
        russian = {path: files[path] for path in russian}
    shared = {path: content for path, content in english.items() if path.startswith(_SHARED)}
    for name, files in (("syncer-en", english), ("syncer-ru", shared | russian)):
        write(files, folder / name / name)
        shutil.make_archive(str(folder / name), "zip", folder / name)
        shutil.rmtree(folder / name)
    write(english | russian, folder / "bundle")


def take(export: Path) -> Files:
    """Returns the bundle as an export has it, without what differs in each Superset.

    The SQL of datasets stays as it is here, because Superset rewrites it.
    """
    source = read(SOURCE)
    paths = {content["uuid"]: path for path, content in source.items() if "uuid" in content}
    files = {path: content for path, content in source.items() if path.startswith(_SHARED)}
    with zipfile.ZipFile(export) as archive:
        for member in archive.namelist():
            name = member.partition("/")[2]
            if not name.startswith(_SHARED):
                content = _tidy(yaml.safe_load(archive.read(member)))
                path = paths.get(content["uuid"], re.sub(r"_\d+\.yaml$", ".yaml", name).lower())
                files[path] = _tidy_file(content, source.get(path, content))
    return files


def _tidy_file(content: dict[str, Any], former: dict[str, Any]) -> dict[str, Any]:
    if "position" in content:
        _renumber(content)
    elif "columns" in content:
        content["columns"] = _in_order(content["columns"], former["columns"], "column_name")
        content["metrics"] = _in_order(content["metrics"], former["metrics"], "metric_name")
        content["sql"] = former["sql"]
    return content


def _in_order(items: list[Any], former: list[Any], name: str) -> list[Any]:
    """Superset exports columns and metrics in any order."""
    order = [item[name] for item in [*former, *items]]
    return sorted(items, key=lambda item: order.index(item[name]))


def _renumber(dashboard: dict[str, Any]) -> None:
    """Numbers the charts of a dashboard from 1, in the order of their uuids."""
    nodes = [node["meta"] for node in dashboard["position"].values() if isinstance(node, dict) and "meta" in node]
    charts = sorted((node for node in nodes if "chartId" in node), key=lambda node: str(node["uuid"]))
    numbers = {chart["chartId"]: number for number, chart in enumerate(charts, 1)}
    for chart in charts:
        chart["chartId"] = numbers[chart["chartId"]]
    for native_filter in dashboard["metadata"]["native_filter_configuration"]:
        scope = native_filter["scope"]
        scope["excluded"] = sorted(numbers[chart] for chart in scope["excluded"] if chart in numbers)


def _tidy(content: dict[str, Any]) -> dict[str, Any]:
    kept = {name: _tidy_item(item) for name, item in content.items() if name not in _LEFT_OUT}
    return {name: item for name, item in kept.items() if item is not None}


def _tidy_item(item: object) -> object:
    match item:
        case dict():
            return _tidy(item)
        case list():
            return [_tidy_item(one) for one in item]
        case _:
            return item


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--take", export]:
            write(take(Path(export)), SOURCE)
        case [folder, *schema] if len(schema) <= 1:
            try:
                make(Path(folder), *schema)
            except ValueError as error:
                sys.exit(str(error))
        case _:
            sys.exit(__doc__)
