"""What is handed out is whole."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALWAYS_PACKED = {"LICENSE", "README.md", "pyproject.toml"}
"""The build backend adds them."""
MADE = {".git", ".venv", "build"}


def test_a_source_release_has_what_its_scripts_name() -> None:
    """`scripts/serve` and `scripts/test` of an unpacked sdist find the files and folders that they are written for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packed = {name.lstrip("/") for name in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]}
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    words = set(re.findall(r"(?<![\w.-])[\w.-]+", "\n".join(path.read_text(encoding="utf-8") for path in scripts)))
    named = {path.name for path in ROOT.iterdir() if path.name in words}
    assert {"buf.yaml", "requirements.lock", "protos"} <= named
    assert named - ALWAYS_PACKED - MADE <= packed
