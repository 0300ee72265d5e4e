"""The contract from another language: `buf curl`, a client written in Go, which learns the contract by reflection."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ringfence import StockFigure
from ringfence.testing import RingfenceServer
from ringfence.v1 import errors_pb2

BUF = Path(sys.executable).parent / "buf"
SERVICE = "ringfence.v1.AllocationService"


def call(target: str, method: str, request: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether the call succeeded, and what it answered: JSON as protobuf defines it."""
    done = subprocess.run(
        [
            str(BUF),
            "curl",
            "--protocol",
            "grpc",
            "--http2-prior-knowledge",
            "-d",
            json.dumps(request),
            f"http://{target}/{SERVICE}/{method}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout or done.stderr)
    return done.returncode == 0, answer


def reserve(target: str, number: int, quantity: str, path: str = "") -> tuple[bool, dict[str, Any]]:
    """Reserves lamps under a fixed request id."""
    return call(
        target,
        "Reserve",
        {
            "requestId": f"0198c1f0-0000-4000-8000-{number:012d}",
            "lines": [{"key": {"sku": "LAMP", "location": "berlin"}, "quantity": quantity, "path": path}],
        },
    )


def test_a_client_that_is_not_python_reserves_and_reads_the_shortage() -> None:
    """It gets its hold, a repeat of it, and for what is not there the typed list of short lines."""
    with RingfenceServer() as server:
        with server.client() as client:
            client.post_stock(StockFigure("LAMP", "berlin", 10))
        done, first = reserve(server.target, 1, "4")
        assert done
        assert first["fill"] == "FILL_FULL"
        assert first["reservation"]["lines"][0]["granted"] == "4"

        done, again = reserve(server.target, 1, "4")
        assert done
        assert again["replayed"]
        assert again["reservation"] == first["reservation"]

        done, refused = reserve(server.target, 2, "7")
        assert not done
        assert refused["code"] == "failed_precondition"
        (detail,) = [item for item in refused["details"] if item["type"] == "ringfence.v1.InsufficientQuantity"]
        value = detail["value"]
        shortage = errors_pb2.InsufficientQuantity.FromString(base64.b64decode(value + "=" * (-len(value) % 4)))
        (short,) = shortage.shortages
        assert (short.requested, short.available) == (7, 6)
        assert short.reason == errors_pb2.SHORTAGE_REASON_QUOTA_EXHAUSTED
