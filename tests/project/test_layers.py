"""The project's imports run downward only, and the checker that says so sees what it must."""

from pathlib import Path

import pytest

from tests.project.layers import LAYERS, violations

ROOT = Path(__file__).parents[2]

LEDGER = "ringfence_server.ledger.pools"
COMMITTER = "ringfence_server.committer.lane"
STORE = "ringfence_server.store.engine"
RPC = "ringfence_server.rpc.server"
CLIENT = "ringfence._client"


def test_the_tree_keeps_its_layers() -> None:
    """No module of the client or the server imports against the lines of the architecture."""
    found = [
        str(violation)
        for root in (ROOT / "client", ROOT / "server")
        for path in sorted(root.rglob("*.py"))
        for violation in violations(
            path.read_text(encoding="utf-8"),
            ".".join(path.relative_to(root).with_suffix("").parts),
            str(path.relative_to(ROOT)),
        )
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (LEDGER, "import grpc"),
        (LEDGER, "import sqlalchemy as sa"),
        (LEDGER, "from google.protobuf import timestamp_pb2"),
        (LEDGER, "from ringfence.v1 import common_pb2"),
        (LEDGER, "import asyncio"),
        (LEDGER, "from time import monotonic"),
        (LEDGER, "import random"),
        (LEDGER, "import os.path"),
        (LEDGER, "from uuid import uuid4"),
        (LEDGER, "from datetime import datetime as dt\n\nx = dt.now()"),
        (LEDGER, "import datetime\n\nx = datetime.datetime.now(datetime.UTC)"),
        (LEDGER, "from ringfence_server.store import tables"),
        (LEDGER, "from .. import committer"),
        ("ringfence_server.ledger.__init__", "from ..committer import lane"),
        ("ringfence_server.ledger", "import ringfence_server"),
        (COMMITTER, "import grpc.aio"),
        (COMMITTER, "from grpc_status import rpc_status"),
        (COMMITTER, "from sqlalchemy.ext.asyncio import AsyncEngine"),
        (COMMITTER, "from ringfence_server import store"),
        (COMMITTER, "from ringfence_server.rpc.errors import to_status"),
        (COMMITTER, "def late():\n    import ringfence_server.store.engine"),
        (COMMITTER, "import importlib\n\nx = importlib.import_module('ringfence_server.store')"),
        (STORE, "import grpc"),
        (STORE, "import google.protobuf.message"),
        (STORE, "from ringfence.v1 import common_pb2"),
        (STORE, "from ..committer import lane"),
        (RPC, "from ringfence_server.store import engine"),
        (RPC, "from ..store import *"),
        (RPC, "from ringfence_server.app import build"),
        (RPC, "from sqlalchemy.exc import DBAPIError"),
        (CLIENT, "import ringfence_server"),
        (CLIENT, "def late():\n    from ringfence_server.app import build"),
        ("ringfence.testing.__init__", "from ringfence_server.app import build"),
    ],
)
def test_an_import_against_a_rule_is_found(module: str, source: str) -> None:
    """Each planted import is told, once, with its file, line, name and rule."""
    (violation,) = violations(source, module, "planted.py")
    line, text = next((n, t) for n, t in enumerate(source.splitlines(), 1) if n == violation.line)
    assert violation.name.split(".")[-1] in text
    assert str(violation) == f"planted.py:{line}: {violation.name}: {violation.rule}"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (LEDGER, "import dataclasses\nfrom datetime import datetime, timedelta\n\nx = datetime.max"),
        (LEDGER, "from . import keys\nfrom ringfence_server.ledger import commands"),
        (COMMITTER, "import asyncio, time, structlog\nfrom ringfence_server.ledger import commands"),
        (STORE, "import os\nfrom sqlalchemy import select\nfrom ..ledger import commands"),
        (RPC, "import grpc.aio\nfrom ringfence.v1 import common_pb2\nfrom ..committer import lane"),
        ("ringfence_server.app", "from ringfence_server import committer, rpc, store"),
        (CLIENT, "import grpc\nfrom .v1 import common_pb2\nfrom ringfence_serverless import x"),
        ("ringfence.testing", "def late():\n    from ringfence_server.app import build"),
    ],
)
def test_an_import_within_the_rules_is_not_found(module: str, source: str) -> None:
    """Downward imports, the composition root and the client's own modules pass."""
    assert violations(source, module, "planted.py") == []


def test_every_layer_of_the_picture_has_its_rule() -> None:
    """The layers are named as their packages are."""
    assert set(LAYERS) == {"rpc", "committer", "watch", "ledger", "store"}
