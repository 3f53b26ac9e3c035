"""Connects a command with a running service."""

import argparse
import sys
from pathlib import Path

import httpx

from app.config import Settings
from app.config.fields import in_url
from app.config.outgoing import httpx_options

EVERYWHERE = ("0.0.0.0", "::", "*")  # noqa: S104  # a service that listens there is at localhost
CONNECT_S, ANSWER_S = 10.0, 600.0  # an import may ask a model for each of its lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="the service; by default the one of these settings")
    key = parser.add_mutually_exclusive_group()
    key.add_argument(
        "--key", help="a key for it; by default ADMIN_API_KEY, where --url is not given"
    )
    key.add_argument("--key-file", type=Path, help="a file that has the key; - is standard input")


def connect(asked: argparse.Namespace) -> httpx.Client:
    """A client for the service. Raises StartupError for settings, and OSError for a key's file."""
    url, key = asked.url, asked.key or _from(asked.key_file)
    if not url:
        settings = Settings.from_env()
        host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
        url = f"http://{in_url(host)}:{settings.port}"
        # The admin key is sent only to the service of these settings, never to --url by default.
        key = key or (settings.admin_api_key and settings.admin_api_key.get_secret_value())
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    return httpx.Client(base_url=url, headers=headers, timeout=timeout, **httpx_options(url))


def problem(response: httpx.Response) -> str:
    """The code and detail of an error that the service answered."""
    try:
        told = response.json()
        return f"{told['code']}: {told['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status_code}; is this its address?"


def _from(file: Path | None) -> str | None:
    if file is None:
        return None
    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    return text.strip()
