"""Adds that are done later, as the page shows them."""

from playwright.sync_api import Page, expect

from tests.service import Service, wait_for


def test_what_was_accepted_is_listed_with_what_became_of_it(
    page: Page, service: Service, user: str
) -> None:
    body = {"data": "tea", "user_id": user}
    job = service.post("add", body, headers={"Prefer": "respond-async"}).json()["job"]
    wait_for(lambda: service.http.get(f"/jobs/{job}").json()["ended_at"], 30)
    page.goto("/")
    page.get_by_role("button", name="Jobs").click()
    mine = page.get_by_role("dialog").locator("li", has_text=user)
    expect(mine).to_contain_text("Done")
    expect(mine.get_by_role("button", name="Cancel")).to_have_count(0)
