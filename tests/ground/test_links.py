"""Every link inside the project leads somewhere: to a file that Git has, and to a heading where it names one."""

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}|\t).*\n+)+")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\](?:\([^)]*\))?)*\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)


@cache
def tracked() -> frozenset[str]:
    """Return every file that Git has, and the folders that hold them, from the root."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(line) for line in done.stdout.splitlines()]
    return frozenset(str(path) for file in files for path in (file, *file.parents))


def pages() -> list[str]:
    """Return every page in Markdown."""
    return sorted(name for name in tracked() if name.endswith(".md"))


def prose(page: str) -> str:
    """Return a page without its blocks of code, in which brackets are no links."""
    return _INDENTED.sub("", _FENCED.sub("", (ROOT / page).read_text()))


def links(text: str) -> list[str]:
    """Return where the links and pictures of a text lead, those to elsewhere left out."""
    found = _LINK.findall(re.sub(r"`[^`\n]+`", "code", text))
    return [target for target in found if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(text: str) -> set[str]:
    """Return the names of a text's headings, as GitHub makes them: small letters and dashes, numbered if repeated."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def wrong(page: str, target: str) -> str:
    """Return what is wrong with a link on a page, "" where it leads somewhere."""
    path, _, anchor = unquote(target).partition("#")
    there = (ROOT / page).parent / path if path else ROOT / page
    name = str(there.resolve().relative_to(ROOT.resolve())) if there.resolve().is_relative_to(ROOT.resolve()) else ""
    if name not in tracked():
        return f"{page} leads to {target}, and Git has no such file."
    if anchor and anchor not in anchors(prose(name)):
        return f"{page} leads to {target}, and {name} has no such heading."
    return ""


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_somewhere(page: str) -> None:
    """File and heading are there."""
    assert [said for target in links(prose(page)) if (said := wrong(page, target))] == []


def test_links_are_found() -> None:
    """A search that finds no link would prove nothing."""
    assert len(links(prose("README.md"))) > 10
    assert links("[a](b.md) ![c](d.svg) [`e`](f#g \"h\") [i](https://example.org) `[j](k)` [![l](m.png)](n)") == [
        "b.md",
        "d.svg",
        "f#g",
        "n",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["nowhere.md", "README.md#nowhere", "#nowhere", "../README.md", "build/x"])
def test_a_link_that_leads_nowhere_is_found(target: str) -> None:
    """Held against what is certainly wrong on the first page."""
    assert target in wrong("README.md", target)


def test_headings_are_named_as_on_the_page() -> None:
    """Capitals, marks, code and links in headings, and two of the same name."""
    assert anchors("# `a_b` & C-d, [e](f)\n## Same\n### Same\n") == {"a_b--c-d-e", "same", "same-1"}
