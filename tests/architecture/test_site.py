"""The site shows every page, and the decisions are numbered without gaps."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ADR_NAME = re.compile(r"(\d{4})-[a-z0-9-]+\.md")


def decisions() -> list[Path]:
    """The pages that record decisions, in order."""
    return sorted(path for path in (DOCS / "adr").glob("*.md") if path.name != "index.md")


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2].split()
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert pages - set(navigation) == set()


def test_every_decision_is_numbered_in_order_and_titled_with_its_number() -> None:
    for number, path in enumerate(decisions(), start=1):
        name = ADR_NAME.fullmatch(path.name)
        assert name is not None, path.name
        assert int(name[1]) == number
        assert path.read_text("utf-8").startswith(f"# {number}. ")


def test_every_decision_is_in_the_list_of_decisions_under_its_title() -> None:
    listed = (DOCS / "adr/index.md").read_text("utf-8")
    for number, path in enumerate(decisions(), start=1):
        title = path.read_text("utf-8").splitlines()[0].removeprefix(f"# {number}. ")
        assert f"| [{number}]({path.name}) | {title} |" in listed


def test_every_decision_has_its_three_parts() -> None:
    for path in decisions():
        text = path.read_text("utf-8")
        places = [text.find(f"**{part}.**") for part in ("Context", "Decision", "Consequences")]
        assert -1 not in places, path.name
        assert places == sorted(places), path.name
