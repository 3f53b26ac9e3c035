"""A browser for all tests, and pages of it that may not fail unseen."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.chromium import launch
from tests.service import Service

Open = Callable[..., Page]

ENGLISH: dict[str, Any] = {
    "locale": "en-US",
    "viewport": {"width": 1280, "height": 800},
    "reduced_motion": "reduce",
}
REFUSED = ("Content Security Policy", "TrustedHTML", "TrustedScript")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def watched() -> Iterator[Callable[[Page], Page]]:
    """Pages given to it fail the test with an error in a script or what their policy refuses."""
    wrong: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if any(word in message.text for word in REFUSED):
            wrong.append(message.text)

    def watch(page: Page) -> Page:
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", listen)
        return page

    yield watch
    assert wrong == []


@pytest.fixture
def open_page(browser: Browser, watched: Callable[[Page], Page]) -> Iterator[Open]:
    """Opens an address of a service in a browser of its own, by default an English one."""
    contexts: list[BrowserContext] = []

    def open_(service: Service, address: str = "/", **options: Any) -> Page:
        contexts.append(browser.new_context(base_url=service.url, **{**ENGLISH, **options}))
        page = watched(contexts[-1].new_page())
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def context(browser: Browser, service: Service) -> BrowserContext:
    """What most tests share: it has the page's files already, and nothing else is kept in it."""
    return browser.new_context(base_url=service.url, **ENGLISH)


@pytest.fixture
def page(context: BrowserContext, watched: Callable[[Page], Page]) -> Iterator[Page]:
    """Still blank: a test goes where it wants to start."""
    page = watched(context.new_page())
    yield page
    page.close()
