"""The page in a real Chromium, by keyboard, by touch, and for a screen reader."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.running_service import Running, running
from tests.support.shoot_page import CHROMIUM, add_track, launch
from tests.support.tiny_bundle import write_tiny_bundle

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"There is no {CHROMIUM}; apt-get install chromium brings it."),
]

_REFUSED = "the server responded with a status of 422"  # Chromium notes it by itself, and the page shows it in words


_PATIENCE = 120_000
"""Milliseconds that a busy machine gets; what these tests tell is whether something comes, not how soon."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, service: Running) -> Iterator[Page]:
    """The page, loaded; what its console complains of, such as a breach of the security policy, fails the test."""
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.set_default_timeout(_PATIENCE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(service.url)
    expect(page.locator("#model")).to_be_visible()
    yield page
    page.close()
    assert [text for text in complaints if _REFUSED not in text] == []


def recommended(page: Page) -> list[str]:
    """Return the titles that are recommended."""
    return page.get_by_role("list", name="Recommended tracks").locator(".name").all_text_contents()


def first_recommended(page: Page, title: str) -> None:
    expect(page.get_by_role("list", name="Recommended tracks").locator(".name").first).to_have_text(title)


def own(page: Page, title: str) -> None:
    expect(page.get_by_role("list", name="Tracks of your playlist").locator(".name").last).to_have_text(title)


def test_a_title_is_continued_as_it_is_typed(page: Page) -> None:
    """Nothing has to be pressed, and the page says what the continuation rests on."""
    page.get_by_label("Title", exact=True).fill("jazz")
    first_recommended(page, "Jazz Song 1")
    expect(page.locator("#why")).to_have_text("Because ofby title")
    expect(page.get_by_role("status")).to_have_text("10 tracks recommended.")
    assert len(recommended(page)) == 10


def test_a_track_is_found_added_and_removed_by_keyboard(page: Page) -> None:
    """Type, arrow down, Enter; then Tab to its button and Enter again."""
    search = page.get_by_role("combobox", name="Add tracks")
    search.focus()
    page.keyboard.type("techno son")
    expect(page.get_by_role("option")).to_have_count(9)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_contain_text("Techno Song 5")
    assert search.get_attribute("aria-activedescendant") == "result-1"
    page.keyboard.press("Enter")
    first_recommended(page, "Techno Song 2")
    expect(search).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_text("1 matched")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Remove Techno Song 5, Artist 5")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="Recommended tracks").get_by_role("listitem")).to_have_count(0)
    expect(page.get_by_role("button", name="Continue")).to_be_disabled()
    expect(search).to_be_focused()


def test_escape_closes_the_results(page: Page) -> None:
    """The list goes and the text stays."""
    search = page.get_by_role("combobox")
    search.fill("rock")
    expect(page.get_by_role("listbox")).to_be_visible()
    search.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()


def test_a_track_that_is_not_found_is_added_as_text(page: Page) -> None:
    """Artist and title are split at the dash, and the badge says that the words helped."""
    add_track(page, "Nobody - Techno Night")
    first_recommended(page, "Techno Song 2")
    expect(page.get_by_role("list", name="Tracks of your playlist").get_by_role("listitem")).to_contain_text(
        ["Techno NightNobodyby text"]
    )


def test_a_recommended_track_joins_the_playlist_with_one_tap(page: Page) -> None:
    """It moves over, the continuation goes on from there, and the keyboard stays in its place."""
    page.get_by_label("Title", exact=True).fill("rock")
    first_recommended(page, "Rock Song 0")
    page.get_by_role("button", name="Add Rock Song 0, Artist 0 to the playlist").click()
    own(page, "Rock Song 0")
    first_recommended(page, "Rock Song 3")
    expect(page.get_by_role("button", name="Add Rock Song 3, Artist 3 to the playlist")).to_be_focused()
    add_track(page, "rock song 0")
    expect(page.get_by_role("status")).to_have_text("Rock Song 0, Artist 0 is already in the playlist.")


def test_a_recommended_track_that_is_added_is_told(page: Page, service: Running) -> None:
    """The service learns which of its recommendations were taken up, as an event of the answer that they came with."""
    page.get_by_label("Title", exact=True).fill("techno")
    first_recommended(page, "Techno Song 2")
    with page.expect_response("**/feedback") as told:
        page.get_by_role("button", name="Add Techno Song 2, Artist 2 to the playlist").click()
    assert told.value.status == 202
    assert told.value.json() == {"kept": 1, "again": False}
    own(page, "Techno Song 2")


def test_more_can_be_shown(page: Page) -> None:
    """Ten at first, then thirty, which is all that the tiny catalogue has."""
    page.get_by_label("Title", exact=True).fill("rock")
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("list", name="Recommended tracks").get_by_role("listitem")).to_have_count(30)


def test_a_popular_track_is_one_tap_away(page: Page) -> None:
    """Who does not know what to type can begin all the same; the offer goes once there is a track."""
    page.get_by_role("button", name="Jazz Song 1, Artist 1").click()
    first_recommended(page, "Jazz Song 4")
    expect(page.get_by_text("Or begin with a popular one")).to_be_hidden()


def test_the_model_is_named_and_synthetic_data_is_said_plainly(page: Page) -> None:
    """Environment, short digest, version and verdict stand at the top; generated playlists have a banner."""
    expect(page.locator("#model summary")).to_contain_text("test")
    expect(page.locator("#version")).to_have_text("v3")
    expect(page.locator("#verdict")).to_have_text("not judged")
    expect(page.get_by_role("note")).to_contain_text("Synthetic playlists.")


