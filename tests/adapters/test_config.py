"""Configuration files: what they set up, and how their mistakes are told."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ringfence.adapters import AdapterError, Schedule
from ringfence.adapters._config import load_setup
from ringfence.adapters.csv_folder import CsvFolder
from ringfence.adapters.sql_tables import SqlTables
from ringfence_server.cli.app import app
from tests.adapters.service import TillService
from tests.adapters.till import Till, TillAdapter
from tests.cli.run import PROGRAM
from tests.client.scripted import wait_for

CSV = """\
[service]
target = "localhost:1"
organization = "acme"

[adapter]
kind = "csv_folder"
name = "till-berlin"
locations = ["berlin"]
source = "pos"
read = "on change"
publish = "hourly"
metrics_file = "till.prom"

[csv_folder]
folder = "till"
position = "name"
"""

SQL = """\
[adapter]
kind = "sql_tables"
name = "till-berlin"
locations = ["berlin"]
orders = false

[sql_tables]
url = "sqlite:///till.db"
figures = "SELECT sku, quantity FROM stock"
[sql_tables.available_columns]
sku = "article"
location = "store"
path = "pool"
quantity = "pieces"
"""

OWN = """\
[adapter]
kind = "tests.adapters.test_config:own_till"
name = "till-berlin"
locations = ["berlin"]

[options]
lamps = 10
"""


def own_till(options: Mapping[str, Any]) -> TillAdapter:
    """Somebody's own adapter."""
    return TillAdapter(Till({"LAMP": options["lamps"]}))


def no_till(options: Mapping[str, Any]) -> str:
    """Something else."""
    return "no till"


def write(tmp_path: Path, text: str) -> Path:
    """A configuration file."""
    path = tmp_path / "till.toml"
    path.write_text(text)
    return path


def test_a_folder_of_files(tmp_path: Path) -> None:
    """Paths are relative to the file; schedules are words."""
    setup = load_setup(write(tmp_path, CSV))
    assert (setup.target, setup.organization, setup.caller) == ("localhost:1", "acme", "till-berlin")
    assert setup.config.read == Schedule.when_changed()
    assert setup.config.publish == Schedule.hourly()
    assert setup.config.state == tmp_path / "state"
    assert setup.config.metrics_file == tmp_path / "till.prom"
    adapter = setup.make()
    assert isinstance(adapter, CsvFolder)
    assert (tmp_path / "till" / "exports").is_dir()


def test_tables(tmp_path: Path) -> None:
    """A mapping of columns is a table within the table."""
    setup = load_setup(write(tmp_path, SQL))
    assert setup.config.read == Schedule.every(timedelta(minutes=15))
    adapter = setup.make()
    assert isinstance(adapter, SqlTables)
    adapter.close()


