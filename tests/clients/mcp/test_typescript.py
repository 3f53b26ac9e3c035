"""The main job by MCP's official TypeScript SDKs: version 1, which begins with `initialize`, and
version 2, in both eras. `make clients` installs them."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.security.keys import Keys, new_key_id
from app.security.principal import Principal
from tests.service import ADMIN_KEY, Service

HERE = Path(__file__).parent
SDKS = [("sdk", "legacy"), ("client", "legacy"), ("client", "auto")]

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and (HERE / "node_modules").is_dir()),
    reason="node or node_modules is not there: `make clients` installs them",
)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for keys."""
    data_dir = tmp_path_factory.mktemp("locked") / "data"
    with Service(data_dir, ADMIN_API_KEY=ADMIN_KEY) as running:
        yield running


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("opened") / "data") as running:
        yield running


def found(service: Service, sdk: tuple[str, str], key: str = "") -> dict[str, Any]:
    command = ["node", HERE / "main_job.mjs", f"{service.url}/mcp", *sdk, key]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def bound(*, read_only: bool = False) -> str:
    principal = Principal(new_key_id(), {"user_id": "typescript"}, read_only)
    return Keys(ADMIN_KEY).mint(principal, time.time() + 3600)


@pytest.mark.parametrize("sdk", SDKS, ids=str)
class TestEachSdk:
    def test_without_a_key_does_the_main_job(self, opened: Service, sdk: tuple[str, str]) -> None:
        answer = found(opened, sdk)
        assert len(answer.pop("tools")) == 9
        assert len(answer.pop("writing")) == 5
        job = {"added": ["I love hiking"], "found": ["I love hiking"], "left": 0}
        assert answer == {"user_id": 5, **job}

    def test_with_the_admins_key_and_a_bound_one_does_it_too(
        self, locked: Service, sdk: tuple[str, str]
    ) -> None:
        for key, named in ((ADMIN_KEY, 5), (bound(), 0)):
            answer = found(locked, sdk, key)
            assert (answer["added"], answer["left"]) == (["I love hiking"], 0)
            assert answer["user_id"] == named

    def test_with_a_read_only_key_sees_reading_tools_and_adds_nothing(
        self, locked: Service, sdk: tuple[str, str]
    ) -> None:
        answer = found(locked, sdk, bound(read_only=True))
        assert (len(answer["tools"]), answer["writing"]) == (4, [])
        assert answer["added"] == "This key is read-only."
        assert (answer["found"], answer["left"]) == ([], 0)

    def test_without_a_good_key_does_not_connect(
        self, locked: Service, sdk: tuple[str, str]
    ) -> None:
        answer = found(locked, sdk, "garbage")
        assert [*answer] == ["error"]