def test_real_playlists_have_no_banner_and_names_are_never_markup(browser: Browser, tmp_path: Path) -> None:
    """A title that is HTML is shown as the text that it is."""
    from segue.track import Track

    tracks = [Track("evil:1", "<img src=x onerror=alert(1)>", "<b>Band</b>"), Track("evil:2", "Rock", "A & B")]
    bundle = write_tiny_bundle(tmp_path / "bundle", tmp_path / "work", tracks, synthetic=False)
    with running(bundle.path, tmp_path / "log") as service:
        page = browser.new_page()
        page.goto(service.url)
        page.get_by_label("Title", exact=True).fill("rock")
        first_recommended(page, "<img src=x onerror=alert(1)>")
        expect(page.get_by_role("note")).to_be_hidden()
        assert page.locator("main img, main b b").count() == 0
        page.close()


def test_a_playlist_of_two_moods_is_shared_out_by_keyboard(page: Page) -> None:
    """By score rock takes every place; the dial at its end gives jazz its half, and Home takes it back."""
    page.get_by_label("Title", exact=True).fill("rock")
    for name in ("Rock Song 0", "Jazz Song 1"):
        add_track(page, name)
    first_recommended(page, "Rock Song 3")
    places = page.get_by_role("list", name="Recommended tracks").locator(".name")
    expect(places.nth(1)).to_have_text("Rock Song 6")
    page.get_by_role("slider", name="Diversity").focus()
    page.keyboard.press("End")
    expect(places.nth(1)).to_have_text("Jazz Song 4")
    page.keyboard.press("Home")
    expect(places.nth(1)).to_have_text("Rock Song 6")


def test_tracks_in_no_order_are_asked_for_as_such(page: Page) -> None:
    """One box, by keyboard as well; unless it is ticked, the last tracks are the last ones."""
    title = page.get_by_label("Title", exact=True)
    with page.expect_request("**/predict") as asked:
        title.fill("rock")
    assert '"ordered":true' in (asked.value.post_data or "")
    box = page.get_by_role("checkbox", name="Tracks in no order")
    box.focus()
    with page.expect_request("**/predict") as asked:
        page.keyboard.press("Space")
    assert '"ordered":false' in (asked.value.post_data or "")
    first_recommended(page, "Rock Song 0")


def test_a_problem_is_shown_in_words(page: Page) -> None:
    """A playlist that the service refuses says why, and mends itself with the next change."""
    page.evaluate("document.getElementById('title').removeAttribute('maxlength')")
    page.get_by_label("Title", exact=True).fill("a" * 501)
    expect(page.get_by_role("alert")).to_have_text("That did not work: name: String should have at most 500 characters")
    page.get_by_label("Title", exact=True).fill("rock")
    expect(page.get_by_role("alert")).to_be_hidden()


_HALF_ANSWERED = """
() => {
  const real = window.fetch;
  window.fetch = async (path, options) => {
    if (path !== "/predict") return real(path, options);
    const body = new ReadableStream({ start: (half) => {
      half.enqueue(new TextEncoder().encode("{"));
      options.signal.addEventListener("abort", () => half.error(options.signal.reason));
    } });
    document.documentElement.dataset.half = "yes";
    return new Response(body);
  };
}
"""


def test_a_request_that_is_replaced_while_its_answer_comes_is_no_problem(page: Page) -> None:
    """The title is cleared after half an answer: nothing is wrong, and the list is not busy any more."""
    page.evaluate(_HALF_ANSWERED)
    page.get_by_label("Title", exact=True).fill("rock")
    expect(page.locator("html")).to_have_attribute("data-half", "yes")
    expect(page.locator("#recommended")).to_have_attribute("aria-busy", "true")
    page.get_by_label("Title", exact=True).fill("")
    expect(page.locator("#recommended")).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, service: Running, scheme: str) -> None:
    """At 375 pixels nothing scrolls sideways, and everything to tap is large enough for a finger."""
    page = browser.new_page(viewport={"width": 375, "height": 812}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(service.url)
    page.get_by_label("Title", exact=True).fill("rock")
    first_recommended(page, "Rock Song 0")
    page.evaluate("document.querySelector('#popular button').textContent = 'A Long Name '.repeat(9)")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    add_track(page, "jazz")
    page.locator("#model summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    facts = page.locator("#model-facts").bounding_box()
    assert facts is not None
    assert facts["x"] >= 0
    assert facts["x"] + facts["width"] <= 375
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is None or min(box["width"], box["height"]) >= 40
    page.close()


_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter((node) => node.offsetParent &&
    [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
  return texts.map((node) => {
    const [a, b] = [luminance(parse(getComputedStyle(node).color)), luminance(ground(node))].sort((x, y) => y - x);
    return [node.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(browser: Browser, service: Running, scheme: str) -> None:
    """Every text stands out from its ground by the 4.5:1 of WCAG 2 AA, in both colour schemes."""
    page = browser.new_page(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto(service.url)
    add_track(page, "jazz")
    add_track(page, "Nobody - Techno Night")
    expect(page.get_by_text("1 by text")).to_be_visible()
    texts = page.evaluate(_CONTRAST)
    assert len(texts) > 30
    assert [(text, ratio) for text, ratio in texts if ratio < 4.5] == []
    page.close()


def test_every_control_has_a_name(page: Page) -> None:
    """A screen reader finds a level-1 heading, landmarks with names, and no nameless button or field."""
    page.get_by_label("Title", exact=True).fill("rock")
    first_recommended(page, "Rock Song 0")
    expect(page.get_by_role("heading", level=1)).to_have_text("Segue")
    for name in ("Your playlist", "Continuation"):
        expect(page.get_by_role("region", name=name)).to_be_visible()
    for role in ("button", "textbox", "combobox", "slider"):
        for control in page.get_by_role(role).all():
            assert control.evaluate(
                "node => node.ariaLabel || node.labels?.[0]?.textContent || node.textContent"
            ).strip()
