"""How the web page is served, and what it alone asks for. How it behaves: tests/browser/."""

import re

import pytest

from tests.service import ROOT, Service

STATIC = ROOT / "app" / "api" / "static"
PARTS = sorted(path.name for path in STATIC.iterdir() if path.name != "index.html")


@pytest.fixture(scope="module")
def policy(service: Service) -> dict[str, str]:
    given = service.http.get("/").headers["Content-Security-Policy"]
    return dict(directive.split(" ", 1) for directive in given.split("; "))


def test_the_page_is_html(service: Service) -> None:
    response = service.http.get("/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.content == (STATIC / "index.html").read_bytes()


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_served_as_what_it_is(service: Service, name: str) -> None:
    response = service.http.get(f"/static/{name}")
    assert response.content == (STATIC / name).read_bytes()
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert response.headers["Content-Type"].startswith(kinds[name.rpartition(".")[2]])


def test_the_policy_allows_the_service_itself_and_nothing_else(policy: dict[str, str]) -> None:
    own = {"script-src", "style-src", "connect-src", "img-src"}
    none = {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert policy == {
        **dict.fromkeys(own, "'self'"),
        **dict.fromkeys(none, "'none'"),
        "require-trusted-types-for": "'script'",
    }


def test_the_page_needs_no_more_than_the_policy_allows() -> None:
    html = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)
    for name in ["index.html", *PARTS]:
        text = (STATIC / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|innerHTML|insertAdjacentHTML|document\.write", text), name


@pytest.mark.parametrize("path", ["/", "/static/main.js"])
def test_a_part_that_has_not_changed_is_not_sent_again(service: Service, path: str) -> None:
    first = service.http.get(path)
    assert first.headers["Cache-Control"] == "no-cache"
    again = service.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "index.html", "..%2Fpage.py", "%2e%2e/page.py", "main.js%00", "main.js%0A"],
)
def test_nothing_else_is_given_out(service: Service, name: str) -> None:
    response = service.http.get(f"/static/{name}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_scopes_are_counted(empty_service: Service) -> None:
    empty_service.ask("add", data="tea", user_id="bob", app_id="shop", infer=False)
    empty_service.ask("add", data="tea", user_id="李雷", agent_id="planner", infer=False)
    empty_service.ask("add", data="milk", user_id="李雷", run_id="r1", infer=False)
    empty_service.ask("add", data="x", user_id="eve", expiration_date="2000-01-01", infer=False)
    assert empty_service.http.get("/scopes").json() == {
        "users": [{"id": "李雷", "memories": 2}, {"id": "bob", "memories": 1}],
        "agents": [{"id": "planner", "memories": 1}],
        "apps": [{"id": "shop", "memories": 1}],
        "runs": [{"id": "r1", "memories": 1}],
    }


def test_scopes_of_an_empty_service_are_empty(empty_service: Service) -> None:
    assert empty_service.http.get("/scopes").json() == {
        "users": [],
        "agents": [],
        "apps": [],
        "runs": [],
    }


def test_the_page_asks_for_every_module_at_once() -> None:
    html = (STATIC / "index.html").read_text()
    asked = re.findall(r'(?:href|src)="static/(\w+\.js)"', html)
    assert sorted(asked) == [name for name in PARTS if name.endswith(".js")]
