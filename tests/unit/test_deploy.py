"""The files of deploy/: as their programs read them, and as the service is.

`make deploy` checks them by those programs too, where they are present.
"""

import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.config import Settings
from app.observability.metrics import HTTP_IN_FLIGHT
from tests.service import ROOT
from tests.unit.test_containers import COMPOSE

FOLDER = ROOT / "deploy"
FLEET = yaml.safe_load((FOLDER / "compose.fleet.yml").read_text())
SERVICES = FLEET["services"]
PROXY = (FOLDER / "haproxy.cfg").read_text()
FILES = {
    path.name: yaml.safe_load(path.read_text())
    for path in sorted((FOLDER / "kubernetes").glob("*.yaml"))
}
KUSTOMIZATION = FILES.pop("kustomization.yaml")
NAMES = {name.upper() for name in Settings.model_fields}
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "no_proxy"}

LONGEST_S = Settings.from_env({"OPENAI_API_KEY": "sk-x", "QDRANT_HOST": "q"}).graceful_timeout
OLDEST, NEWEST = "1.27", kubernetes_validate.latest_version()


def of_kind(kind: str) -> Any:
    [found] = [content for content in FILES.values() if content["kind"] == kind]
    return found


DEPLOYMENT = of_kind("Deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
LABELS = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]


