"""The client offers every RPC, in both kinds, and is quick to import."""

from __future__ import annotations

import importlib.resources
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import ringfence
from ringfence import (
    AsyncClient,
    Client,
    Line,
    Move,
    Policy,
    PostStock,
    PublishedQuantity,
    Reserve,
    RingfenceError,
    StockFigure,
)
from ringfence._rpcs import Rpc
from ringfence.v1 import (
    allocation_service_pb2,
    ledger_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    stock_service_pb2,
)
from tests.client.conftest import Connect
from tests.client.scripted import BOTH_WAYS, Failure, ScriptedServer

FILES = (
    allocation_service_pb2,
    stock_service_pb2,
    order_feed_service_pb2,
    policy_service_pb2,
    ledger_service_pb2,
)

CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "Allocate": ("allocate", (Line("LAMP", "berlin", 1, path="web"),)),
    "Unallocate": ("unallocate", (Line("LAMP", "berlin", 1, path="web"),)),
    "Reallocate": ("reallocate", (Move("LAMP", "berlin", 1, from_path="web", to_path=""),)),
    "Reserve": ("reserve", (Line("LAMP", "berlin", 1),)),
    "UpdateReservation": ("update_reservation", ("id",)),
    "Consume": ("consume", ("id",)),
    "Cancel": ("cancel", ("id",)),
    "GetReservation": ("get_reservation", ("id",)),
    "ListReservations": ("list_reservations", ()),
    "QueryBalance": ("query_balance", ()),
    "WatchBalances": ("watch", ()),
    "Execute": ("execute_many", ([Reserve(Line("LAMP", "berlin", 1))],)),
    "PostStock": ("post_stock", (StockFigure("LAMP", "berlin", 10),)),
    "ReassignPart": ("reassign_part", ("id",)),
    "SyncStock": ("sync_stock", ([PostStock(StockFigure("LAMP", "berlin", 10))],)),
    "StreamOrders": ("stream_orders", (["berlin"],)),
    "ListDiscrepancies": ("list_discrepancies", ()),
    "ReportPublished": ("report_published", (PublishedQuantity("LAMP", "berlin", 5, datetime.now(UTC)),)),
    "GetStock": ("get_stock", ("LAMP", "berlin")),
    "ListStock": ("list_stock", ()),
    "GetPolicy": ("get_policy", ()),
    "SetPolicy": ("set_policy", (Policy(revision=1),)),
    "ListEntries": ("list_entries", ()),
    "Verify": ("verify", ()),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "UpdateReservation": {"owner": "Ada"},
    "ReassignPart": {"part_number": 1, "location": "hamburg"},
    "StreamOrders": {"adapter": "pos"},
}


