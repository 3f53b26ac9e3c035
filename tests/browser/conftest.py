"""A browser for all tests, and pages of it that may not fail unseen."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.chromium import launch
from tests.service import Service

Open = Callable[..., Page]

REFUSED = ("Content Security Policy", "TrustedHTML", "TrustedScript")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens an address of a service in a browser of its own, by default an English one on a
    wide screen. An error in a script, or what the page's policy refuses, fails the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if any(word in message.text for word in REFUSED):
            wrong.append(message.text)

    def open_(service: Service, address: str = "/", **options: Any) -> Page:
        settings = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options}
        context = browser.new_context(base_url=service.url, reduced_motion="reduce", **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", listen)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def page(open_page: Open, service: Service, user: str) -> Page:
    """The memories of a user nobody has used before."""
    return open_page(service, f"/#user_id={user}")
