"""Which module may import which: the lines of the architecture, as rules over source text.

Text goes in, violations come out; nothing is imported or executed, so a module with a missing dependency is judged too.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_SERVER = "ringfence_server"
_SQL = frozenset({"aiosqlite", "alembic", "asyncpg", "sqlalchemy", "sqlite3"})
_WIRE = frozenset({"google", "grpc", "ringfence"})

# What the standard library has and pure rules must not: input and output, clocks, chance, concurrency.
_IMPURE_MODULES = frozenset(
    "asyncio concurrent ctypes http io logging multiprocessing os pathlib random secrets select selectors shutil "
    "signal socket sqlite3 ssl subprocess tempfile threading time urllib".split()
)
_IMPURE_NAMES = frozenset(
    "datetime.date.today datetime.datetime.now datetime.datetime.today datetime.datetime.utcnow "
    "uuid.getnode uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7".split()
)


@dataclass(frozen=True)
class Layer:
    """What one package of the server may know."""

    rule: str
    may_import: frozenset[str] = frozenset()  # other layers; its own modules always
    unknown: frozenset[str] = frozenset()  # top-level packages; `grpc` stands for grpc_health and its like too
    pure: bool = False  # nothing but the pure part of the standard library


LAYERS = {
    "rpc": Layer(
        "rpc imports committer, watch and ledger; only app.py and opening.py put rpc and store together",
        may_import=frozenset({"clock", "committer", "ledger", "watch"}),
        unknown=_SQL,
    ),
    "committer": Layer(
        "committer imports ledger, and knows neither grpc nor SQL",
        may_import=frozenset({"ledger"}),
        unknown=_SQL | _WIRE,
    ),
    "watch": Layer(
        "watch imports ledger, and knows neither grpc nor SQL",
        may_import=frozenset({"ledger"}),
        unknown=_SQL | _WIRE,
    ),
    "ledger": Layer(
        "ledger imports itself and the standard library's pure part: no I/O, no clock, no chance",
        pure=True,
    ),
    "store": Layer(
        "store imports ledger, the clock and SQLAlchemy, and knows neither grpc nor protobuf",
        may_import=frozenset({"clock", "ledger"}),
        unknown=_WIRE,
    ),
}
CLIENT_RULE = "the client never imports the server; ringfence.testing alone may, inside a function"


@dataclass(frozen=True)
class Reference:
    """A dotted name that a line imports, or uses as an attribute of something imported."""

    line: int
    name: str
    in_function: bool = False


@dataclass(frozen=True)
class Violation:
    """A reference that a rule forbids."""

    path: str
    line: int
    name: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.name}: {self.rule}"


def violations(source: str, module: str, path: str) -> list[Violation]:
    """What a module's source reaches against the rules.

    The module is named in full, a package by its `__init__`: `ringfence_server.ledger.__init__`.
    """
    tree = ast.parse(source, path)
    package, *inner = module.split(".")
    imported = list(_imports(tree, module))
    if package == "ringfence":
        may_in_function = inner[:1] == ["testing"]
        rule = CLIENT_RULE
        broken = [r for r in imported if _top(r.name) == _SERVER and not (may_in_function and r.in_function)]
    elif package == _SERVER and inner[0] in LAYERS:
        layer = LAYERS[inner[0]]
        rule = layer.rule
        broken = [r for r in imported if not _may_import(layer, inner[0], r.name)]
        if layer.pure:
            broken += [r for r in _uses(tree, module) if r.name in _IMPURE_NAMES]
    else:
        return []
    return [Violation(path, r.line, r.name, rule) for r in broken]


def _may_import(layer: Layer, own: str, name: str) -> bool:
    top = _top(name)
    if top == _SERVER:
        return _top(name.removeprefix(_SERVER + ".")) in layer.may_import | {own}
    if layer.pure:
        return top in sys.stdlib_module_names - _IMPURE_MODULES and name not in _IMPURE_NAMES
    return top not in layer.unknown and top.split("_")[0] not in layer.unknown & {"grpc"}


def _top(name: str) -> str:
    return name.split(".", 1)[0]


def _imports(tree: ast.Module, module: str) -> Iterator[Reference]:
    for node, in_function in _walk(tree):
        for name in _names_imported(node, module):
            yield Reference(node.lineno, name, in_function)


def _names_imported(node: ast.AST, module: str) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(names=names):
            return [f"{_source(node, module)}.{alias.name}" for alias in names]
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
    return []


def _source(node: ast.ImportFrom, module: str) -> str:
    """The package or module that a `from` import names, made absolute."""
    if node.level == 0:
        return node.module or ""
    package = module.split(".")[: -node.level]
    return ".".join([*package, node.module] if node.module else package)


def _uses(tree: ast.Module, module: str) -> Iterator[Reference]:
    """Attributes of imported names, as they are called where they come from: `dt.now()` uses datetime.datetime.now."""
    origin: dict[str, str] = {}
    for node, _ in _walk(tree):
        match node:
            case ast.Import(names=names):
                origin |= {a.asname or _top(a.name): a.name if a.asname else _top(a.name) for a in names}
            case ast.ImportFrom(names=names):
                origin |= {a.asname or a.name: f"{_source(node, module)}.{a.name}" for a in names}
    for node, in_function in _walk(tree):
        if isinstance(node, ast.Attribute) and (name := _dotted(node, origin)):
            yield Reference(node.lineno, name, in_function)


def _dotted(node: ast.expr, origin: dict[str, str]) -> str | None:
    match node:
        case ast.Name(id=name):
            return origin.get(name)
        case ast.Attribute(value=value, attr=attr):
            owner = _dotted(value, origin)
            return owner and f"{owner}.{attr}"
    return None


def _walk(node: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    """Every statement and expression under a node, each with whether it runs only when a function is called."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.expr):
            yield child, in_function
        yield from _walk(child, in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
