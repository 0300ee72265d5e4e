"""scripts/replay as it is typed: with a server of its own, and against a running one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ringfence.testing import RingfenceServer
from scripts.replaying.__main__ import main
from scripts.replaying.sample import sample_rows
from tests.client.scripted import nobody
from tests.replay.builders import row, write_csv

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with an order, a cancellation, a write-off and an order that half the stock cannot serve."""
    rows = [
        row("1", "20000", 4),
        row("C2", "20000", -1, minute=1),
        row("3", "20000", -1, minute=2, customer=""),
        row("4", "20000", 6, minute=3, customer="", country="Germany"),
    ]
    return write_csv(tmp_path / "orders.csv.gz", rows, packed=True)


def test_the_sample_is_replayed_on_a_server_of_its_own(tmp_path: Path) -> None:
    """Without a file and without a server it needs nothing but itself; the report says that everything adds up. The
    server is gone afterwards, and its database stays where it was asked for."""
    report, database = tmp_path / "report.json", tmp_path / "kept.db"
    done = subprocess.run(
        [ROOT / "scripts" / "replay", "--share", "0.5", "--json", report, "--database", database],
        capture_output=True,
        text=True,
        check=False,
        # Settings for a running server must not reach the one it starts for itself.
        env={**os.environ, "RINGFENCE_PORT": "1", "RINGFENCE_ORGANIZATION": "other"},
    )
    assert done.returncode == 0, done.stderr
    assert "nothing oversold" in done.stdout
    assert "everything adds up" in done.stdout
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["ok"]
    assert found["file"]["lines"] == len(sample_rows())
    assert found["orders"]["refused"] > 0
    assert found["short"]["by_pool"]["customer/united-kingdom"]["lines"] > 0
    assert found["verify"] == {
        "ok": True,
        "keys_checked": found["file"]["skus"],
        "entries_read": found["audit"]["ledger_entries"],
        "violations": [],
    }
    assert database.exists()
    assert not database.with_name("kept.db-wal").exists(), "the server was not stopped in good order"


def test_a_running_server_is_used_again_and_again(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each replay has an organization of its own, so the stock of one is not in the way of the next."""
    with RingfenceServer() as server:
        for _ in range(2):
            assert main([str(small), "--target", server.target, "--share", "0.5", "--json", "-"]) == 0
            report = json.loads(capsys.readouterr().out)
            assert report["orders"]["accepted"] == 1
            assert report["short"]["by_pool_and_sku"] == [
                {
                    "reason": "quota_exhausted",
                    "path": "guest/germany",
                    "bound_path": "",
                    "sku": "20000",
                    "lines": 1,
                    "units": 5,
                }
            ]


def test_an_organization_with_stock_is_left_alone(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its figures would be overwritten, and nothing could be told from what was left."""
    arguments = [str(small), "--organization", "shop"]
    with RingfenceServer() as server:
        assert main([*arguments, "--target", server.target]) == 0
        assert main([*arguments, "--target", server.target]) == 2
    assert "organization shop has stock already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "No such file"),
        ("InvoiceNo\n1\n", "StockCode"),
        ("InvoiceNo,StockCode,Quantity,InvoiceDate,CustomerID,Country\n1,POST,1,2011-05-02,,\n", "no line moves any"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_said_in_one_line(
    tmp_path: Path, text: str | None, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and another exit code than for books that do not add up."""
    file = tmp_path / "orders.csv"
    if text is not None:
        file.write_text(text)
    assert main([str(file)]) == 2
    said = capsys.readouterr().err.strip()
    assert complaint in said
    assert "\n" not in said


def test_a_server_that_is_not_there_is_said_in_one_line(
    small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the target that was tried."""
    with nobody() as target:
        assert main([str(small), "--target", target, "--timeout", "60"]) == 2
    assert target in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--share", "-1"], ["--fenced", "1.1"], ["--limit", "0"], ["--share", "half"]])
def test_settings_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.postgres
def test_servers_that_are_killed_change_nothing(tmp_path: Path) -> None:
    """Two servers of a PostgreSQL of their own, one of them killed in the midst: every order is decided as by one
    server that nobody disturbs, and everything adds up."""
    reports = []
    for options in ([], ["--servers", "2", "--kill", "1"]):
        report = tmp_path / f"report-{len(options)}.json"
        assert main(["--share", "0.5", "--json", str(report), *options]) == 0
        reports.append(json.loads(report.read_text(encoding="utf-8")))
    alone, together = reports
    assert together["target"] == "2 servers on PostgreSQL, killed 1 times"
    assert together["orders"] == alone["orders"]
    assert together["short"] == alone["short"]
    assert together["verify"] == alone["verify"]


@pytest.mark.parametrize(
    "options",
    [["--kill", "1"], ["--servers", "2", "--target", "localhost:1"], ["--servers", "2", "--database", "a.db"]],
)
def test_servers_are_killed_only_where_they_are_its_own_and_several(options: list[str]) -> None:
    """Said before anything starts."""
    with pytest.raises(SystemExit):
        main(options)
