"""What every answer has, and what happens outside the nine routes."""

import re
import socket

import pytest

from app.config import VERSION
from tests.service import ONCE, Service

ROUTES = ["add", "get_all", "get", "search", "update", "history", "delete", "delete_all", "reset"]


def test_health_answers(service: Service) -> None:
    assert service.http.get("/health").json() == {"status": "ok", "version": VERSION}


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/memory/add"])
def test_every_answer_has_a_request_id(service: Service, path: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", service.http.get(path).headers["X-Request-ID"])


def test_a_sane_request_id_is_kept_in_answer_problem_and_log(service: Service) -> None:
    response = service.post("get", {}, headers={"X-Request-ID": "trace-42.a"})
    assert response.headers["X-Request-ID"] == "trace-42.a"
    assert response.json()["request_id"] == "trace-42.a"
    assert "[trace-42.a] app.api: POST /memory/get 400" in service.log.read_text()


@pytest.mark.parametrize("given", ["x" * 129, "a b", "a;b", "é"])
def test_another_one_is_replaced(service: Service, given: str) -> None:
    response = service.http.get("/health", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


@pytest.mark.parametrize("route", ROUTES)
def test_a_wrong_method_is_405_and_names_the_right_one(service: Service, route: str) -> None:
    response = service.http.get(f"/memory/{route}")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_declared_json_is_415(
    service: Service, route: str, content_type: str
) -> None:
    response = service.post(route, content=b'{"x":1}', headers={"Content-Type": content_type})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(service: Service, user: str, chunked: bool) -> None:
    body = b'{"data":"' + b"x" * 1024 * 1024 + b'"}'
    content = iter([body]) if chunked else body
    headers = {"Content-Type": "application/json"}
    # On a connection of its own: the service closes one whose body it did not read.
    response = ONCE.post(f"{service.url}/memory/add", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")


def test_an_unknown_address_is_404_in_the_one_shape(service: Service) -> None:
    response = service.post("nowhere")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_body_cut_off_leaves_the_service_well(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(
            b"POST /memory/add HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"data":'
        )
    assert service.http.get("/health").status_code == 200


def test_no_text_of_a_user_reaches_the_log(service: Service, user: str) -> None:
    text = "my-very-private-sentence"
    memory_id = service.ask("add", data=text, user_id=user, metadata={"k": text})["result"]
    service.ask("search", query=text, user_id=user)
    service.ask("update", memory_id=memory_id, data=f"{text} again")
    service.post("add", {"data": text, "user_id": user, text: 1})
    service.post(text)
    service.ask("delete_all", user_id=user)
    log = service.log.read_text()
    assert "POST /memory/search 200" in log
    assert text not in log
    assert user not in log