def contract() -> list[str]:
    """Every RPC of the generated stubs, of every service there is."""
    return [
        method.name
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def test_the_contract_has_no_other_files() -> None:
    """No service of the generated stubs is missing from what these tests go over."""
    package = importlib.resources.files("ringfence.v1")
    stubs = {entry.name for entry in package.iterdir() if entry.name.endswith("_service_pb2.py")}
    assert stubs == {
        "allocation_service_pb2.py",
        "ledger_service_pb2.py",
        "order_feed_service_pb2.py",
        "policy_service_pb2.py",
        "stock_service_pb2.py",
    }


@pytest.mark.parametrize("name", contract())
async def test_every_rpc_has_a_method_in_both_clients(scripted: ScriptedServer, connect: Connect, name: str) -> None:
    """Calling the method reaches the RPC: one without a client method, in either client, fails here."""
    assert name in CALLS, f"no client method for {name}"
    method, arguments = CALLS[name]
    scripted.on(name, Failure("PERMISSION_DENIED"))
    with pytest.raises(RingfenceError):
        await connect().call(method, *arguments, **OPTIONS.get(name, {}))
    assert [call.name for call in scripted.received] == [name]


def test_the_rpc_table_is_the_contract() -> None:
    """Paths, message types and which RPCs change something are those of the contract."""
    from ringfence import _rpcs

    table = {rpc.name: rpc for rpc in vars(_rpcs).values() if isinstance(rpc, Rpc)}
    assert sorted(table) == sorted(contract())
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                rpc = table[method.name]
                assert rpc.path == f"/{service.full_name}/{method.name}"
                assert rpc.request.DESCRIPTOR is method.input_type
                assert rpc.response.DESCRIPTOR is method.output_type
                changes = "request_id" in method.input_type.fields_by_name and method.name != "ListEntries"
                assert rpc.mutating == (changes or method.name in BOTH_WAYS)


ASYNC_ONLY = {"pipeline", "stock_pipeline"}


def public_methods(kind: type) -> dict[str, Callable[..., Any]]:
    """A client's public methods and its constructor."""
    return {
        name: member
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


def test_both_clients_have_the_same_methods() -> None:
    """What one client can do, the other can."""
    assert set(public_methods(AsyncClient)) - ASYNC_ONLY == set(public_methods(Client))


@pytest.mark.parametrize("name", sorted(public_methods(Client)))
def test_both_clients_take_the_same_arguments(name: str) -> None:
    """A method has the same parameters, defaults and words of explanation in both clients."""
    there, here = public_methods(AsyncClient)[name], public_methods(Client)[name]
    theirs = str(inspect.signature(there).replace(return_annotation=inspect.Signature.empty))
    ours = str(inspect.signature(here).replace(return_annotation=inspect.Signature.empty))
    assert theirs.replace(" | AsyncIterable[CommandWithId]", "") == ours
    assert here.__doc__
    words = (there.__doc__ or "").replace("async with", "with").replace("await ", "")
    assert words.replace("AsyncClient", "Client").replace("async for", "for") == here.__doc__


def test_every_option_is_named() -> None:
    """Beyond what a call is about, every option is keyword-only."""
    positional = {
        "__init__": 1,
        "balance": 2,
        "get_stock": 2,
        "get_policy": 0,
        "list_entries": 0,
        "list_discrepancies": 0,
        "list_reservations": 0,
        "list_stock": 0,
        "close": 0,
    }
    for name, method in public_methods(AsyncClient).items():
        kinds = [parameter.kind for parameter in inspect.signature(method).parameters.values()]
        given = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) - 1
        assert given == positional.get(name, 0 if name in ASYNC_ONLY else 1), name


def test_everything_exported_is_there() -> None:
    """Every name of __all__ can be imported, and nothing public is left out of it."""
    for name in ringfence.__all__:
        assert getattr(ringfence, name) is not None
    assert set(ringfence.__all__) <= set(dir(ringfence))
    errors = {name for name in vars(ringfence._errors)["__all__"]}
    assert errors <= set(ringfence.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        ringfence.nonsense  # noqa: B018


def test_every_exception_is_a_ringfence_error() -> None:
    """One base catches all that the client raises about a request."""
    raised = [
        getattr(ringfence, name)
        for name in ringfence.__all__
        if isinstance(getattr(ringfence, name), type) and issubclass(getattr(ringfence, name), BaseException)
    ]
    assert len(raised) > 25
    assert all(issubclass(kind, RingfenceError) for kind in raised)


def test_the_package_is_typed() -> None:
    """py.typed tells type checkers to read the annotations."""
    assert importlib.resources.files("ringfence").joinpath("py.typed").is_file()


def run_python(code: str) -> Any:
    """What a fresh interpreter prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


@pytest.mark.parametrize(("what", "seconds"), [("import ringfence", 0.75), ("from ringfence import Client", 1.5)])
def test_importing_is_quick(what: str, seconds: float) -> None:
    """`import ringfence` takes 0.1 s of the processor, with a client's gRPC and protobuf 0.25 s. The quickest of
    several tries counts, and much more than that is taken for slow: a busy machine fails nothing."""
    code = f"import time; began = time.process_time(); {what}; print(time.process_time() - began)"
    assert min(run_python(code) for _ in range(4)) < seconds


def test_importing_brings_in_nothing_heavy() -> None:
    """Types and errors come without gRPC and protobuf; a client comes without the server and what only it needs."""
    code = (
        "import json, sys; import ringfence; ringfence.Line; ringfence.RingfenceError\n"
        "light = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "ringfence.AsyncClient; ringfence.Client; ringfence.AsyncPipeline\n"
        "print(json.dumps([light, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    light, heavy = run_python(code)
    assert not {"grpc", "google"} & set(light)
    assert {"grpc", "google"} <= set(heavy)
    assert not {"ringfence_server", "sqlalchemy", "typer", "rich", "structlog", "aiosqlite", "pytest"} & set(heavy)


def without(module: str, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where a module is not installed."""
    code = f"import sys; sys.modules[{module!r}] = None; {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


def test_who_has_the_client_alone_is_told_what_is_missing() -> None:
    """`pip install ringfence` brings the program and `ringfence.testing`, but not what both need."""
    program = without("typer", "from ringfence_server.cli import main; main()")
    assert (program.returncode, program.stdout) == (2, "")
    assert program.stderr == "ringfence: typer is missing: pip install 'ringfence[server]'\n"
    testing = without("sqlalchemy", "from ringfence.testing import RingfenceServer; RingfenceServer()")
    assert testing.stderr.endswith("ImportError: sqlalchemy is missing: pip install 'ringfence[server]'\n")


def test_a_test_server_needs_no_unix() -> None:
    """Only a PostgreSQL that root starts has to know the users of the machine."""
    code = "from ringfence.testing import RingfenceServer\nwith RingfenceServer() as server: print(server.target)"
    assert without("pwd", code).stdout.startswith("127.0.0.1:")


def test_annotations_can_be_read() -> None:
    """Results are dataclasses whose fields are documented where they stand: no field without a line of its own."""
    source = importlib.resources.files("ringfence")
    for module in (
        "_types.py",
        "_till_types.py",
        "_facts.py",
        "_results.py",
        "_balance_types.py",
        "_policy_types.py",
        "_commands.py",
        "_config.py",
    ):
        text = source.joinpath(module).read_text(encoding="utf-8")
        for match in re.finditer(r"^    (\w+): [^\n]+\n(?!    \"\"\")", text, flags=re.MULTILINE):
            assert text[match.end() :].startswith("    ") is False, f"{module}: {match.group(1)} has no docstring"
