"""The pictures of the web page in docs/: `make screenshots`, when the page has changed.

The Chinese one needs a font that has the characters, such as Debian's fonts-noto-cjk.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.chromium import launch
from tests.service import ROOT, Service

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 720}
GAP = 16

ALICE = [
    "Moved from Lyon to Berlin in March for a new job at a bakery",
    "Is allergic to peanuts and carries an adrenaline pen",
    "Prefers trains to planes; always books the quiet coach",
    "Is learning German, level B1, and likes to be corrected",
    "Plays the cello in an amateur orchestra on Tuesdays",
    "Wants short answers in the morning and longer ones in the evening",
    "Her sister Emma lives in Toulouse and visits in summer",
    "Drinks green tea without sugar, never coffee",
]
OTHERS = {
    "bob": [
        "Runs 10 km every Saturday, training for a half marathon in May",
        "Works night shifts; do not suggest anything before noon",
        "Has two cats, Ada and Grace",
    ],
    "李雷": [
        "喜欢在周末去爬山，最近在学习摄影",
        "对花生过敏，点餐时需要提醒",
        "住在杭州，每天骑自行车上班",
        "喜欢喝龙井茶，不喝咖啡",
    ],
    "carol@example.com": ["Reads one crime novel a week, most of them Nordic"],
}


def seed(service: Service) -> str:
    """Some people's memories. Gives the id of one with a history."""
    for user, texts in OTHERS.items():
        for text in texts:
            service.ask("add", data=text, user_id=user, infer=False)
    for text in reversed(ALICE[1:]):
        service.ask("add", data=text, user_id="alice", infer=False)
    service.ask(
        "add",
        data="Compared three rail passes for the summer trip with Emma",
        user_id="alice",
        agent_id="travel-planner",
        run_id="summer-2026",
        infer=False,
    )
    moved = service.ask(
        "add",
        data="Lives in Lyon and works at a small bakery near the river",
        user_id="alice",
        agent_id="travel-planner",
        infer=False,
        metadata={"source": "chat", "confidence": 0.92, "tags": ["home", "work"]},
    )["result"]
    service.ask("update", memory_id=moved, data="Lives in Lyon and looks for a job in Berlin")
    service.ask("update", memory_id=moved, data=ALICE[0])
    return str(moved)


@contextmanager
def page(browser: Browser, service: Service, address: str = "/", **options: Any) -> Iterator[Page]:
    """A page some hours later than the memories it shows."""
    settings = {"viewport": WIDE, "locale": "en-US", "reduced_motion": "reduce", **options}
    context = browser.new_context(base_url=service.url, **settings)
    opened = context.new_page()
    opened.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=3))
    opened.goto(address)
    expect(opened.locator("#scopes a, dialog").first).to_be_attached()
    yield opened
    context.close()


def search(opened: Page, text: str) -> None:
    opened.get_by_role("searchbox").fill(text)
    expect(opened.get_by_role("meter").first).to_be_visible()
    opened.locator("#explain").click()


def shoot(opened: Page) -> Image.Image:
    opened.evaluate("document.querySelector('dialog') ?? document.activeElement.blur()")
    return Image.open(BytesIO(opened.screenshot()))


def beside(*pictures: Image.Image) -> Image.Image:
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    whole = Image.new("RGB", (width, max(picture.height for picture in pictures)), "#9a9d9f")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + GAP
    return whole


def save(picture: Image.Image, name: str) -> None:
    """With 256 colours: the page has few, and the file is a third as large."""
    few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(ROOT / "docs" / f"{name}.png", optimize=True)


def of_memories(browser: Browser, service: Service, moved: str) -> None:
    opened = f"/#user_id=alice&memory={moved}"
    with page(browser, service, opened) as shown:
        expect(shown.locator(".step")).to_have_count(3)
        search(shown, "moving to Berlin for work")
        save(shoot(shown), "page")
    with page(browser, service, opened, color_scheme="dark") as shown:
        expect(shown.locator(".step")).to_have_count(3)
        save(shoot(shown), "page-dark")
    with page(browser, service, "/#user_id=alice") as shown:
        shown.get_by_role("button", name="Delete all").click()
        shown.get_by_label("Type alice to confirm").fill("ali")
        save(shoot(shown), "page-delete-all")


def of_phones(browser: Browser, service: Service, moved: str) -> None:
    options = {"viewport": PHONE, "has_touch": True}
    with page(browser, service, **options) as shown:
        expect(shown.locator("#items a")).not_to_have_count(0)
        listed = shoot(shown)
        shown.goto(f"/#user_id=alice&memory={moved}")
        expect(shown.locator(".step")).to_have_count(3)
        memory = shoot(shown)
    with page(browser, service, "/#user_id=李雷", locale="zh-CN", **options) as shown:
        search(shown, "喜欢喝什么茶")
        chinese = shoot(shown)
    save(beside(listed, memory, chinese), "page-phone")


def of_nothing(browser: Browser, folder: Path) -> None:
    """Nothing yet, no answer, and no key."""
    small = {"viewport": {"width": 640, "height": 520}}
    with Service(folder / "empty") as service, page(browser, service, **small) as shown:
        expect(shown.locator(".notice")).to_be_visible()
        nothing = shoot(shown)
        shown.context.set_offline(True)
        shown.get_by_role("button", name="Refresh").click()
        expect(shown.locator("#banner")).to_be_visible()
        away = shoot(shown)
    key = "a-key-for-pictures-of-32-characters-or-more"
    with (
        Service(folder / "locked", ADMIN_API_KEY=key) as service,
        page(browser, service, **small) as shown,
    ):
        expect(shown.get_by_role("dialog")).to_be_visible()
        save(beside(nothing, away, shoot(shown)), "page-states")


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        Service(Path(folder) / "data") as service,
    ):
        browser = launch(playwright)
        moved = seed(service)
        of_memories(browser, service, moved)
        of_phones(browser, service, moved)
        of_nothing(browser, Path(folder))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
