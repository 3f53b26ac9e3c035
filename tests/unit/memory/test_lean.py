"""What an import of the memory leaves out, in processes of their own."""

import subprocess
import sys

from tests.service import ROOT


def run(script: str) -> str:
    command = [sys.executable, "-W", "error", "-c", script]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_mem0_comes_without_qdrant_client_posthog_and_psycopg() -> None:
    names = "{'mem0', 'qdrant_client', 'posthog', 'psycopg'}"
    assert run(f"import sys, app.memory; print({{*sys.modules}} & {names})") == "{'mem0'}\n"


def test_a_qdrant_server_still_gets_the_real_one() -> None:
    script = (
        "import app.storage.vectors.server.connection as server, qdrant_client; "
        "print(server.QdrantClient is qdrant_client.QdrantClient, qdrant_client.__file__ != None)"
    )
    assert run(script) == "True True\n"


def test_one_that_is_imported_already_is_left_alone() -> None:
    script = (
        "import qdrant_client, app.memory, sys; from mem0.configs.vector_stores import qdrant; "
        "print(sys.modules['qdrant_client'] is qdrant_client, "
        "qdrant.QdrantConfig.QdrantClient is qdrant_client.QdrantClient)"
    )
    assert run(script) == "True True\n"


def test_openai_comes_with_its_first_call_and_not_with_the_start() -> None:
    script = (
        "import sys, app.providers.openai.client as client; client.Client('http://a', 'k'); "
        "print({*sys.modules} & {'openai', 'httpx2'})"
    )
    assert run(script) == "set()\n"
