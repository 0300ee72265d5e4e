"""`ringfence db`: the schema of a database, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

DATABASE_VARIABLE: Final = "RINGFENCE_DATABASE_URL"
DATABASE_HELP: Final = "Where the ledger is kept: sqlite:///relative.db, sqlite:////absolute.db."
DEFAULT_DATABASE: Final = "sqlite:///ringfence.db"

_DatabaseOption = Annotated[
    str, typer.Option("--database-url", envvar=DATABASE_VARIABLE, metavar="URL", help=DATABASE_HELP)
]


def add_commands(app: typer.Typer) -> None:
    """Adds the group `db`."""
    database = typer.Typer(no_args_is_help=True, help="The database's schema: which revision it has, bringing it up.")
    database.command("upgrade")(upgrade)
    database.command("current")(current)
    app.add_typer(database, name="db", rich_help_panel="Server")


def upgrade(database_url: _DatabaseOption = DEFAULT_DATABASE) -> None:
    """Bring the database to the schema of this release, making it when there is none. `serve` does this by itself."""
    _run("upgrade", database_url)


def current(database_url: _DatabaseOption = DEFAULT_DATABASE) -> None:
    """Print the revision of the database's schema."""
    _run("current", database_url)


def _run(action: str, url: str) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from ringfence_server.database_url import check_database_url
    from ringfence_server.ledger.work import StoreUnavailable
    from ringfence_server.store import migrate

    try:
        check_database_url(url)
        # Looking at a file that is not there must not make it.
        exists = Path(url.removeprefix("sqlite:///")).exists()
        if action == "upgrade":
            migrate.upgrade(url)
        found = migrate.current(url) if exists or action == "upgrade" else None
    except (StoreUnavailable, ValueError) as error:
        _fail(str(error))
    except (OSError, SQLAlchemyError) as error:
        reason = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
        _fail(f"the database {url} cannot be opened: {reason}")
    else:
        typer.echo(f"{url}: {found or 'empty'}")


def _fail(line: str) -> None:
    typer.echo(f"ringfence: {line}", err=True)
    raise typer.Exit(1)
