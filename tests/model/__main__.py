"""Runs the long profile: `python -m tests.model [EXAMPLES]`; prints the statistics at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if __name__ == "__main__":
    os.environ["SYNCER_MODEL_EXAMPLES"] = sys.argv[1] if len(sys.argv) > 1 else "2000"
    sys.exit(pytest.main([str(Path(__file__).parent), "-q", "--show-capture=no", "-p", "no:cacheprovider"]))
