"""For everybody: keyboard, screen reader, Chinese, phone; and nothing that axe-core objects to."""

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open
from tests.service import Service

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
PHONE = {"width": 360, "height": 720}


@pytest.fixture
def people(service: Service, user: str) -> list[str]:
    """Two memories of the user: a long word, and one with history and metadata; newest first."""
    service.ask("add", data=f"long{'word' * 60}", user_id=user, run_id="r" * 200, infer=False)
    memory_id = service.ask(
        "add",
        data="I live in Lyon",
        user_id=user,
        metadata={"source": "chat", "long": "word" * 60},
        infer=False,
    )["result"]
    service.ask("update", memory_id=memory_id, data="I live in Berlin")
    return [str(memory_id)]


def findings(page: Page) -> list[str]:
    """What axe-core calls serious or critical, each with where it is."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def opened(page: Page) -> None:
    page.locator("#items a").first.click()
    expect(page.locator(".step")).to_have_count(2)


def searched(page: Page) -> None:
    page.get_by_role("searchbox", name="Search").fill("Berlin")
    page.get_by_role("button", name="Explain scores").click()
    expect(page.locator(".shares").first).to_be_visible()


def nothing_found(page: Page) -> None:
    page.goto("/#user_id=nobody-at-all")
    expect(page.get_by_text("There are no memories of nobody-at-all")).to_be_visible()


def adding(page: Page) -> None:
    page.get_by_role("button", name="Add").first.click()
    page.get_by_text("Metadata and more").click()
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).not_to_be_empty()


def deleting_all(page: Page) -> None:
    page.get_by_role("button", name="Delete all").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def out_of_reach(page: Page) -> None:
    page.context.set_offline(True)
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#banner")).to_be_visible()
    expect(page.locator("#list .notice")).to_be_visible()


STATES: list[Callable[[Page], None]] = [
    opened,
    searched,
    nothing_found,
    adding,
    deleting_all,
    out_of_reach,
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    service: Service, open_page: Open, user: str, people: list[str], scheme: str
) -> None:
    """In one page, state by state; only this page may be told more than its policy allows."""
    page = open_page(service, f"/#user_id={user}", color_scheme=scheme, bypass_csp=True)
    expect(page.locator("#items a")).to_have_count(2)
    found = {"listed": findings(page)}
    for state in STATES:
        page.goto(f"/#user_id={user}")
        page.reload()
        expect(page.locator("#items a")).to_have_count(2)
        state(page)
        found[state.__name__] = findings(page)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_axe_would_find_something(service: Service, open_page: Open) -> None:
    """That the scan above scans at all."""
    page = open_page(service, bypass_csp=True)
    page.evaluate("document.getElementById('add').replaceChildren()")
    page.evaluate("document.getElementById('skip').style.color = '#888'")
    assert [found.split(":")[0] for found in findings(page)] == ["button-name"]


WIDER = """() => [...document.querySelectorAll("body, body *")]
    .filter((element) => element.checkVisibility({visibilityProperty: true}))
    .filter((element) => getComputedStyle(element).clipPath === "none")
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
    .map((element) => element.outerHTML.slice(0, 80))"""


def choosing(page: Page) -> None:
    page.get_by_role("button", name="Choose whose memories").click()
    expect(page.get_by_role("link", name=re.compile("^Everyone"))).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(
    page: Page, user: str, people: list[str]
) -> None:
    page.set_viewport_size({"width": 360, "height": 720})
    for state in (opened, searched, adding, deleting_all, choosing):
        page.goto("about:blank")
        page.goto(f"/#user_id={user}")
        expect(page.locator("#items a")).to_have_count(2)
        state(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, state
        assert page.evaluate(WIDER) == [], state


def test_on_a_phone_one_chooses_reads_and_comes_back(
    service: Service, open_page: Open, user: str, people: list[str]
) -> None:
    page = open_page(service, viewport=PHONE)
    page.get_by_role("button", name="Choose whose memories").click()
    expect(page.get_by_role("link", name="Everyone")).to_be_focused()
    page.get_by_role("navigation").get_by_role("link", name=user).click()
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("navigation")).to_be_hidden()
    page.get_by_role("link", name="I live in Berlin").click()
    expect(page.locator("#memory-text")).to_be_visible()
    expect(page.get_by_role("searchbox", name="Search")).to_be_hidden()
    page.get_by_role("button", name="Back to the list").click()
    expect(page.get_by_role("link", name="I live in Berlin")).to_be_focused()


def test_all_of_it_works_by_keyboard_alone(
    service: Service, open_page: Open, user: str, people: list[str]
) -> None:
    page = open_page(service, f"/#user_id={user}")
    expect(page.locator("#items a")).to_have_count(2)
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_role("link", name="To the memories")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    press("Control+k")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    press("ArrowDown")
    first, second = page.locator("#items a").all()
    expect(first).to_be_focused()
    press("ArrowDown")
    expect(second).to_be_focused()
    press("Home")
    press("Enter")
    expect(page.get_by_role("heading", name="Memory", exact=True)).to_be_focused()
    expect(page.locator("#memory-text")).to_have_text("I live in Berlin")
    press("Tab")
    press("Tab")
    expect(page.get_by_role("button", name="Edit")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("textbox", name="Text")).to_be_focused()
    page.keyboard.type("By keyboard: ")
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Edit")).to_be_focused()
    press("Escape")
    expect(page.get_by_role("link", name="I live in Berlin")).to_be_focused()
    expect(page.locator("#memory-text")).to_have_count(0)


def test_what_has_the_focus_is_seen(page: Page, user: str) -> None:
    page.goto(f"/#user_id={user}")
    expect(page.get_by_text(f"There are no memories of {user}")).to_be_visible()
    expect(page.get_by_role("link", name="Everyone")).to_be_visible()
    for _ in range(8):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(({ outlineStyle, outlineWidth }) => `${outlineStyle} ${outlineWidth}`)"
            "(getComputedStyle(document.activeElement))"
        )
        assert style == "solid 2px"


def test_counting_again_takes_the_focus_from_nobody(page: Page) -> None:
    page.goto("/")
    everyone = page.get_by_role("navigation").get_by_role("link", name="Everyone")
    everyone.click()
    before = everyone.element_handle()
    with page.expect_response("**/scopes"):
        page.evaluate("document.getElementById('refresh').click()")
    before.wait_for_element_state("hidden")
    expect(everyone).to_be_focused()


def test_in_a_chinese_browser_it_is_chinese(service: Service, open_page: Open, user: str) -> None:
    page = open_page(service, f"/#user_id={user}", locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page).to_have_title("记忆")
    expect(page.get_by_text(f"{user} 没有记忆")).to_be_visible()
    page.get_by_role("button", name="添加").first.click()
    dialog = page.get_by_role("dialog", name="添加记忆")
    dialog.get_by_role("textbox", name="文本").fill("我喜欢在周末去爬山")
    dialog.get_by_role("button", name="添加").click()
    expect(page.locator("#items a")).to_have_text(["我喜欢在周末去爬山"])
    page.get_by_role("searchbox", name="搜索").fill("爬山")
    expect(page.locator("#count")).to_have_text("1 条结果")
    expect(page.locator(".meta time").first).to_have_text("现在")
    shown = " ".join(page.locator(".bar, .list, .detail").all_inner_texts()).replace(user, "")
    assert "1 条结果" in shown
    assert set(re.findall("[A-Za-z]{2,}", shown)) <= {"API", "Ctrl", "CtrlK", "Enter", "Esc"}


def test_both_languages_have_every_text(page: Page) -> None:
    """The page of a Chinese reader falls back to nothing."""
    used = """async () => {
        const source = await (await fetch("static/i18n.js")).text();
        const part = (name) => source.split(`const ${name} = {`)[1].split("\\n};")[0];
        const keys = (name) => [...part(name).matchAll(/^  (\\w+):/gm)].map(([, key]) => key);
        return [keys("en"), keys("zh")];
    }"""
    page.goto("/")
    english, chinese = page.evaluate(used)
    assert english == chinese
    assert len(english) > 100


def test_a_memory_that_comes_late_takes_the_focus_from_nobody(
    service: Service, page: Page, user: str, people: list[str]
) -> None:
    page.goto(f"/#user_id={user}")
    held: list[Route] = []
    page.route("**/memory/history", lambda route: held.append(route))
    with page.expect_request("**/memory/history"):
        page.get_by_role("link", name="I live in Berlin").click()
    back = page.get_by_role("button", name="Back to the list")
    back.focus()
    held[0].continue_()
    expect(page.locator("#memory-text")).to_be_visible()
    expect(back).to_be_focused()
