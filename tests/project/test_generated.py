"""The checked-in stubs are those of the contract, and installable beside what the client depends on."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "client" / "ringfence" / "v1"

pytestmark = pytest.mark.skipif(not (ROOT / "protos").is_dir(), reason="protos/ is missing")


def test_what_is_generated_is_what_would_be_written_now() -> None:
    """Generating them, the page of the API and the client for threads again changes nothing."""
    check = subprocess.run([ROOT / "scripts" / "generate", "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize(
    ("distribution", "files", "version"),
    [
        ("grpcio", "*_pb2_grpc.py", r"GRPC_GENERATED_VERSION = '([\d.]+)'"),
        ("protobuf", "*_pb2.py", r"# Protobuf Python Version: ([\d.]+)"),
    ],
)
def test_the_client_asks_for_versions_its_stubs_accept(distribution: str, files: str, version: str) -> None:
    """The oldest version that may be installed is no older than the one the stubs were written for.

    Generated modules refuse to be imported beside an older one.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (requirement,) = (r for r in map(Requirement, project["dependencies"]) if r.name == distribution)
    (floor,) = (s.version for s in requirement.specifier if s.operator == ">=")
    written_for = {v for path in STUBS.glob(files) for v in re.findall(version, path.read_text(encoding="utf-8"))}
    assert written_for == {floor}