def test_an_adapter_of_ones_own(tmp_path: Path) -> None:
    """A factory gets the table [options] as it stands."""
    adapter = load_setup(write(tmp_path, OWN)).make()
    assert isinstance(adapter, TillAdapter)
    assert adapter.till.on_hand == {"LAMP": 10}
    with pytest.raises(AdapterError, match="gives str, not a PosAdapter"):
        load_setup(write(tmp_path, OWN.replace("own_till", "no_till"))).make()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('"till-berlin"', '""', ":7: adapter.name: a text is needed"),
        ('"csv_folder"', '"csv"', ":6: adapter.kind: csv_folder or sql_tables, or your own"),
        ('"csv_folder"', '"nowhere:Till"', ":6: adapter.kind: nowhere:Till cannot be imported"),
        ('["berlin"]', '"berlin"', ":8: adapter.locations: a list of texts"),
        ('"on change"', '"sometimes"', ":10: adapter.read: a span such as"),
        ('"on change"', '"never"', ":10: adapter.read: a till that is never read"),
        ('"on change"', '"90 hours"', ":10: adapter.read: an interval is 1 second to 24 hours"),
        ("publish =", "publihs =", ":11: adapter.publihs: 'publihs' is not known; do you mean 'publish'?"),
        ('position = "name"', 'position = "row number"', ":16: csv_folder.position: 'row number' is not known"),
        ('folder = "till"', "folder = 3", ":15: csv_folder.folder: a text is needed, not 3"),
        ("[csv_folder]", "[csv-folder]", ":14: csv-folder: 'csv-folder' is not known; do you mean 'csv_folder'?"),
        ('name = "till-berlin"', "name = till", "line 7"),
        ('name = "till-berlin"\n', "", ":5: adapter: name is needed"),
        ('"csv_folder"', '":Till"', ":6: adapter.kind: your own adapter is named as package.module:factory"),
        ('"csv_folder"', '"nowhere:Till"', "install it, or have PYTHONPATH name the folder it is in"),
        ('"csv_folder"', '"tests.adapters.broken:Till"', "cannot be imported: RuntimeError: half-written"),
        ('"csv_folder"', '"tests.adapters.test_config:CSV"', "is no function and no class"),
    ],
)
def test_mistakes_are_told_by_file_line_and_key(tmp_path: Path, before: str, after: str, told: str) -> None:
    """An error names the file, the line and the key, and says what would be right."""
    path = write(tmp_path, CSV.replace(before, after, 1))
    with pytest.raises(AdapterError) as caught:
        load_setup(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """One that is not there is named; one in another encoding with the line."""
    with pytest.raises(AdapterError, match=r"nothing\.toml: No such file or directory$"):
        load_setup(tmp_path / "nothing.toml")
    (tmp_path / "till.toml").write_bytes(b'[adapter]\nname = "M\xf6bel"\n')
    with pytest.raises(AdapterError, match=r"till\.toml:2: the file is not UTF-8: save it as UTF-8"):
        load_setup(tmp_path / "till.toml")


def test_an_adapter_of_ones_own_that_fails_is_told(tmp_path: Path) -> None:
    """As an error of the adapter, with its own words."""
    with pytest.raises(AdapterError, match="own_till failed: KeyError: 'lamps'"):
        load_setup(write(tmp_path, OWN.replace("lamps = 10", ""))).make()


def test_checking_on_the_command_line(tmp_path: Path) -> None:
    """`adapter check` says what a configuration means, or what is wrong with it with exit code 2."""
    runner = CliRunner()
    good = runner.invoke(app, ["adapter", "check", str(write(tmp_path, CSV))])
    assert good.exit_code == 0
    assert "till-berlin for berlin, state in" in good.output
    assert not (tmp_path / "till").exists()
    bad = runner.invoke(app, ["adapter", "check", str(write(tmp_path, CSV.replace("hourly", "often")))])
    assert bad.exit_code == 2
    assert ":11: adapter.publish" in bad.output


def program(path: Path, service: TillService, *options: str) -> list[str]:
    """`ringfence adapter run` for a service."""
    path.write_text(path.read_text().replace("localhost:1", f"127.0.0.1:{service.port}"))
    return [*PROGRAM, "adapter", "run", *options, str(path)]


def test_running_once(service: TillService, tmp_path: Path) -> None:
    """`--once` does what is due and ends; with the service away it says so by its exit code."""
    path = write(tmp_path, CSV.replace('"hourly"', '"never"'))
    (tmp_path / "till" / "exports").mkdir(parents=True)
    export = tmp_path / "till" / "exports" / "export-1.csv"
    export.write_text("record,sku,quantity\nfigure,LAMP,8\n")
    os.utime(export, (0, 0))
    done = subprocess.run(program(path, service, "--once"), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert service.available("LAMP", "berlin") == 8
    assert "ringfence_adapter_reads_total 1" in (tmp_path / "till.prom").read_text()


def test_running_once_with_an_order_that_the_till_cannot_take(service: TillService, tmp_path: Path) -> None:
    """A table that is not there is a till that is away, by the exit code too; the message is the driver's own."""
    text = SQL.replace("orders = false", 'publish = "never"').replace(
        "SELECT sku, quantity FROM stock", "SELECT 1 AS sku, 1 AS quantity"
    )
    columns = '[sql_tables.order_columns]\nevent_id = "event_id"\n'
    path = write(
        tmp_path, f'[service]\ntarget = "localhost:1"\n{text.replace("[sql_tables.av", columns + "[sql_tables.av")}'
    )
    path.write_text(path.read_text().replace("[sql_tables]\n", '[sql_tables]\norders = "nowhere"\n'))
    service.sell("LAMP", "berlin", 1, "4711")
    command = program(path, service, "--once")

    def told() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
        return (
            done.returncode == 3
            and "order 4711 comes again in" in done.stderr
            and "no such table: nowhere\n" in done.stderr
        )

    wait_for(told, seconds=120)


def test_running_until_it_is_told_to_stop(service: TillService, tmp_path: Path) -> None:
    """SIGTERM ends the program after its present step with exit code 0; kill -9 loses nothing."""
    path = write(tmp_path, CSV.replace('"hourly"', '"never"'))
    command = program(path, service)
    for number, ending in ((1, signal.SIGKILL), (2, signal.SIGTERM)):
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_for((tmp_path / "till" / "exports").is_dir, seconds=60)
        export = tmp_path / "till" / "exports" / f"export-{number}.csv"
        export.write_text(f"record,sku,quantity\nfigure,LAMP,{number}\n")
        os.utime(export, (0, 0))
        wait_for(lambda number=number: service.available("LAMP", "berlin") == number, seconds=60)  # type: ignore[misc]
        running.send_signal(ending)
        assert running.wait(timeout=60) == (0 if ending == signal.SIGTERM else -signal.SIGKILL)
    wait_for(lambda: sorted(one.name for one in (tmp_path / "till" / "done").iterdir()) != [])
