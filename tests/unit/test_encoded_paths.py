"""How a name with a slash in it gets through WSGI, which decodes paths before anyone sees them."""

import re
from typing import Any

import pytest
from flask import Flask

from app.api.dialect import paths


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    paths.init_app(app, re.compile(r"/v2(/|$)"))
    app.add_url_rule(
        "/v2/<segment:kind>/<segment:name>/", view_func=lambda kind, name: [kind, name]
    )
    app.add_url_rule("/plain/<name>", view_func=lambda name: name, endpoint="plain")
    return app


def named(app: Flask, path: str, **environ: str) -> Any:
    response = app.test_client().get(path, environ_overrides=environ)
    return response.get_json() if response.is_json else response.text


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("/v2/user/a/", "a"),
        ("/v2/user/a%2Fb/", "a/b"),
        ("/v2/user/a%2fb/", "a/b"),
        ("/v2/user/50%25/", "50%"),
        ("/v2/user/a%252Fb/", "a%2Fb"),
        ("/v2/user/%C3%BC/", "\u00fc"),
        ("/v2/user/a%2Fb/?x=%2F", "a/b"),
        ("/v2//user/a%2F%2Fb//", "a//b"),
    ],
)
def test_names_come_as_they_were_meant(app: Flask, sent: str, name: str) -> None:
    assert named(app, sent, RAW_URI=sent) == ["user", name]


def test_what_a_proxy_decoded_is_not_decoded_again(app: Flask) -> None:
    # It sent a prefix along, so that what was sent is not this path.
    sent = "/v2/user/a%2541/"
    assert named(app, sent, RAW_URI=f"/prefix{sent}") == ["user", "a%41"]


def test_other_paths_are_left_alone(app: Flask) -> None:
    assert named(app, "/plain/50%25", RAW_URI="/plain/50%25") == "50%"
