"""A policy as TOML or JSON that people edit, and back.

Both have the fields of the contract's Policy by their names, but for these: spans are texts such as "15m", the supply
formula is a table of coefficients by measure, enumerations are lower-case words. Whatever is left out is the built-in
value, as in the contract.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import inputs
from .failures import BadInput
from .output import span_text, time_text

if TYPE_CHECKING:
    from ringfence import LeaseBounds, Policy

T = TypeVar("T")

_LEASE_SPANS: Final = ("default_lease", "max_lease", "max_total_hold")


def document_of(policy: Policy) -> dict[str, Any]:
    """A policy as plain values; everything that has a value stands in it."""
    leases: dict[str, Any] = {}
    for name in _LEASE_SPANS:
        span = getattr(policy.leases, name)
        if span is not None:
            leases[name] = span_text(span)
    share = policy.full_count_confirm_share
    leases["allow_never"] = policy.leases.allow_never
    leases["revive_by_default"] = policy.leases.revive_by_default
    return {
        "revision": policy.revision,
        "dimensions": list(policy.dimensions),
        "location_order": list(policy.location_order),
        "allow_split": policy.allow_split,
        **({"full_count_confirm_share": share} if share is not None else {}),
        "leases": leases,
        "supply": dict(policy.supply),
        "measures": [{"name": measure.name, "kind": measure.kind.value} for measure in policy.measures],
        "levels": [{"name": level.name, "values": list(level.values)} for level in policy.levels],
        "locations": [
            {
                "name": place.name,
                "kind": place.kind.value,
                "settlement_measure": place.settlement_measure,
                "groups": list(place.groups),
                **({"source": place.source} if place.source else {}),
            }
            for place in policy.locations
        ],
        "path_rules": [
            {
                "path": rule.path,
                **({"fallback": rule.fallback.value} if rule.fallback is not None else {}),
                **({"quota_cap": rule.quota_cap} if rule.quota_cap is not None else {}),
                **({"sales_cap": rule.sales_cap} if rule.sales_cap is not None else {}),
            }
            for rule in policy.path_rules
        ],
    }


def as_json(policy: Policy) -> str:
    """The policy as JSON."""
    return json.dumps(document_of(policy), indent=2, ensure_ascii=False) + "\n"


def as_toml(policy: Policy) -> str:
    """The policy as TOML."""
    document = document_of(policy)
    since = f", in force since {time_text(policy.create_time)}" if policy.create_time else ""
    lines = [
        f"# Policy, revision {policy.revision}{since}.",
        "# Edit it and give it to `ringfence policy set`, which refuses it when somebody else set one in between.",
    ]
    tables = []
    for key, value in document.items():
        if isinstance(value, dict):
            tables.append([f"[{key}]", *_assignments(value)])
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables.extend([[f"[[{key}]]", *_assignments(item)] for item in value])
        elif isinstance(value, list) and key in _TABLES:
            lines.append(f"# no {key}: [[{key}]]")
        else:
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n" + "".join("\n" + "\n".join(table) + "\n" for table in tables)


def from_text(text: str, name: str) -> Policy:
    """The policy that a text means: JSON when it begins with a brace, else TOML. Every fault is told at once.

    Raises:
        BadInput: the text is neither, or not a policy.
    """
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except ValueError as error:
        raise BadInput(f"{name}: {error}") from None
    reader = _Reader()
    policy = reader.policy(document)
    if reader.faults:
        raise BadInput("\n".join([f"{name} is not a policy; nothing was changed", *reader.faults]))
    return policy


def _assignments(table: Mapping[str, Any]) -> list[str]:
    return [f"{_toml_key(key)} = {_toml(value)}" for key, value in table.items()]


def _toml_key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else _toml(key)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        one_line = ", ".join(map(_toml, value))
        if len(one_line) <= 100:
            return f"[{one_line}]"
        return "[\n" + "".join(f"  {_toml(item)},\n" for item in value) + "]"
    # A basic string of TOML escapes as JSON does, but for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class _Reader:
    """Reads plain values as a policy and collects what is wrong with them, by their place in the document."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def policy(self, document: Any) -> Policy:
        from ringfence import Level, Location, LocationKind, Measure, MeasureKind, PathRule, Policy

        table = self._table(document, "", _FIELDS)
        return Policy(
            revision=self._number(table, "revision", "", least=0) or 0,
            dimensions=self._texts(table, "dimensions", ""),
            location_order=self._texts(table, "location_order", ""),
            allow_split=self._flag(table, "allow_split", ""),
            full_count_confirm_share=self._number(table, "full_count_confirm_share", "", least=0),
            leases=self._leases(self._table(table.get("leases", {}), "leases", (*_LEASE_SPANS, *_LEASE_FLAGS))),
            supply=self._supply(table.get("supply", {})),
            measures=tuple(
                Measure(
                    self._text(item, "name", at, required=True),
                    self._choice(MeasureKind, item, "kind", at) or MeasureKind.FIGURE,
                )
                for at, item in self._tables(table, "measures")
            ),
            levels=tuple(
                Level(self._text(item, "name", at, required=True), self._texts(item, "values", at))
                for at, item in self._tables(table, "levels")
            ),
            locations=tuple(
                Location(
                    self._text(item, "name", at, required=True),
                    self._choice(LocationKind, item, "kind", at) or LocationKind.OWNED,
                    self._text(item, "settlement_measure", at),
                    self._texts(item, "groups", at),
                    self._text(item, "source", at),
                )
                for at, item in self._tables(table, "locations")
            ),
            path_rules=tuple(
                PathRule(
                    self._text(item, "path", at),
                    self._fallback(item, at),
                    self._number(item, "quota_cap", at, least=0),
                    self._number(item, "sales_cap", at, least=0),
                )
                for at, item in self._tables(table, "path_rules")
            ),
        )

    def _leases(self, table: dict[str, Any]) -> LeaseBounds:
        from ringfence import LeaseBounds

        return LeaseBounds(
            default_lease=self._span(table, "default_lease"),
            max_lease=self._span(table, "max_lease"),
            max_total_hold=self._span(table, "max_total_hold"),
            allow_never=self._flag(table, "allow_never", "leases."),
            revive_by_default=self._flag(table, "revive_by_default", "leases."),
        )

    def _supply(self, value: Any) -> dict[str, int]:
        table = self._table(value, "supply", None)
        return {name: self._number(table, name, "supply.", least=None) or 0 for name in table}

    def _fallback(self, item: dict[str, Any], at: str) -> Any:
        from ringfence import Fallback

        return self._choice(Fallback, item, "fallback", at)

    def _table(self, value: Any, at: str, known: tuple[str, ...] | None) -> dict[str, Any]:
        """A table whose keys are all known; any other key is a fault, since it would silently do nothing."""
        if not isinstance(value, dict):
            self.faults.append(f"{at or 'the document'} is a table of fields; got {_shown(value)}")
            return {}
        for key in value:
            if known is not None and key not in known:
                place = f"{at}.{key}" if at else key
                self.faults.append(f"{place}: no such field{inputs.did_you_mean(key, known)}")
        return value

    def _tables(self, table: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
        value = table.get(key, [])
        if not isinstance(value, list):
            self.faults.append(f"{key} is a list of tables ([[{key}]] in TOML); got {_shown(value)}")
            return []
        return [
            (f"{key}[{number}].", self._table(item, f"{key}[{number}]", _TABLES[key]))
            for number, item in enumerate(value)
        ]

    def _text(self, table: dict[str, Any], key: str, at: str, *, required: bool = False) -> str:
        value: Any = table.get(key, "")
        if not isinstance(value, str):
            self.faults.append(f"{at}{key} is a text; got {_shown(value)}")
            return ""
        if required and not value:
            self.faults.append(f"{at}{key} is missing")
        return str(value)

    def _texts(self, table: dict[str, Any], key: str, at: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.faults.append(f'{at}{key} is a list of texts, such as ["a", "b"]; got {_shown(value)}')
            return ()
        return tuple(value)

    def _flag(self, table: dict[str, Any], key: str, at: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self.faults.append(f"{at}{key} is true or false; got {_shown(value)}")
            return False
        return value

    def _number(self, table: dict[str, Any], key: str, at: str, *, least: int | None) -> int | None:
        value = table.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
            what = "a whole number" if least is None else f"a whole number from {least}"
            self.faults.append(f"{at}{key} is {what}; got {_shown(value)}")
            return None
        if abs(value) >= 2**63:
            self.faults.append(f"{at}{key} is beyond 64 bits; got {value}")
            return None
        return value

    def _span(self, table: dict[str, Any], key: str) -> timedelta | None:
        value = table.get(key)
        if value is None:
            return None
        return self._understood(lambda: inputs.span(value if isinstance(value, str) else repr(value), f"leases.{key}"))

    def _choice(self, kind: Any, table: dict[str, Any], key: str, at: str) -> Any:
        value = table.get(key)
        if value is None:
            return None
        return self._understood(lambda: inputs.choice(kind, value if isinstance(value, str) else repr(value), at + key))

    def _understood(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except BadInput as error:
            self.faults.append(str(error))
            return None


_LEASE_FLAGS: Final = ("allow_never", "revive_by_default")
_TABLES: Final[dict[str, tuple[str, ...]]] = {
    "measures": ("name", "kind"),
    "levels": ("name", "values"),
    "locations": ("name", "kind", "settlement_measure", "groups", "source"),
    "path_rules": ("path", "fallback", "quota_cap", "sales_cap"),
}
_FIELDS: Final = (
    "revision",
    "dimensions",
    "location_order",
    "allow_split",
    "full_count_confirm_share",
    "leases",
    "supply",
    *_TABLES,
)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
