"""Looking: lists, searches, a memory and its history."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open
from tests.service import Service

HOSTILE = [
    "<img src=x onerror=\"document.title='run'\">",
    "<script>document.title = 'run'</script>",
    "</textarea><b id=bold>bold</b> &lt;i&gt; ${7*7} {{7*7}}",
]


def texts(page: Page) -> list[str]:
    return page.locator("#items a").all_inner_texts()


def hold(page: Page, pattern: str, of: str = "") -> list[Route]:
    """Keeps requests back, those whose body has `of` in it, until they are let go."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        if of in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route(pattern, keep)
    return held


def test_the_newest_memory_comes_first(page: Page, service: Service, user: str) -> None:
    for text in ("first", "second", "third"):
        service.ask("add", data=text, user_id=user, infer=False)
    service.ask("add", data="somebody else's", user_id=f"{user}-other", infer=False)
    page.goto(f"/#user_id={user}")
    expect(page.locator("#items a")).to_have_text(["third", "second", "first"])
    expect(page.get_by_role("heading", level=1)).to_have_text(user)
    expect(page.locator("#count")).to_have_text("3 memories")


def test_more_come_as_one_scrolls(page: Page, service: Service, user: str) -> None:
    said = [{"role": "user", "content": f"memory {number}"} for number in range(120)]
    service.ask("add", messages=said, user_id=user, infer=False)
    page.goto(f"/#user_id={user}")
    expect(page.locator("#count")).to_have_text("120 memories")
    expect(page.locator("#items li")).to_have_count(50)
    page.locator("#items li").last.scroll_into_view_if_needed()
    expect(page.locator("#items li")).to_have_count(100)
    page.locator("#items li").last.scroll_into_view_if_needed()
    expect(page.locator("#items li")).to_have_count(120)
    assert len(set(texts(page))) == 120
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_users_agents_and_runs_stand_with_their_counts(
    fresh_service: Service, open_page: Open
) -> None:
    page = open_page(fresh_service)
    expect(page.get_by_text("Nothing is remembered yet")).to_be_visible()
    expect(page.locator("pre")).to_contain_text(f"curl {fresh_service.url}/memory/add")
    for user, text in (("alice", "tea"), ("alice", "milk"), ("bob", "tea")):
        fresh_service.ask("add", data=text, user_id=user, agent_id="planner", infer=False)
    fresh_service.ask("add", data="rail pass", run_id="trip", app_id="shop", infer=False)
    page.get_by_role("button", name="Refresh").click()
    people = page.get_by_role("navigation", name="Whose memories")
    expect(people.get_by_role("link")).to_have_text(
        [
            re.compile("Everyone4"),
            re.compile("alice2"),
            re.compile("bob1"),
            re.compile("planner3"),
            re.compile("shop1"),
            re.compile("trip1"),
        ]
    )
    people.get_by_role("link", name="alice").click()
    expect(page.locator("#items a")).to_have_text(["milk", "tea"])
    expect(people.get_by_role("link", name="alice")).to_have_attribute("aria-current", "true")
    people.get_by_role("link", name="trip").click()
    expect(page.locator("#items a")).to_have_text(["rail pass"])
    page.go_back()
    expect(page.locator("#items a")).to_have_text(["milk", "tea"])


def test_it_is_searched_as_one_types(page: Page, service: Service, user: str) -> None:
    for text in ("I love hiking in the mountains", "I am allergic to peanuts"):
        service.ask("add", data=text, user_id=user, infer=False)
    page.goto(f"/#user_id={user}")
    page.get_by_role("searchbox", name="Search").press_sequentially("peanuts")
    expect(page.locator("#items a").first).to_have_text("I am allergic to peanuts")
    expect(page.locator("#count")).to_have_text("2 results")
    expect(page.get_by_role("status").first).to_have_text("2 results")
    score = page.get_by_role("meter", name="Score").first
    assert 0.5 < float(score.get_attribute("aria-valuenow") or 0) <= 1
    expect(page.get_by_text("Meaning")).to_have_count(0)
    page.get_by_role("button", name="Explain scores").click()
    expect(page.locator(".shares").first).to_contain_text("Words1.00")
    page.get_by_role("searchbox", name="Search").press("Escape")
    expect(page.locator("#count")).to_have_text("2 memories")
    expect(page.get_by_role("meter")).to_have_count(0)


def test_a_search_that_finds_nothing_offers_everyone(page: Page, user: str) -> None:
    page.goto(f"/#user_id={user}")
    page.get_by_role("searchbox", name="Search").fill("xyzzy")
    expect(page.get_by_text("Nothing found for “xyzzy”")).to_be_visible()
    page.get_by_role("link", name="Search everyone's memories").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Everyone")
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("xyzzy")


