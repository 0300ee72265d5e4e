"""How far an import is, kept beside its file: an import that broke off goes on, and nothing is posted twice.

The state names the import. The request ids of its batches are made of that name and of what is in the batch, so that a
batch which was on its way when the import broke off is sent again under the same id and has one outcome. The state goes
when the import is done: the same file again is a new import, since an unchanged count is a new count all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .failures import BadInput
from .output import exact_time_text

if TYPE_CHECKING:
    from ringfence import StockFigure

REMEMBERED: Final = timedelta(days=29)
"""For how long an import can go on: the service keeps outcomes for 30 days."""
_VERSION: Final = 1


@dataclass(slots=True)
class ImportState:
    """One import, begun and not done."""

    import_id: str
    """A UUID: this import and no other of the same file."""
    began: str
    """When, RFC 3339."""
    what: Mapping[str, Any]
    """What must be the same for it to go on: content, service, rules."""
    batches: int = 0
    """Batches that are done, from the first on without a gap."""
    lines: int = 0
    """The last line of them."""
    counts: dict[str, int] = field(default_factory=dict)
    """Figures of them by what came of them."""
    version: int = _VERSION

    def request_id(self, batch: int, figures: Iterable[StockFigure]) -> str:
        """The id of a batch with that content.

        A UUIDv8: its first 48 bits are the milliseconds at which the import began and then comes the batch's number, so
        that ids lie side by side in the store. It is no UUIDv7, whose age the service judges: an import may go on after
        a weekend.
        """
        began = int(datetime.fromisoformat(self.began).timestamp() * 1_000)
        content = hashlib.blake2b(self.import_id.encode(), digest_size=8)
        for figure in figures:
            content.update(repr(_content(figure)).encode("utf-8", "surrogatepass"))
        low = (batch & 0xF_FFFF) << 42 | int.from_bytes(content.digest()) & (1 << 42) - 1
        number = began << 80 | 0x8 << 76 | (batch >> 20 & 0xFFF) << 64 | 0b10 << 62 | low
        return str(uuid.UUID(int=number))


class StateFile:
    """Where the state of an import is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def beside(cls, file: str, digest: str, chosen: str) -> StateFile:
        """The chosen place; else beside the file, and for stdin in the user's state folder, by its content."""
        if chosen:
            return cls(Path(chosen))
        if file == "-":
            folder = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
            return cls(Path(folder).expanduser() / "ringfence" / f"import-{digest}.json")
        path = Path(file)
        return cls(path.with_name(f".{path.name}.ringfence-import"))

    def forget(self) -> None:
        """Removes it."""
        self._path.unlink(missing_ok=True)

    def resume_or_begin(self, what: Mapping[str, Any], now: datetime) -> ImportState:
        """The import that broke off, or a new one. On disk before anything is posted.

        Raises:
            BadInput: there is one that cannot go on, or the state cannot be written.
        """
        what = json.loads(json.dumps(what))  # as it will come back
        state = self._read()
        if state is None:
            return self._begin(what, now)
        done = f"the import that began at {state.began} and stopped after line {state.lines} cannot go on"
        begin = (
            "--restart begins anew: figures are then posted again, which does no harm; differences (--delta) would be "
            f"counted twice ({self._path})"
        )
        changed = [name for name, value in what.items() if state.what.get(name) != value]
        if changed:
            raise BadInput(f"{done}: not the same {', '.join(changed)} any more\n{begin}")
        if now - datetime.fromisoformat(state.began) > REMEMBERED:
            raise BadInput(f"{done}: the service remembers outcomes for 30 days\n{begin}")
        return state

    def save(self, state: ImportState) -> None:
        """Notes how far it is. Losing the newest note costs only repetitions, which have no second effect."""
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_text(json.dumps(asdict(state)), "utf-8")
        beside.replace(self._path)

    def _read(self) -> ImportState | None:
        try:
            content = json.loads(self._path.read_text("utf-8"))
            state = ImportState(**content)
            datetime.fromisoformat(state.began)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._not_kept(error) from None
        except (ValueError, TypeError):
            raise BadInput(
                f"{self._path} is not the state of an import that this version knows; "
                "--restart removes it and begins anew"
            ) from None
        return state

    def _begin(self, what: Mapping[str, Any], now: datetime) -> ImportState:
        state = ImportState(str(uuid.uuid4()), exact_time_text(now), dict(what))
        try:
            if not self._path.parent.is_dir():
                self._path.parent.mkdir(parents=True)
            # Exclusively: two imports of one file that begin at once must be one import.
            with self._path.open("x", encoding="utf-8") as file:
                file.write(json.dumps(asdict(state)))
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise BadInput(f"another import of this file has just begun ({self._path}); run it again to join") from None
        except OSError as error:
            raise self._not_kept(error) from None
        return state

    def _not_kept(self, error: OSError) -> BadInput:
        return BadInput(
            f"{self._path}: {error.strerror}: the import could not go on if it broke off; "
            "--state FILE keeps its state elsewhere"
        )


def now() -> datetime:
    """The present, by this machine's clock."""
    return datetime.now(UTC)


def _content(figure: StockFigure) -> tuple[Any, ...]:
    return (
        figure.sku,
        figure.location,
        figure.value,
        figure.delta,
        figure.measure,
        figure.position,
        sorted(figure.dimensions.items()),
    )
