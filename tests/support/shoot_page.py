"""Shoot the page of a running service: `python -m tests.support.shoot_page URL OUT.png`.

Types a title and adds the tracks found for a few searches, as a person would, and waits for the continuation.
"""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def launch(playwright: Playwright) -> Browser:
    """Return Debian's Chromium, headless, without its own traffic."""
    return playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_QUIET))


def add_track(page: Page, search: str) -> None:
    """Search and take the first result."""
    page.get_by_role("combobox").fill(search)
    page.get_by_role("option").first.click()


def fill(page: Page, title: str, searches: list[str]) -> None:
    """Make a playlist and wait for its continuation."""
    page.get_by_label("Title", exact=True).fill(title)
    for search in searches:
        add_track(page, search)
    expect(page.get_by_role("list", name="Recommended tracks").get_by_role("listitem").first).to_be_visible()
    page.wait_for_load_state("networkidle")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--title", default="rock")
    parser.add_argument("--search", action="append", default=[], help="what to search and add; repeatable")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(
            viewport={"width": options.width, "height": options.height}, color_scheme=options.scheme
        )
        page.goto(options.url)
        fill(page, options.title, options.search)
        page.screenshot(path=options.out, full_page=True)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
