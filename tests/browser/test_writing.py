"""Changing: add, edit, delete, delete all of one."""

import re

from playwright.sync_api import Page, Route, expect

from tests.service import Service


def add(service: Service, user: str, text: str, **fields: object) -> str:
    return str(service.ask("add", data=text, user_id=user, infer=False, **fields)["result"])


def listed(service: Service, user: str) -> list[str]:
    return [memory["memory"] for memory in service.ask("get_all", user_id=user)["results"]]


def test_a_memory_is_added_to_whoever_was_chosen(page: Page, service: Service, user: str) -> None:
    page.goto(f"/#user_id={user}")
    page.get_by_role("button", name="Add").first.click()
    dialog = page.get_by_role("dialog", name="Add a memory")
    expect(dialog.get_by_role("textbox", name="Text")).to_be_focused()
    expect(dialog.get_by_label("User", exact=True)).to_have_value(user)
    dialog.get_by_role("textbox", name="Text").fill("I love hiking")
    dialog.get_by_label("App", exact=True).fill("shop")
    dialog.get_by_label("Run", exact=True).fill("r1")
    dialog.get_by_text("Metadata and more").click()
    dialog.get_by_label("Metadata", exact=True).fill('{"source": "page"}')
    dialog.get_by_label("Shown until").fill("2999-12-31")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#items a")).to_have_text(["I love hiking"])
    expect(page.locator("#toasts")).to_have_text("The memory is stored.")
    expect(page.get_by_role("button", name="Add").first).to_be_focused()
    expect(page.get_by_role("navigation").get_by_role("link", name=user)).to_be_visible()
    (stored,) = service.ask("get_all", user_id=user)["results"]
    assert (stored["app_id"], stored["run_id"]) == ("shop", "r1")
    assert stored["metadata"] == {"source": "page"}
    assert stored["expiration_date"] == "2999-12-31"


WRONG = [
    ("Text", " ", "Give a text.", "I love hiking"),
    ("User", "", "Give at least one of user, agent, app and run.", "u"),
    ("User", "a b", "must be a text without white space", "u"),
    ("Metadata", "[1]", "This is not a JSON object.", ""),
    ("Metadata", "{", "This is not a JSON object.", ""),
    ("Metadata", '{"hash": 1}', "must not use the key 'hash'", ""),
]


def test_a_wrong_field_is_pointed_at_and_nothing_is_lost(
    page: Page, service: Service, user: str
) -> None:
    page.goto(f"/#user_id={user}")
    page.get_by_role("button", name="Add").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Text").fill("I love hiking")
    dialog.get_by_text("Metadata and more").click()
    for field, value, complaint, right in WRONG:
        wrong = dialog.get_by_label(field, exact=True)
        wrong.fill(value)
        dialog.get_by_role("button", name="Add").click()
        expect(dialog.get_by_role("alert")).to_contain_text(complaint)
        expect(dialog.locator("[aria-invalid]")).to_have_count(1)
        expect(wrong).to_have_attribute("aria-invalid", "true")
        expect(wrong).to_have_value(value)
        wrong.fill(right)
    assert listed(service, user) == []


def test_an_add_whose_answer_was_lost_and_that_is_sent_again_is_stored_once(
    page: Page, service: Service, user: str
) -> None:
    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/memory/add", lose, times=1)
    page.goto(f"/#user_id={user}")
    page.get_by_role("button", name="Add").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Text").fill("I love hiking")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_have_text("The service does not answer")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_be_hidden()
    assert listed(service, user) == ["I love hiking"]


def test_an_edit_changes_text_and_metadata_and_shows_in_the_history(
    page: Page, service: Service, user: str
) -> None:
    memory_id = add(service, user, "I live in Lyon", metadata={"source": "chat", "n": 1})
    page.goto(f"/#user_id={user}&memory={memory_id}")
    page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit the memory")
    dialog.get_by_role("textbox", name="Text").fill("I live in Berlin")
    dialog.get_by_label("Metadata", exact=True).fill('{"source": "chat", "n": 2}')
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("#memory-text")).to_have_text("I live in Berlin")
    expect(page.locator("#items a")).to_have_text(["I live in Berlin"])
    expect(page.locator(".step").first).to_have_text(re.compile("Lyon.*Berlin"))
    assert service.ask("get", memory_id=memory_id)["metadata"] == {"source": "chat", "n": 2}


def test_an_expiration_date_can_be_taken_away(page: Page, service: Service, user: str) -> None:
    memory_id = add(service, user, "I live in Lyon", expiration_date="2999-12-31")
    page.goto(f"/#user_id={user}&memory={memory_id}")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Shown until").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".step").first).to_contain_text("The text stayed")
    assert "expiration_date" not in service.ask("get", memory_id=memory_id)


def test_a_metadata_key_that_was_taken_out_is_not_lost_silently(
    page: Page, service: Service, user: str
) -> None:
    memory_id = add(service, user, "I live in Lyon", metadata={"source": "chat"})
    page.goto(f"/#user_id={user}&memory={memory_id}")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Metadata", exact=True).fill("{}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").last).to_contain_text("“source” cannot be taken away")


def test_a_memory_is_deleted_once_that_is_confirmed(
    page: Page, service: Service, user: str
) -> None:
    add(service, user, "stays")
    memory_id = add(service, user, "goes")
    page.goto(f"/#user_id={user}&memory={memory_id}")
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog", name="Delete this memory?")
    dialog.get_by_role("button", name="Cancel").click()
    assert listed(service, user) == ["goes", "stays"]
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("#items a")).to_have_text(["stays"])
    expect(page.locator("#memory-text")).to_have_count(0)
    assert listed(service, user) == ["stays"]
    page.get_by_role("link", name="See its history").click()
    expect(page.locator(".step")).to_have_count(2)


def test_all_of_one_are_deleted_once_the_id_was_typed(
    page: Page, service: Service, user: str
) -> None:
    kept = add(service, f"{user}-other", "stays")
    gone = add(service, user, "goes")
    add(service, user, "goes too")
    page.goto(f"/#user_id={user}")
    page.get_by_role("button", name="Delete all").click()
    dialog = page.get_by_role("dialog", name=f"Delete all memories of {user}?")
    send = dialog.get_by_role("button", name="Delete all")
    expect(send).to_be_disabled()
    expect(dialog).to_contain_text("2 memories.")
    typed = dialog.get_by_label(f"Type {user} to confirm")
    typed.fill(user[:-1])
    expect(send).to_be_disabled()
    typed.press("Enter")
    assert len(listed(service, user)) == 2
    typed.fill(user)
    dialog.get_by_label("Erase the texts from the history as well").check()
    send.click()
    expect(page.get_by_text(f"There are no memories of {user}")).to_be_visible()
    names = page.locator("#scopes .name")
    expect(names.get_by_text(f"{user}-other")).to_have_count(1)
    expect(names.get_by_text(user, exact=True)).to_have_count(0)
    assert listed(service, user) == []
    assert service.ask("get", memory_id=kept)["memory"] == "stays"
    assert service.ask("history", memory_id=gone)["results"][0]["new_memory"] is None


def test_for_everyone_there_is_no_delete_all(page: Page) -> None:
    page.goto("/#everyone")
    expect(page.get_by_role("heading", level=1)).to_have_text("Everyone")
    expect(page.get_by_role("button", name="Delete all")).to_be_hidden()
