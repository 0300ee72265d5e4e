"""Every command and snippet of the README and the docs does what the page says."""

import os
import re
import sys
from pathlib import Path

import pytest

from ringfence.testing import PostgresServer
from tests.docs.pages import ROOT, Page, commands_of, matches

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_does_what_it_says(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Run from top to bottom by a reader with an empty directory, every block prints what stands beneath it. A page
    that asks for PostgreSQL gets empty databases."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("RINGFENCE_", "COVERAGE_", "PYTEST_"))
    } | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "160",
        "NO_COLOR": "1",
        "RINGFENCE_DATABASE_URL": f"sqlite:///{tmp_path}/page.db",
    }
    for name in ("POSTGRES_URL", "EMPTY_POSTGRES_URL"):
        if f"${name}" in path.read_text(encoding="utf-8"):
            server: PostgresServer = request.getfixturevalue("postgres_server")
            environment[name] = server.create_database()
    page = Page(path, tmp_path, environment)
    try:
        page.run()
    finally:
        page.close()


def test_every_path_that_the_contributors_page_names_is_there() -> None:
    """From the project's folder, or the server's own; a file that moves takes its mention along."""
    text = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[\w.*-]+/)+[\w.*-]*)`", text))
    assert len(named) > 40
    missing = {
        name
        for name in named
        if not any(any(below.glob(name.rstrip("/"))) for below in (ROOT, ROOT / "server" / "ringfence_server"))
    }
    assert missing == set()


@pytest.mark.parametrize("path", [*PAGES, *(ROOT / "docs" / "decisions").glob("*.md")], ids=lambda path: path.name)
def test_a_link_leads_somewhere(path: Path) -> None:
    """To a page that is there, and to a heading of it."""
    for name, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", path.read_text(encoding="utf-8")):
        target = path.parent / name if name else path
        assert target.exists(), f"{path.name} links {name}"
        assert not heading or heading in _headings(target), f"{path.name} links {name}#{heading}"


def test_every_page_is_linked() -> None:
    """From the README the guides, from the list of decisions each of them."""
    for index, folder in ((ROOT / "README.md", ROOT / "docs"), (ROOT / "docs/decisions/README.md", None)):
        text = index.read_text(encoding="utf-8")
        pages = (folder or index.parent).glob("*.md")
        assert [page.name for page in pages if page != index and f"{page.name})" not in text] == []


def _headings(page: Path) -> set[str]:
    """The names by which a page's headings are linked."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_a_page_that_promises_something_else_is_found_out() -> None:
    """Other figures than the page's do not match; other ids, times and column widths do."""
    said = "reservation 01a1ff7d-259e-7531-993f-74f353608154\n  held   200\n…\nexpires 2026-11-21T19:17:34Z"
    assert matches(
        said, "reservation 11111111-2222-7333-9444-555555555555\n held 200\nx\ny\nexpires 2027-01-01T00:00:00Z\n"
    )
    assert not matches(
        said, "reservation 11111111-2222-7333-9444-555555555555\n held 201\nexpires 2027-01-01T00:00:00Z\n"
    )
    assert not matches("available 9", "available 9\navailable 8")


def test_a_console_block_is_its_commands() -> None:
    """Commands begin with a dollar sign; what follows is what they print, up to the next one."""
    block = "$ cat > a <<EOF\n> one\n> EOF\n$ cat a\none\n$ true\n"
    assert list(commands_of(block)) == [("cat > a <<EOF\none\nEOF", ""), ("cat a", "one"), ("true", "")]
