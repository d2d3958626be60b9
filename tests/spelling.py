"""Checks the spelling of Russian, which typos does not know: prints each word that is not in pymorphy3's dictionary.

    python -m tests.spelling

The tests themselves are not checked: their words are often made up.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from pymorphy3 import MorphAnalyzer

_WORD: Final = re.compile(r"[а-яё]+", re.IGNORECASE)
_CORRECT: Final = {
    # Words and abbreviations that the dictionary lacks, halves of compounds, and single letters.
    *("атс", "автообновление", "дашборд", "дашборды", "декодируются", "дгн", "миб", "номеро", "санкт", "тц", "токен"),
    *("дашборда", "дашбордами", "дашбордом", "киб", "поды", "прокси", "триггеры"),
    *("токена", "токене", "токеном", "токенов", "токены"),
    *("суперпользователя", "янв", "февр", "авг", "сент", "окт", "нояб", "дн", "доб", "й", "ь"),
}


def main() -> int:
    """Prints each unknown word with its place; returns 1 if there is one."""
    dictionary = MorphAnalyzer()
    command = ("git", "ls-files", "-z", ":!tests")
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    unknown = 0
    for file in map(Path, listed.stdout.rstrip("\0").split("\0")):
        if file.suffix == ".png" or not file.exists():
            continue
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
            for word in _WORD.findall(line):
                if word.lower() not in _CORRECT and not dictionary.word_is_known(word.lower()):
                    unknown += 1
                    sys.stdout.write(f"{file}:{number}: {word}\n")
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main())
