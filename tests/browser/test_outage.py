"""When the service, or what it needs, is away."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.service import Service, free_port


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of this module's own, stopped and started by its tests."""
    with Service(tmp_path_factory.mktemp("own") / "data") as running:
        yield running


def test_a_service_that_is_away_is_told_and_waited_for(own: Service, open_page: Open) -> None:
    own.ask("add", data="green tea", user_id="alice", infer=False)
    page = open_page(own, "/#user_id=alice")
    expect(page.locator("#items a")).to_have_text(["green tea"])
    own.stop()
    page.get_by_role("searchbox", name="Search").fill("tea")
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("The service does not answer. Asking again…")
    expect(page.locator(".notice-title").first).to_have_text("The service does not answer")
    own.start()
    expect(page.locator("#items a")).to_have_text(["green tea"], timeout=15_000)
    expect(banner).to_be_hidden()
    expect(page.get_by_role("meter", name="Score")).to_be_visible()
    expect(page.locator("#status")).to_have_text(re.compile("answers again|1 result"))


def test_it_can_be_asked_at_once_and_what_was_shown_stays(own: Service, open_page: Open) -> None:
    own.ask("add", data="green tea", user_id="bob", infer=False)
    page = open_page(own, "/#user_id=bob")
    page.get_by_role("link", name="green tea").click()
    page.get_by_role("button", name="Edit").click()
    own.stop()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Text").fill("black tea")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_have_text("The service does not answer")
    own.start()
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("#memory-text")).to_have_text("black tea")
    expect(page.locator("#items a")).to_have_text(["black tea"])
    expect(page.locator("#banner")).to_be_hidden(timeout=15_000)


def test_a_failure_shows_what_the_service_says_and_under_which_id(
    tmp_path: Path, open_page: Open
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with Service(tmp_path / "data", QDRANT_URL=nowhere) as service:
        page = open_page(service)
        notice = page.locator("#list .notice")
        expect(notice).to_contain_text("The Qdrant server does not answer, because nobody listens")
        shown = notice.locator("code").inner_text()
        assert f"[{shown}]" in service.log.read_text()
        with page.expect_request("**/memory/get_all"):
            notice.get_by_role("button", name="Try again").click()


def test_a_search_by_words_alone_says_so(tmp_path: Path, open_page: Open) -> None:
    with Service(tmp_path / "data") as local:
        local.ask("add", data="green tea", user_id="alice", infer=False)
        local.stop()
    away = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}
    with Service(tmp_path / "data", **away) as service:
        page = open_page(service, "/#user_id=alice")
        expect(page.locator("#degraded")).to_be_hidden()
        page.get_by_role("searchbox", name="Search").fill("tea")
        expect(page.locator("#degraded")).to_contain_text("By words alone.")
        expect(page.locator("#items a")).to_have_text(["green tea"])
        page.get_by_role("searchbox", name="Search").press("Escape")
        expect(page.locator("#degraded")).to_be_hidden()
