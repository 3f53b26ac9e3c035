"""Keys: asked for when one is needed, kept for the tab alone, and what they do not allow."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from app.security.keys import Keys
from app.security.principal import Principal
from tests.browser.conftest import Open
from tests.browser.test_access import findings
from tests.service import Service

ADMIN = "an-admin-key-of-more-than-32-characters"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that needs a key, with a memory each of alice and bob."""
    with Service(tmp_path_factory.mktemp("locked") / "data", ADMIN_API_KEY=ADMIN) as running:
        running.http.headers["Authorization"] = f"Bearer {ADMIN}"
        for user in ("alice", "bob"):
            running.ask("add", data=f"a secret of {user}", user_id=user, infer=False)
        yield running


def scoped(user: str, *, read_only: bool = False, ends_in: float = 3600) -> str:
    return Keys(ADMIN).mint(Principal("k1", {"user_id": user}, read_only), time.time() + ends_in)


def unlock(page: Page, key: str) -> None:
    dialog = page.get_by_role("dialog", name="A key is needed")
    dialog.get_by_label("Key", exact=True).fill(key)
    dialog.get_by_role("button", name="Unlock").click()


def test_a_key_is_asked_for_and_a_wrong_one_is_refused(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    dialog = page.get_by_role("dialog", name="A key is needed")
    expect(dialog.get_by_label("Key", exact=True)).to_be_focused()
    expect(dialog.get_by_label("Key", exact=True)).to_have_attribute("type", "password")
    for wrong in ("wrong", "ключ", scoped("alice", ends_in=-1)):
        unlock(page, wrong)
        expect(dialog.get_by_role("alert")).to_contain_text("The service refuses this key.")
    assert page.evaluate("sessionStorage.length") == 0
    unlock(page, ADMIN)
    expect(dialog).to_be_hidden()
    expect(page.locator("#items a")).to_have_text(["a secret of bob", "a secret of alice"])


def test_the_key_is_kept_for_this_tab_and_no_other(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    unlock(page, ADMIN)
    expect(page.locator("#items a")).to_have_count(2)
    page.reload()
    expect(page.locator("#items a")).to_have_count(2)
    other = page.context.new_page()
    other.goto("/")
    expect(other.get_by_role("dialog", name="A key is needed")).to_be_visible()
    assert page.evaluate("localStorage.length + document.cookie.length") == 0


def test_a_key_that_is_forgotten_takes_what_it_showed_along(
    locked: Service, open_page: Open
) -> None:
    page = open_page(locked)
    unlock(page, ADMIN)
    page.get_by_role("link", name="a secret of bob").click()
    expect(page.locator("#memory-text")).to_be_visible()
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("dialog", name="A key is needed")).to_be_visible()
    expect(page.get_by_text("a secret of")).to_have_count(0)
    expect(page.get_by_text("alice")).to_have_count(0)


def test_without_a_key_the_page_says_that_it_is_locked(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    page.get_by_role("dialog").press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".notice-title")).to_have_text("A key is needed")
    page.get_by_role("button", name="Enter a key").click()
    unlock(page, ADMIN)
    expect(page.locator("#items a")).to_have_count(2)


def test_who_left_the_question_is_not_asked_again_by_an_answer_that_was_late(
    locked: Service, open_page: Open
) -> None:
    page = open_page(locked)
    held: list[Route] = []
    page.route("**/scopes", lambda route: held.append(route))
    with page.expect_request("**/scopes"):
        page.reload()
    page.get_by_role("dialog").press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    with page.expect_response("**/scopes") as late:
        held[0].continue_()
    assert late.value.status == 401
    late.value.finished()
    page.evaluate("new Promise(requestAnimationFrame)")  # the page has seen it by now
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Enter a key").click()
    expect(page.get_by_role("dialog")).to_have_count(1)


def test_a_scoped_key_shows_its_own_scope_and_adds_to_it(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    unlock(page, scoped("carol"))
    expect(page.locator("#count")).to_have_text("0 memories")
    page.get_by_role("button", name="Add").first.click()
    page.get_by_role("textbox", name="Text").fill("a secret of carol")
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    expect(page.locator("#items a")).to_have_text(["a secret of carol"])
    links = page.get_by_role("navigation").get_by_role("link")
    expect(links).to_have_count(2)
    expect(links.last).to_contain_text("carol")
    locked.ask("delete_all", user_id="carol")


def test_the_admin_mints_a_key_sees_its_use_and_revokes_it(
    locked: Service, open_page: Open
) -> None:
    page = open_page(locked)
    unlock(page, ADMIN)
    page.get_by_role("button", name="Keys", exact=True).click()
    page.get_by_role("dialog", name="Keys").get_by_role("button", name="Mint a key").click()
    minting = page.get_by_role("dialog", name="Mint a key")
    minting.get_by_role("button", name="Mint a key").click()
    expect(minting.get_by_role("alert")).to_contain_text("give at least one of user_id")
    minting.get_by_label("User", exact=True).fill("alice")
    minting.get_by_label("Read-only").check()
    minting.get_by_role("button", name="Mint a key").click()
    shown = page.get_by_role("dialog", name="The key")
    expect(shown.get_by_text("It sees its scope in every app.")).to_be_visible()
    minted = shown.get_by_label("Key", exact=True).input_value()
    own = {"headers": {"Authorization": f"Bearer {minted}"}}
    assert [
        memory["user_id"] for memory in locked.post("get_all", {}, **own).json()["results"]
    ] == ["alice"]
    assert locked.post("add", {"data": "tea"}, **own).status_code == 403
    shown.get_by_role("button", name="Done").click()
    first = page.get_by_role("dialog", name="Keys").get_by_role("listitem").first
    expect(first).to_contain_text("User alice")
    assert findings(page) == []
    expect(first).to_contain_text("Read-only")
    id_ = first.locator("code").inner_text()
    first.get_by_role("button", name=f"Revoke {id_}").click()
    asked = page.get_by_role("dialog", name=f"Revoke the key {id_}?")
    asked.get_by_role("button", name="Revoke").click()
    expect(first).to_contain_text("revoked")
    expect(first.get_by_role("button")).to_have_count(0)
    assert locked.post("get_all", {}, **own).status_code == 401


def test_keys_that_cannot_be_read_are_told(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    unlock(page, ADMIN)
    expect(page.get_by_role("button", name="Keys", exact=True)).to_be_visible()
    page.route("**/keys", lambda route: route.abort())
    page.get_by_role("button", name="Keys", exact=True).click()
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog.get_by_role("listitem")).to_have_text("The service does not answer")


def test_the_history_of_a_memory_names_the_key(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    unlock(page, scoped("alice"))
    page.get_by_role("link", name="a secret of alice").click()
    expect(page.locator(".step-head")).to_contain_text("key admin")


def test_who_has_no_admin_key_is_not_offered_the_view(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    with page.expect_response("**/keys") as asked:
        unlock(page, scoped("alice"))
    assert asked.value.status == 403
    expect(page.get_by_role("link", name="a secret of alice")).to_be_visible()
    expect(page.get_by_role("button", name="Keys", exact=True)).to_be_hidden()


def test_what_a_read_only_key_may_not_do_is_told(locked: Service, open_page: Open) -> None:
    page = open_page(locked)
    unlock(page, scoped("alice", read_only=True))
    page.get_by_role("link", name="a secret of alice").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This key is read-only.")
    expect(dialog.get_by_role("alert")).to_contain_text("Request id")
    page.keyboard.press("Escape")
    page.goto("/#user_id=bob")
    expect(page.locator(".notice-title").first).to_have_text("Not with this key")
