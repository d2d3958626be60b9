"""Prints the line and branch coverage of the program, and the ten functions with the lowest, from `coverage json`.

coverage json -o - | python -m tests.coverage_report
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Reads the report from standard input."""
    report = json.load(sys.stdin)
    totals = report["totals"]
    functions = [
        (function["summary"], file, name)
        for file, content in report["files"].items()
        for name, function in content["functions"].items()
        if name and function["summary"]["num_statements"]
    ]
    functions.sort(key=lambda one: (one[0]["percent_covered"], -one[0]["num_statements"]))
    rows = [
        f"{kind:8} {totals[f'percent_{name}_covered']:5.1f} % of {totals[f'num_{name}']:,}"
        for kind, name in (("lines", "statements"), ("branches", "branches"))
    ]
    rows += ["The least covered functions, lines and branches together:"]
    rows += [f"{summary['percent_covered']:14.1f} %  {file} {name}" for summary, file, name in functions[:10]]
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