def test_an_earlier_search_is_given_up_for_a_later_one(
    page: Page, service: Service, user: str
) -> None:
    for text in ("green tea", "black coffee"):
        service.ask("add", data=text, user_id=user, infer=False)
    page.goto(f"/#user_id={user}")
    earlier = hold(page, "**/memory/search", of='"query":"tea"')
    with page.expect_request("**/memory/search"):
        page.get_by_role("searchbox", name="Search").fill("tea")
    with page.expect_event("requestfailed") as given_up:
        page.get_by_role("searchbox", name="Search").fill("coffee")
    assert '"query":"tea"' in (given_up.value.post_data or "")
    expect(page.locator("#items a").first).to_have_text("black coffee")
    assert len(earlier) == 1


def test_while_it_is_at_work_it_says_so(page: Page) -> None:
    held = hold(page, "**/memory/get_all")
    page.goto("/")
    expect(page.get_by_text("Loading…")).to_be_attached()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "true")
    for route in held:
        route.continue_()
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_text("Loading…")).to_have_count(0)


def test_a_memory_opened_shows_all_that_is_known(page: Page, service: Service, user: str) -> None:
    service.ask(
        "add",
        messages=[{"role": "user", "content": "I love hiking", "name": "Alice"}],
        user_id=user,
        agent_id="planner",
        metadata={"source": "chat", "tags": ["sport", {"deep": True}]},
        expiration_date="2999-12-31",
        infer=False,
    )
    page.goto(f"/#user_id={user}")
    page.get_by_role("link", name="I love hiking").click()
    detail = page.get_by_role("region", name="The chosen memory")
    expect(detail.locator("#memory-text")).to_have_text("I love hiking")
    expect(detail.locator(".facts")).to_contain_text(re.compile(f"User{user}Agentplanner"))
    expect(detail.locator(".facts")).to_contain_text("2999-12-31")
    expect(detail.get_by_role("row")).to_have_text(
        [re.compile("source.*chat"), re.compile(r"tags.*\[.*sport.*deep", re.DOTALL)]
    )
    expect(detail.locator(".step")).to_have_text(re.compile("Added.*user · Alice.*I love hiking"))


@pytest.mark.parametrize(
    ("before", "after", "gone", "new"),
    [
        ("I live in Lyon, near the river", "I live in Berlin, near the river", "Lyon", "Berlin"),
        ("我喜欢在周末去爬山", "我喜欢在周末去游泳", "爬山", "游泳"),
    ],
)
def test_each_step_of_the_history_marks_what_changed(
    page: Page, service: Service, user: str, before: str, after: str, gone: str, new: str
) -> None:
    memory_id = service.ask("add", data=before, user_id=user, infer=False)["result"]
    service.ask("update", memory_id=memory_id, data=after)
    page.goto(f"/#user_id={user}&memory={memory_id}")
    steps = page.locator(".step")
    expect(steps).to_have_count(2)
    changed = steps.first
    expect(changed).to_have_class("step update")
    expect(changed.locator("del")).to_have_text(re.compile(rf"^removed: ?{gone}$"))
    expect(changed.locator("ins")).to_have_text(re.compile(rf"^added: ?{new}$"))
    expect(steps.last).to_contain_text(before)


def test_a_deleted_memory_still_shows_its_history(page: Page, service: Service, user: str) -> None:
    memory_id = service.ask("add", data="a short life", user_id=user, infer=False)["result"]
    service.ask("delete", memory_id=memory_id)
    page.goto(f"/#user_id={user}&memory={memory_id}")
    expect(page.get_by_text("This memory was deleted")).to_be_visible()
    expect(page.locator(".step")).to_have_count(2)


def test_a_memory_that_never_was_is_told(page: Page, user: str) -> None:
    page.goto(f"/#user_id={user}&memory=00000000-0000-4000-8000-000000000000")
    expect(page.locator("#detail")).to_contain_text("There is no such memory")
    expect(page.locator("#status")).to_have_text("There is no such memory")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_is_html_or_a_script_stays_text(
    page: Page, service: Service, text: str
) -> None:
    who = "<b>x</b>"
    added = service.ask(
        "add", data=text, user_id=who, metadata={"<i>key</i>": text, "k": [text]}, infer=False
    )["result"]
    service.ask("update", memory_id=added, data=f"{text} {text}")
    page.goto(f"/#user_id={who}&memory={added}")
    expect(page.locator("#memory-text")).to_have_text(f"{text} {text}")
    expect(page.locator("#items a")).to_have_text([f"{text} {text}"])
    expect(page.get_by_role("heading", level=1)).to_have_text(who)
    expect(page.locator(".metadata")).to_contain_text(text)
    expect(page.locator(".step").last).to_contain_text(text)
    page.get_by_role("searchbox", name="Search").fill(text)
    expect(page.locator("#count")).to_have_text("1 result")
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("textbox", name="Text")).to_have_value(f"{text} {text}")
    assert page.locator("main b, main img, main script, dialog b, #scopes b").count() == 0
    expect(page).to_have_title("Memories")
    service.ask("delete_all", user_id=who)
