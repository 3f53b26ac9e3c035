"""The published clients, each with the same few calls, so that one test can be run with all.

`lacks` names the calls that a client does not have. What a client raises, or says on its standard
error, comes as Refused.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

os.environ["MEM0_TELEMETRY"] = "false"  # spelt as each client reads it, before mem0 is imported

import httpx
from mem0 import AsyncMemoryClient, MemoryClient
from mem0.exceptions import MemoryError as Mem0Error

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
CALL_S = 60


class Refused(Exception):
    """What a client made of an answer that is a failure."""


class Client:
    """One client, for one host and key."""

    lacks: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, host: str, key: str) -> None:
        self.host = host
        self.key = key

    def add(self, text: str, user: str) -> str:
        """The id of the new memory."""
        raise NotImplementedError

    def search(self, query: str, user: str, threshold: float) -> list[str]:
        raise NotImplementedError

    def listed(self, user: str) -> list[str]:
        raise NotImplementedError

    def get(self, memory_id: str) -> str:
        raise NotImplementedError

    def update(self, memory_id: str, text: str) -> None:
        raise NotImplementedError

    def history(self, memory_id: str) -> list[str]:
        raise NotImplementedError

    def delete(self, memory_id: str) -> None:
        raise NotImplementedError

    def delete_all(self, user: str) -> None:
        raise NotImplementedError

    def users(self) -> list[str]:
        raise NotImplementedError


class Python(Client):
    """mem0ai's MemoryClient."""

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            with httpx.Client(timeout=CALL_S) as http:  # its own stays open where a key is wrong
                client = MemoryClient(api_key=self.key, host=self.host, client=http)
                return getattr(client, name)(*args, **options)
        except (Mem0Error, ValueError) as error:  # ValueError while it is made
            raise Refused(str(error)) from error

    def add(self, text: str, user: str) -> str:
        added: str = self._call("add", text, user_id=user)["results"][0]["id"]
        return added

    def search(self, query: str, user: str, threshold: float) -> list[str]:
        filters = {"user_id": user}
        return _texts(self._call("search", query, filters=filters, threshold=threshold)["results"])

    def listed(self, user: str) -> list[str]:
        return _texts(self._call("get_all", filters={"user_id": user})["results"])

    def get(self, memory_id: str) -> str:
        return _text(self._call("get", memory_id))

    def update(self, memory_id: str, text: str) -> None:
        self._call("update", memory_id, text=text)

    def history(self, memory_id: str) -> list[str]:
        return [row["event"] for row in self._call("history", memory_id)]

    def delete(self, memory_id: str) -> None:
        self._call("delete", memory_id)

    def delete_all(self, user: str) -> None:
        self._call("delete_all", user_id=user)

    def users(self) -> list[str]:
        return [one["name"] for one in self._call("users")["results"]]


class AsyncPython(Python):
    """mem0ai's AsyncMemoryClient, whose ping has two slashes where the host ends with one."""

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        async def call() -> Any:
            client = AsyncMemoryClient(api_key=self.key, host=f"{self.host}/")
            async with client.async_client:
                method: Callable[..., Coroutine[Any, Any, Any]] = getattr(client, name)
                return await method(*args, **options)

        try:
            return asyncio.run(call())
        except (Mem0Error, ValueError) as error:
            raise Refused(str(error)) from error


class JavaScript(Client):
    """mem0ai for Node."""

    package = "mem0ai"

    def _call(self, method: str, *args: Any) -> Any:
        given = [json.dumps(arg) for arg in args]
        return _answer("sdk.mjs", self.package, self.host, self.key, method, *given)

    def add(self, text: str, user: str) -> str:
        messages = [{"role": "user", "content": text}]
        added: str = self._call("add", messages, {"userId": user})["results"][0]["id"]
        return added

    def search(self, query: str, user: str, threshold: float) -> list[str]:
        options = {"filters": {"user_id": user}, "threshold": threshold}
        return _texts(self._call("search", query, options)["results"])

    def listed(self, user: str) -> list[str]:
        return _texts(self._call("getAll", {"filters": {"user_id": user}})["results"])

    def get(self, memory_id: str) -> str:
        return _text(self._call("get", memory_id))

    def update(self, memory_id: str, text: str) -> None:
        self._call("update", memory_id, {"text": text})

    def history(self, memory_id: str) -> list[str]:
        return [row["event"] for row in self._call("history", memory_id)]

    def delete(self, memory_id: str) -> None:
        self._call("delete", memory_id)

    def delete_all(self, user: str) -> None:
        self._call("deleteAll", {"userId": user})

    def users(self) -> list[str]:
        return [one["name"] for one in self._call("users")["results"]]