class TestKubernetes:
    @pytest.mark.parametrize("version", [OLDEST, NEWEST])
    @pytest.mark.parametrize("name", FILES)
    def test_knows_each_field(self, name: str, version: str) -> None:
        assert version.startswith(kubernetes_validate.validate(FILES[name], version, strict=True))

    def test_is_given_all_files_but_the_template_of_the_secret(self) -> None:
        assert {*KUSTOMIZATION["resources"]} == {*FILES} - {"secret.example.yaml"}

    def test_is_given_no_secret(self) -> None:
        assert not any(of_kind("Secret")["stringData"].values())

    def test_settings_are_known_ones(self) -> None:
        own = {one["name"] for one in CONTAINER["env"]}
        given = {*of_kind("ConfigMap")["data"], *of_kind("Secret")["stringData"]}
        assert given | own <= NAMES
        assert not given & own

    def test_settings_fit_together(self) -> None:
        secret = {"ADMIN_API_KEY": "k" * 32, "DATABASE_URL": "postgresql://u:p@h:5432/n"}
        settings = Settings.from_env({**of_kind("ConfigMap")["data"], **secret})
        assert settings.on_cluster
        assert (len(settings.qdrant_addresses), settings.qdrant_copies) == (3, 3)

    def test_probes_ask_what_is_meant_for_them(self) -> None:
        probes = {name: CONTAINER[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
        paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
        assert paths == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
        assert {probe["httpGet"]["port"] for probe in probes.values()} == {"http"}
        assert probes["readiness"]["timeoutSeconds"] > 2  # as long as it takes by itself

    def test_waits_for_the_longest_request_at_a_stop(self) -> None:
        before = float(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
        assert POD["terminationGracePeriodSeconds"] > LONGEST_S + before

    def test_scales_by_a_metric_that_there_is(self) -> None:
        autoscaler = of_kind("HorizontalPodAutoscaler")["spec"]
        metrics = [one["pods"]["metric"]["name"] for one in autoscaler["metrics"] if "pods" in one]
        assert metrics == [family.name for family in HTTP_IN_FLIGHT.collect()]
        assert autoscaler["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
        assert "replicas" not in DEPLOYMENT["spec"]  # or an upgrade would undo the scaling

    @pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy"])
    def test_all_are_about_the_pods_of_the_deployment(self, kind: str) -> None:
        spec = of_kind(kind)["spec"]
        selector = spec.get("selector") or spec["podSelector"]
        assert selector.get("matchLabels", selector) == LABELS

    def test_lets_it_write_to_two_folders_and_be_nobody_special(self) -> None:
        rights = CONTAINER["securityContext"]
        assert rights["readOnlyRootFilesystem"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert not rights["allowPrivilegeEscalation"]
        assert f"--uid {POD['securityContext']['runAsUser']} " in (ROOT / "Dockerfile").read_text()
        assert {one["mountPath"] for one in CONTAINER["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108

    def test_takes_no_variables_of_services_for_settings(self) -> None:
        assert POD["enableServiceLinks"] is False


class TestCompose:
    ENVIRONMENT = SERVICES["mem0"]["environment"]

    def test_images_are_those_of_the_other_compose_file(self) -> None:
        for name in ("mem0", "qdrant-0", "qdrant-1", "qdrant-2"):
            kind = name.partition("-")[0]
            assert SERVICES[name]["image"] == COMPOSE["services"][kind]["image"]
        assert CONTAINER["image"] == SERVICES["mem0"]["image"]
        assert (FOLDER / SERVICES["mem0"]["build"]).resolve() == ROOT

    def test_settings_are_known_ones(self) -> None:
        assert {*self.ENVIRONMENT} - PROXIES <= NAMES

    def test_settings_fit_together(self) -> None:
        given = {"ADMIN_API_KEY": "k" * 32, "POSTGRES_PASSWORD": "p"}
        filled = {
            name: re.sub(
                r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda m: given.get(m[1]) or m[2], template
            )
            for name, template in self.ENVIRONMENT.items()
            if name not in PROXIES
        }
        settings = Settings.from_env(filled)
        hosts = [re.sub(r"http://(.*):6333", r"\1", url) for url in settings.qdrant_addresses]
        assert hosts == [name for name in SERVICES if name.startswith("qdrant-")]
        assert settings.qdrant_copies == 3

    def test_asks_for_the_secrets_that_it_needs(self) -> None:
        assert "${ADMIN_API_KEY:?" in self.ENVIRONMENT["ADMIN_API_KEY"]
        assert "${POSTGRES_PASSWORD:?" in SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]

    def test_publishes_the_proxy_alone_and_here_alone(self) -> None:
        published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
        assert published == {"proxy": ["${BIND:-127.0.0.1}:${PORT:-8000}:8000"]}

    def test_waits_for_the_longest_request_at_a_stop(self) -> None:
        [grace] = re.findall(r"^(\d+)s$", SERVICES["mem0"]["stop_grace_period"])
        assert int(grace) > LONGEST_S

    def test_nodes_have_data_of_their_own_and_join_the_first(self) -> None:
        nodes = {name: one for name, one in SERVICES.items() if name.startswith("qdrant-")}
        assert [one["volumes"] for one in nodes.values()] == [
            [f"{name}:/qdrant/storage"] for name in nodes
        ]
        for name, node in nodes.items():
            assert node["command"][-2:] == ["--uri", f"http://{name}:6335"]
            assert ("--bootstrap" in node["command"]) == (name != "qdrant-0")
            assert node["environment"]["QDRANT__CLUSTER__ENABLED"] == "true"


class TestProxy:
    def test_waits_for_the_longest_request(self) -> None:
        [seconds] = re.findall(r"timeout server (\d+)s", PROXY)
        assert int(seconds) > LONGEST_S

    def test_sends_to_as_many_processes_as_there_are_and_to_those_that_are_ready(self) -> None:
        assert f"server-template mem0- {SERVICES['mem0']['scale']} mem0:8000" in PROXY
        assert "uri /ready " in PROXY

    def test_writes_nothing_twice(self) -> None:
        assert re.findall(r"retry-on (.*)", PROXY) == ["conn-failure"]

    def test_refuses_as_the_service_does(self) -> None:
        [body] = re.findall(r"string '(.*?)'", PROXY)
        problem = json.loads(body)
        assert {*problem} == {"type", "title", "status", "detail", "code"}
        assert problem["code"] in (ROOT / "openapi.yaml").read_text()
