"""/docs: the API to read and to try, offline."""

import re
from urllib.parse import urljoin

import pytest

from tests.openapi import CONTRACT
from tests.service import Service

FILES = ["/docs/init.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"]


def test_the_page_loads_what_is_there_and_nothing_from_elsewhere(service: Service) -> None:
    page = service.http.get("/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    loaded = {urljoin("/docs", name) for name in named if not name.startswith("data:")}
    assert loaded == {*FILES, "/openapi.yaml"}
    for path in loaded:
        assert service.http.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/docs", *FILES])
def test_a_strict_policy_allows_only_scripts_of_its_own(service: Service, path: str) -> None:
    headers = service.http.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_no_script_of_its_own(service: Service) -> None:
    assert not re.search(r"<script>|<style|\son\w+=|style=", service.http.get("/docs").text)


def test_it_asks_no_other_host_whether_the_document_is_right(service: Service) -> None:
    script = service.http.get("/docs/init.js").text
    assert "validatorUrl: null" in script
    assert "http" not in script


@pytest.mark.parametrize("name", ["nowhere.js", "swagger-ui.js", "..%2Fops.py", "%2e%2e%2fops.py"])
def test_nothing_else_is_given_out(service: Service, name: str) -> None:
    assert service.http.get(f"/docs/{name}").status_code == 404


def test_a_browser_need_not_load_it_twice(service: Service) -> None:
    etag = service.http.get("/docs/swagger-ui.css").headers["ETag"]
    again = service.http.get("/docs/swagger-ui.css", headers={"If-None-Match": etag})
    assert again.status_code == 304


def test_the_document_names_both_ways_to_send_a_key() -> None:
    schemes = CONTRACT["components"]["securitySchemes"]
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    assert (schemes["apiKey"]["in"], schemes["apiKey"]["name"]) == ("header", "X-API-Key")
    assert CONTRACT["security"] == [{}, {"bearer": []}, {"apiKey": []}]


def test_the_document_asks_for_no_key_where_none_is_needed() -> None:
    free = {
        path
        for path, item in CONTRACT["paths"].items()
        if item.get("get", {}).get("security") == []
    }
    assert {"/health", "/ready", "/docs", "/docs/{file}", "/openapi.yaml"} <= free
    assert "/metrics" not in free
