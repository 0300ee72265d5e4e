"""Runs a page of the docs as its reader would: console blocks in a shell, Python blocks in one namespace, in order.

What a block is said to print is compared with what it prints. Ids, times and ports differ from run to run and are made
alike first; runs of blanks are one; a line "…" stands for any lines, and "…" within a line for any text.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
_START_SECONDS = 120.0
_ALIKE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?"), "TIME"),
    (re.compile(r"(127\.0\.0\.1|localhost):\d+"), "TARGET"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"[─━]+"), "-"),
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int


@dataclass
class Page:
    """A page that is being run."""

    path: Path
    directory: Path
    environment: dict[str, str]
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def blocks(self) -> list[Block]:
        """The fenced blocks, in order."""
        text = self.path.read_text(encoding="utf-8")
        return [Block(match[1], match[2], text.count("\n", 0, match.start()) + 1) for match in _FENCE.finditer(text)]

    def run(self) -> int:
        """Runs every block; answers how many were run."""
        count = 0
        namespace: dict[str, object] = {"__name__": "__page__"}
        blocks = self.blocks()
        for number, block in enumerate(blocks):
            where = f"{self.path.name}:{block.line}"
            if block.language == "console":
                for command, expected in commands_of(block.text):
                    self._run_command(command, expected, where)
                    count += 1
            elif block.language == "python":
                following = blocks[number + 1] if number + 1 < len(blocks) else None
                printed = self._run_python(block, namespace)
                if following is not None and following.language == "text":
                    assert matches(following.text, printed), f"{where} printed\n{printed}"
                count += 1
        return count

    def close(self) -> None:
        """Ends what the page started."""
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(60)
            if server.poll() is None:
                server.kill()

    def _run_command(self, command: str, expected: str, where: str) -> None:
        if re.match(r"(scripts/serve|ringfence serve)\b", command):
            printed = self._serve(command, where)
        else:
            done = subprocess.run(
                command,
                shell=True,
                cwd=self.directory,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            printed = done.stdout + done.stderr
            # A page shows a refusal by its line; any other failure is the page's fault.
            assert done.returncode == 0 or "ringfence: " in expected, f"{where}: $ {command}\nfailed with\n{printed}"
        assert matches(expected, printed), f"{where}: $ {command}\nprinted\n{printed}\nnot\n{expected}"

    def _serve(self, command: str, where: str) -> str:
        port_file = self.directory / f"port-{len(self.servers)}"
        environment = self.environment | {"RINGFENCE_PORT": "0", "RINGFENCE_PORT_FILE": str(port_file)}
        output = self.directory / f"server-{len(self.servers)}.log"
        with output.open("wb") as log:
            server = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"], cwd=self.directory, env=environment, stdout=log
            )
        self.servers.append(server)
        deadline = time.monotonic() + _START_SECONDS
        while "listening" not in output.read_text(encoding="utf-8"):
            assert server.poll() is None, f"{where}: the server ended: {output.read_text(encoding='utf-8')}"
            assert time.monotonic() < deadline, f"{where}: the server did not start"
            time.sleep(0.02)
        self.environment["RINGFENCE_TARGET"] = f"127.0.0.1:{port_file.read_text(encoding='ascii').strip()}"
        return output.read_text(encoding="utf-8")

    def _run_python(self, block: Block, namespace: dict[str, object]) -> str:
        printed = io.StringIO()
        source = "\n" * block.line + block.text
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            with contextlib.redirect_stdout(printed), contextlib.chdir(self.directory):
                exec(compile(source, str(self.path), "exec"), namespace)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return printed.getvalue()


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block ("$ …", continued by lines that begin with "> ") and what each prints."""
    command = ""
    expected: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(expected)
            command, expected = line[2:], []
        elif line.startswith("> ") and command and not expected:
            command += "\n" + line[2:]
        else:
            expected.append(line)
    if command:
        yield command, "\n".join(expected)


def matches(expected: str, printed: str) -> bool:
    """Whether a block printed what the page says; a page that says nothing promises nothing."""
    if not expected.strip():
        return True
    pattern = ""
    for line in _alike(expected):
        if line == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*?".join(re.escape(piece) for piece in line.split("…")) + "\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _alike(printed))) is not None


def _alike(text: str) -> list[str]:
    for pattern, name in _ALIKE:
        text = pattern.sub(name, text)
    return [line.strip() for line in text.strip().splitlines()]
