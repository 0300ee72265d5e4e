"""What every command that talks to a service shares: where the service is, and how its errors end a command.

`--target`, `--organization`, `--caller` and `--timeout` stand before the command (`ringfence --target … balance`) or
after it, where they win. Each has an environment variable.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from . import failures
from .inputs import span

if TYPE_CHECKING:
    from ringfence import Client

F = TypeVar("F", bound=Callable[..., None])

_PANEL = "Connection"
_EPILOG = (
    "Exit codes: 0 done; 1 the service refused, or verify found something; 2 usage or bad input; 3 the service is away "
    "or did not answer in time."
)
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")]
DimensionOption = Annotated[
    list[str] | None,
    typer.Option("--dimension", "-d", metavar="NAME=VALUE", help="A dimension of the stock key; repeatable."),
]
RequestIdOption = Annotated[
    str | None,
    typer.Option(metavar="UUID", help="The id of this request: the same id again has the same outcome."),
]
PathOption = Annotated[
    str, typer.Option(metavar="PATH", help="The group path, such as web/london/vip; left out: the common pool.")
]


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is and who calls; None is the client's own default."""

    target: str | None = None
    organization: str | None = None
    caller: str | None = None
    timeout: str | None = None

    def overridden(self, given: dict[str, str | None]) -> Connection:
        """With what is given instead of what was."""
        return Connection(*(given[name] or getattr(self, name) for name in _OPTIONS))


@dataclass(frozen=True, slots=True)
class Session:
    """One command's way to the service."""

    connection: Connection

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A client for the time of the block; BadInput when it cannot be set up that way."""
        from ringfence import Client

        wanted = self.connection
        settings: dict[str, Any] = {}
        if wanted.timeout:
            settings["timeout"] = span(wanted.timeout, "--timeout", bare_seconds=True)
        try:
            client = Client(wanted.target, organization=wanted.organization, caller=wanted.caller, **settings)
        except ValueError as error:
            raise failures.BadInput(str(error)) from None
        with client:
            yield client


def _option(name: str, metavar: str, text: str, *, with_variable: bool) -> Any:
    variable = f"RINGFENCE_{name.upper()}" if with_variable else None
    return Annotated[
        str | None, typer.Option(f"--{name}", metavar=metavar, envvar=variable, help=text, rich_help_panel=_PANEL)
    ]


_OPTIONS = {
    "target": ("HOST:PORT", "Where the service is; default localhost:50051."),
    "organization": ("NAME", "Whose stock; default 'default'."),
    "caller": ("NAME", "The name of the calling service, to which request ids belong; default 'anonymous'."),
    "timeout": ("SPAN", "How long a request may take over all its tries, such as 30s; default 10s."),
}


def _parameters(*, with_variables: bool) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_option(name, metavar, text, with_variable=with_variables),
        )
        for name, (metavar, text) in _OPTIONS.items()
    ]


def global_options(ctx: typer.Context, version: bool, **given: str | None) -> None:
    """Keeps the options that stand before the command."""
    if version:
        from importlib.metadata import version as version_of

        print(f"ringfence {version_of('ringfence')}")
        raise typer.Exit
    ctx.obj = Connection().overridden(given)


def add_commands(app: typer.Typer) -> None:
    """Adds the options that stand before a command."""
    app.callback(invoke_without_command=True, epilog=_EPILOG)(global_options)


def _with_signature(function: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """Makes Typer see these parameters, whose annotations are values and not text."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

_VERSION = inspect.Parameter(
    "version",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)],
)

_with_signature(global_options, [_CONTEXT, _VERSION, *_parameters(with_variables=True)])


def client_command(app: typer.Typer, name: str, **settings: Any) -> Callable[[F], F]:
    """Adds a function as a command of `app`.

    The function gets a Session before its own arguments. Whatever the client raises, and BadInput, ends the command
    with a line on stderr and an exit code.
    """

    def register(function: F) -> F:
        @functools.wraps(function)
        def run(ctx: typer.Context, **arguments: Any) -> None:
            given = {option: arguments.pop(option) for option in _OPTIONS}
            connection = (ctx.find_object(Connection) or Connection()).overridden(given)
            with errors_told(connection, as_json=bool(arguments.get("as_json"))):
                function(Session(connection), **arguments)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        _with_signature(run, [_CONTEXT, *keyword_only, *_parameters(with_variables=False)])
        app.command(name, help=_help_of(function), **settings)(run)
        return function

    return register


def _help_of(function: Callable[..., None]) -> str:
    """The docstring with each paragraph on one line, so that it is broken where the terminal ends."""
    return "\n\n".join(
        " ".join(paragraph.split()) for paragraph in inspect.cleandoc(function.__doc__ or "").split("\n\n")
    )


@contextlib.contextmanager
def errors_told(connection: Connection, *, as_json: bool) -> Iterator[None]:
    """Ends the command with a line and an exit code on any error."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(failures.INTERRUPTED) from None
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except Exception as error:
        target = connection.target or ""
        code = failures.tell(error, target=target, as_json=as_json)
        raise typer.Exit(failures.tell_own_fault(error) if code is None else code) from error
