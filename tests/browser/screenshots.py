"""The pictures of the web page in docs/: `make screenshots`.

Small ones: 8 bits of colour are enough for a page of few colours.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, ViewportSize

from tests.service import Service

WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 720}

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
def page(browser: Browser, service: Service, size: ViewportSize, **options: str) -> Iterator[Page]:
    context = browser.new_context(
        viewport=size,
        base_url=service.url,
        locale=options.get("locale", "en-US"),
        color_scheme="dark" if options.get("scheme") == "dark" else "light",
        reduced_motion="reduce",
    )
    opened = context.new_page()
    yield opened
    context.close()
