"""One version: the code's. Everything else that shows one shows that."""

import os
import re
import subprocess
import tomllib

import yaml

from app.config import VERSION
from tests.openapi import CONTRACT
from tests.service import ROOT, Service


def test_the_package_takes_it_from_the_code() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in package["project"]
    assert package["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "app.config.VERSION"}


def test_the_contract_says_it() -> None:
    assert CONTRACT["info"]["version"] == VERSION


def test_the_label_of_the_image_says_it() -> None:
    label = r'org\.opencontainers\.image\.version="(.*?)"'
    assert re.findall(label, (ROOT / "Dockerfile").read_text()) == [VERSION]


def test_the_newest_one_of_the_changelog_is_it() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == VERSION


def test_the_running_service_says_it_to_whoever_asks_and_in_its_log(service: Service) -> None:
    assert service.http.get("/health").json() == {"status": "ok", "version": VERSION}
    assert f" app: ready: version {VERSION}, " in service.log.read_text()


def test_a_release_of_another_version_than_its_tag_ends_before_anything_is_built() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["image"]
    first, check = steps["steps"][:2]
    assert first["uses"].startswith("actions/checkout@")
    assert run(check["run"], f"v{VERSION}") == 0
    assert run(check["run"], "v0.0.9") != 0


def run(command: str, tag: str) -> int:
    environ = {"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag}
    return subprocess.run(["bash", "-ec", command], cwd=ROOT, env=environ, check=False).returncode
