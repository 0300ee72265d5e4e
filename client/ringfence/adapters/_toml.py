"""TOML whose mistakes are told with file, line and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ringfence.adapters._schedule import Schedule
from ringfence.adapters._types import AdapterError

_UNITS = {"second": 1, "minute": 60, "hour": 3600}
_SPAN = re.compile(r"(\d+)\s*(second|minute|hour)s?")


class ConfigError(AdapterError):
    """A configuration that cannot be meant. Its text names file, line and key, and says what would be right."""


class Document:
    """A TOML file."""

    def __init__(self, path: Path) -> None:
        """Reads it; ConfigError when there is none, or it is no TOML."""
        self.path = path
        try:
            self.text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}:{line}: the file is not UTF-8: save it as UTF-8 ({error.reason})") from error
        try:
            self.values = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: {error}") from error

    def table(self, name: str, *, required: bool = False) -> Table:
        """A table; an empty one when it is not there."""
        values = self.values.get(name, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{self.path}:{self.line('', name)}: {name} is a table: write [{name}]")
        if required and name not in self.values:
            raise ConfigError(f"{self.path}: there is no table [{name}]")
        return Table(self, name, values)

    def check_tables(self, known: Iterable[str]) -> None:
        """ConfigError for a table that nobody reads."""
        for name in self.values:
            if name not in set(known):
                raise ConfigError(f"{self.path}:{self.line(name)}: {name}: {_instead(name, known)}")

    def line(self, table: str, key: str = "") -> int:
        """The line where a table, or a key of it, stands; 1 when it cannot be told."""
        present = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            head = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
            if head is not None:
                present = head.group(1)
                if not key and present == table:
                    return number
            elif key and present == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return number
        return 1


class Table:
    """One table of a file. Each key is asked for once; `done` tells of those that nobody asked for."""

    def __init__(self, document: Document, name: str, values: Mapping[str, Any]) -> None:
        self._document = document
        self._name = name
        self._values = values
        self._asked: list[str] = []

    def error(self, key: str, problem: str) -> ConfigError:
        """An error about a key."""
        document = self._document
        named = f"{self._name}.{key}" if key else self._name
        return ConfigError(f"{document.path}:{document.line(self._name, key)}: {named}: {problem}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text; without a default it is needed."""
        value = self._value(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.error(key, f"a text is needed, not {value!r}")
        return value

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        """One of some words."""
        value = self.text(key, default)
        if value not in set(choices):
            raise self.error(key, _instead(value, choices))
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"true or false, not {value!r}")
        return value

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number in bounds."""
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.error(key, f"a whole number from {least:,} to {most:,}, not {value!r}")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts; not empty."""
        value = self._value(key, None)
        if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
            raise self.error(key, f'a list of texts such as ["berlin"] is needed, not {value!r}')
        return value

    def mapping(self, key: str) -> dict[str, str]:
        """A table of texts within the table; empty when it is not there."""
        value = self._value(key, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) and one for one in value.values()):
            raise self.error(key, f"a table of texts is needed, not {value!r}")
        return value

    def path(self, key: str, default: str | None = None) -> Path:
        """A path, relative to the file."""
        return self._document.path.parent / self.text(key, default)

    def span(self, key: str, default: str) -> timedelta:
        """A span such as "15 minutes"."""
        value = self.text(key, default)
        found = _SPAN.fullmatch(value.strip())
        if found is None:
            raise self.error(key, f'a span such as "30 seconds", "15 minutes" or "1 hour", not {value!r}')
        return timedelta(seconds=int(found.group(1)) * _UNITS[found.group(2)])

    def schedule(self, key: str, default: str) -> Schedule | None:
        """A schedule: a span, "hourly", "on change" or "never"."""
        value = self.text(key, default).strip()
        if value == "never":
            return None
        if value == "hourly":
            return Schedule.hourly()
        if value == "on change":
            return Schedule.when_changed()
        try:
            return Schedule.every(self.span(key, default))
        except ValueError as error:
            raise self.error(key, f'{error}; or "hourly", "on change", "never"') from None

    def rest(self) -> dict[str, Any]:
        """Everything, for somebody else to read."""
        self._asked += self._values
        return dict(self._values)

    def done(self) -> None:
        """ConfigError for a key that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                raise self.error(key, _instead(key, self._asked))

    def _value(self, key: str, default: Any) -> Any:
        self._asked.append(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            raise self.error("", f"{key} is needed")
        return default


def _instead(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    hint = f"; do you mean {close[0]!r}?" if close else "."
    return f"{word!r} is not known{hint} Known: {', '.join(sorted(set(known)))}"
