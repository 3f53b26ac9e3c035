"""docs/grafana.json and docs/alerts.yml use what /metrics gives, and Prometheus can read them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.metrics import names
from tests.servers.openai import OpenAIServer
from tests.servers.qdrant import QdrantServer
from tests.service import ROOT, Service, wait_for

DASHBOARD = ROOT / "docs" / "grafana.json"
ALERTS = ROOT / "docs" / "alerts.yml"
NAME = re.compile(r"\bmemory_service_\w+")
PANELS = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if "targets" in panel]
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
BESIDE_PYTHON = str(Path(sys.executable).parent)  # where `make promtool` puts it
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=BESIDE_PYTHON)
without_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus has it)"
)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """The names that a service gives which has done a little of everything."""
    folder = tmp_path_factory.mktemp("names")
    with OpenAIServer(dimensions=64) as openai, QdrantServer() as qdrant:
        settings = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{openai.url}/v1"}
        with Service(folder / "data", QDRANT_URL=qdrant.url, **settings) as service:
            wait_for(lambda: service.http.get("/ready").json()["status"] == "ok")
            service.ask("add", data="I hike", user_id="a")
            yield names(service)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_what_there_is(
    panel: dict[str, list[dict[str, str]]], given: set[str]
) -> None:
    for target in panel["targets"]:
        used = set(NAME.findall(target["expr"]))
        assert used <= given
        assert used or "up{" in target["expr"]


def test_every_metric_of_the_service_is_on_the_dashboard(given: set[str]) -> None:
    shown = set(NAME.findall(DASHBOARD.read_text()))
    ours = {name for name in given if not name.startswith("memory_service_process_")}
    suffixes = ("_bucket", "_count", "_sum")
    families = {re.sub(f"({'|'.join(suffixes)})$", "", name) for name in ours}
    assert families == {
        re.sub(f"({'|'.join(suffixes)})$", "", name)
        for name in shown
        if not name.startswith("memory_service_process_")
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(
    rule: dict[str, str | dict[str, str]], given: set[str]
) -> None:
    text = json.dumps(rule)
    assert set(NAME.findall(text)) <= given
    annotations = rule["annotations"]
    assert isinstance(annotations, dict)
    assert annotations.keys() == {"summary", "action"}


@without_promtool
def test_promtool_finds_nothing_wrong_with_the_alerts() -> None:
    done = promtool("check", "rules", ALERTS)
    assert "5 rules found" in done.stdout


@without_promtool
def test_each_alert_fires_when_it_should_and_none_when_all_is_well() -> None:
    tests = ROOT / "tests" / "data" / "alerts_test.yml"
    assert all(f'{{alertname="{rule["alert"]}"' in tests.read_text() for rule in RULES)
    promtool("test", "rules", tests)


@without_promtool
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_query_of_the_dashboard_is_one(
    panel: dict[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    """As a recording rule, which promtool reads: it has no other way to check a query."""
    queries = [
        target["expr"].replace("$__rate_interval", "5m").replace("$", "")
        for target in panel["targets"]
    ]
    rules = [{"record": f"query:number{n}", "expr": expr} for n, expr in enumerate(queries)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done
