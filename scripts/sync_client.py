"""The calls of `Client` from those of `AsyncClient`: the same methods without `async` and `await`.

    python scripts/sync_client.py client/ringfence out/

What waits, reconnects or runs beside the caller differs in more than these words; it is written for each by hand.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_MODULES = {"_async_commands.py": "_sync_commands.py", "_async_reads.py": "_sync_reads.py"}
_WORDS = re.compile(r"\b(?:async (?=def\b|for\b|with\b)|await )")
_NAMES = re.compile(r"\bAsync(?=Client\b|Commands\b|Reads\b|Pager\b)")


def main() -> int:
    """Writes the modules of the client for threads into a folder. Lines that fit into one now `ruff format` joins."""
    package, target = map(Path, sys.argv[1:])
    for source, name in _MODULES.items():
        text = (package / source).read_text(encoding="utf-8")
        written = f"# Written by scripts/generate from {source}: change it there.\n"
        (target / name).write_text(written + _NAMES.sub("", _WORDS.sub("", text)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