class OldJavaScript(JavaScript):
    """mem0ai 2 for Node, which LangChain.js, Flowise and Mastra bring: bare lists."""

    package = "mem0ai-2"

    def add(self, text: str, user: str) -> str:
        added = self._call("add", [{"role": "user", "content": text}], {"user_id": user})
        memories = added["results"] if isinstance(added, dict) else added
        memory_id: str = memories[0]["id"]
        return memory_id

    def search(self, query: str, user: str, threshold: float) -> list[str]:
        return _texts(self._call("search", query, {"user_id": user, "threshold": threshold}))

    def listed(self, user: str) -> list[str]:
        return _texts(self._call("getAll", {"user_id": user}))

    def delete_all(self, user: str) -> None:
        self._call("deleteAll", {"user_id": user})


class Cli(Client):
    """mem0's command line."""

    lacks = frozenset({"history"})

    def _call(self, *command: str, agent: bool = True) -> Any:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": mkdtemp(prefix="mem0-cli-"),
            "MEM0_API_KEY": self.key,
            "MEM0_BASE_URL": self.host,
            "MEM0_TELEMETRY": "false",
        }
        program = MODULES / "@mem0/cli/dist/index.js"
        done = _run(["node", program, "--json", *command], environ)
        if done.returncode:
            raise Refused(done.stdout + done.stderr)
        return json.loads(done.stdout)["data"]

    def add(self, text: str, user: str) -> str:
        added: str = self._call("add", text, "--user-id", user)[0]["id"]
        return added

    def search(self, query: str, user: str, threshold: float) -> list[str]:
        given = ("--user-id", user, "--threshold", str(threshold))
        return _texts(self._call("search", query, *given))

    def listed(self, user: str) -> list[str]:
        return _texts(self._call("list", "--user-id", user))

    def get(self, memory_id: str) -> str:
        return _text(self._call("get", memory_id))

    def update(self, memory_id: str, text: str) -> None:
        self._call("update", memory_id, text)

    def delete(self, memory_id: str) -> None:
        self._call("delete", memory_id, "--force")

    def delete_all(self, user: str) -> None:
        self._call("delete", "--all", "--user-id", user, "--force")

    def users(self) -> list[str]:
        return [one["name"] for one in self._call("entity", "list", "users")]


class N8n(Client):
    """The n8n node."""

    lacks = frozenset({"history", "delete_all", "users"})

    def _call(self, operation: str, **parameters: Any) -> Any:
        given = json.dumps({"operation": operation, **parameters})
        return _answer("n8n.cjs", self.host, self.key, given)

    def add(self, text: str, user: str) -> str:
        messages = {"message": [{"role": "user", "content": text}]}
        added: str = self._call("add", messages=messages, userId=user)[0]["id"]
        return added

    def search(self, query: str, user: str, threshold: float) -> list[str]:
        return _texts(self._call("search", query=query, userId=user))  # it knows no threshold

    def listed(self, user: str) -> list[str]:
        return _texts(self._call("getAll", userId=user, returnAll=True, pageSize=1))

    def get(self, memory_id: str) -> str:
        return _text(self._call("get", memoryId=memory_id)[0])

    def update(self, memory_id: str, text: str) -> None:
        self._call("update", memoryId=memory_id, text=text)

    def delete(self, memory_id: str) -> None:
        self._call("delete", memoryId=memory_id)


class Vercel(Client):
    """The provider for Vercel's AI SDK, as far as it speaks to mem0."""

    lacks = frozenset({"listed", "get", "update", "history", "delete", "delete_all", "users"})

    def _call(self, method: str, *args: Any) -> Any:
        return _answer("vercel.mjs", self.host, self.key, method, *map(json.dumps, args))

    def add(self, text: str, user: str) -> str:
        added: str = self._call("addMemories", text, {"user_id": user})["results"][0]["id"]
        return added

    def search(self, query: str, user: str, threshold: float) -> list[str]:
        return _texts(self._call("getMemories", query, {"user_id": user, "threshold": threshold}))


CLIENTS: dict[str, type[Client]] = {
    "python": Python,
    "python, async": AsyncPython,
    "javascript": JavaScript,
    "javascript 2": OldJavaScript,
    "cli": Cli,
    "n8n": N8n,
    "vercel": Vercel,
}


def _answer(script: str, *args: str) -> Any:
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "MEM0_TELEMETRY": "false"}
    done = _run(["node", HERE / script, *args], environ)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["value"]


def _run(command: list[Any], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environ,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=CALL_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _text(memory: dict[str, Any]) -> str:
    text: str = memory["memory"]
    return text


def _texts(memories: list[dict[str, Any]]) -> list[str]:
    return sorted(map(_text, memories))
