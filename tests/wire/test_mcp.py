"""MCP at /mcp: by the protocol's own client in both eras, and message by message."""

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from app.security.keys import Keys, new_key_id
from app.security.principal import Principal
from tests.service import ADMIN_KEY, Service

READING = ["search_memories", "get_memories", "get_memory", "list_entities"]
TOOLS = [
    *("add_memory", "search_memories", "get_memories", "get_memory", "update_memory"),
    *("delete_memory", "delete_all_memories", "list_entities", "delete_entities"),
]
VERSION = "2026-07-28"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
META = {VERSION_KEY: VERSION, "io.modelcontextprotocol/clientCapabilities": {}}
SUPPORTED = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]

# The same in each process of the tests.
NOBODYS = "6dc21140-8a4b-4443-a951-25a7ac90217b"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for keys."""
    data_dir = tmp_path_factory.mktemp("locked") / "data"
    with Service(data_dir, ADMIN_API_KEY=ADMIN_KEY) as running:
        running.http.headers["X-API-Key"] = ADMIN_KEY
        yield running


@pytest.fixture(scope="module")
def minted() -> Callable[..., str]:
    """A key that is bound to an id, or to several."""
    keys = Keys(ADMIN_KEY)

    def mint(*, read_only: bool = False, **scope: str) -> str:
        return keys.mint(Principal(new_key_id(), scope, read_only), time.time() + 3600)

    return mint


@pytest.fixture
def user() -> str:
    return f"user-{uuid.uuid4()}"


def by_client(
    service: Service,
    key: str,
    mode: str,
    work: Callable[[Client], Coroutine[Any, Any, Any]],
) -> Any:
    """What `work` gives with a connected client of the `mcp` package."""

    async def run() -> Any:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http,
            Client(streamable_http_client(f"{service.url}/mcp", http_client=http), mode=mode) as it,
        ):
            return await work(it)

    with ThreadPoolExecutor(1) as thread:  # another may have the loop of a browser
        return thread.submit(asyncio.run, run()).result()


def post(
    service: Service, method: str, params: Any = None, key: str = ADMIN_KEY, **headers: str
) -> httpx.Response:
    """A request as hosts of the era of `initialize` send it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return service.http.post("/mcp", json=body, headers={"X-API-Key": key, **headers})


def result(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 1)
    return answer["result"]


def call(service: Service, name: str, key: str = ADMIN_KEY, **arguments: Any) -> Any:
    """What a tool answers; a failure as a text."""
    called = result(post(service, "tools/call", {"name": name, "arguments": arguments}, key))
    (content,) = called["content"]
    return content["text"] if called["isError"] else called["structuredContent"]


@pytest.mark.parametrize(("mode", "version"), [("auto", VERSION), ("legacy", "2025-11-25")])
class TestTheOfficialClient:
    def test_does_the_main_job(self, locked: Service, mode: str, version: str, user: str) -> None:
        async def work(client: Client) -> None:
            assert client.protocol_version == version
            whose = {"user_id": user}

            async def call(name: str, **arguments: Any) -> Any:
                answer = await client.call_tool(name, arguments)
                assert not answer.is_error, answer
                return answer.structured_content

            added = await call("add_memory", text="I love hiking", **whose)
            (one,) = added["results"]
            assert one["memory"] == "I love hiking"
            (found,) = (await call("search_memories", query="hiking", **whose))["results"]
            assert found["id"] == one["id"]
            await call("update_memory", memory_id=one["id"], text="I love skiing")
            assert (await call("get_memory", memory_id=one["id"]))["memory"] == "I love skiing"
            assert (await call("get_memories", **whose))["count"] == 1
            entities = (await call("list_entities"))["results"]
            assert {"type": "user", "id": user, "total_memories": 1} in entities
            await call("delete_memory", memory_id=one["id"])
            await call("add_memory", messages=[{"role": "user", "content": "tea"}], **whose)
            assert (await call("delete_all_memories", **whose))["deleted"] == 1
            assert (await call("delete_entities", **whose))["deleted"] == 0

        by_client(locked, ADMIN_KEY, mode, work)

    def test_is_told_what_was_wrong(self, locked: Service, mode: str, version: str) -> None:
        async def work(client: Client) -> None:
            answer = await client.call_tool("get_memory", {"memory_id": "nonsense"})
            assert answer.is_error
            assert "memory_id: must be a UUID" in answer.content[0].text  # type: ignore[union-attr]

        by_client(locked, ADMIN_KEY, mode, work)

    @pytest.mark.parametrize("read_only", [False, True])
    def test_sees_the_tools_of_its_key(
        self,
        locked: Service,
        minted: Callable[..., str],
        mode: str,
        version: str,
        read_only: bool,
    ) -> None:
        async def work(client: Client) -> Any:
            return (await client.list_tools()).tools

        key = minted(user_id="alice", read_only=read_only)
        tools = by_client(locked, key, mode, work)
        assert [tool.name for tool in tools] == (READING if read_only else TOOLS)
        assert not [tool.name for tool in tools if "user_id" in tool.input_schema["properties"]]
        assert "run_id" in tools[0].input_schema["properties"]
        for tool in tools:
            assert tool.annotations
            assert tool.annotations.read_only_hint == (tool.name in READING)
            destroys = tool.name not in (*READING, "add_memory")
            assert bool(tool.annotations.destructive_hint) == destroys


def test_the_admin_gives_every_id(locked: Service) -> None:
    tools = result(post(locked, "tools/list"))["tools"]
    assert [tool["name"] for tool in tools] == TOOLS
    scoped = {tool["name"] for tool in tools if "user_id" in tool["inputSchema"]["properties"]}
    assert scoped == {
        *("add_memory", "search_memories", "get_memories"),
        *("delete_all_memories", "delete_entities"),
    }


STRANGERS = {"no key": "", "garbage": "garbage", "expired": "expired"}


@pytest.mark.parametrize("caller", STRANGERS)
def test_without_a_good_key_it_is_401_and_says_how_to_come_back(
    locked: Service, caller: str
) -> None:
    given = Keys(ADMIN_KEY).mint(Principal("00000000", {"user_id": "a"}), 1.0)
    key = given if caller == "expired" else STRANGERS[caller]
    for method in ("initialize", "server/discover", "tools/list", "tools/call"):
        response = post(locked, method, key=key)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


# tool -> arguments about alice's memory, who may: of other's, read-only, own
MATRIX: dict[str, tuple[dict[str, Any], tuple[bool, bool, bool]]] = {
    "add_memory": ({"text": "more tea", "user_id": "alice"}, (False, False, True)),
    "search_memories": ({"query": "tea", "user_id": "alice"}, (False, True, True)),
    "get_memories": ({"filters": {"user_id": "alice"}}, (False, True, True)),
    "get_memory": ({"memory_id": "<hers>"}, (False, True, True)),
    "update_memory": ({"memory_id": "<hers>", "text": "coffee"}, (False, False, True)),
    "delete_memory": ({"memory_id": "<hers>"}, (False, False, True)),
    "delete_all_memories": ({"user_id": "alice"}, (False, False, True)),
    "delete_entities": ({"user_id": "alice"}, (False, False, True)),
}


@pytest.mark.parametrize("tool", MATRIX)
@pytest.mark.parametrize(("place", "caller"), [(0, "other user's"), (1, "read-only"), (2, "own")])
def test_the_matrix_of_keys(
    locked: Service, minted: Callable[..., str], tool: str, place: int, caller: str
) -> None:
    locked.ask("reset")
    hers = locked.ask("add", data="tea of alice", user_id="alice")["result"]
    before = locked.ask("get_all"), locked.ask("history", memory_id=hers)
    key = minted(
        user_id="bob" if caller == "other user's" else "alice", read_only=caller == "read-only"
    )
    arguments, may = MATRIX[tool]
    given = {name: hers if value == "<hers>" else value for name, value in arguments.items()}
    answer = call(locked, tool, key, **given)
    assert isinstance(answer, str) != may[place]
    if not may[place]:
        assert any(word in answer for word in ("bound to another", "no memory", "read-only"))
        assert before == (locked.ask("get_all"), locked.ask("history", memory_id=hers))


def test_a_bound_key_holds_around_whatever_filters_say(
    locked: Service, minted: Callable[..., str]
) -> None:
    locked.ask("reset")
    for name in ("alice", "bob"):
        locked.ask("add", data=f"tea of {name}", user_id=name)
    key = minted(user_id="alice")
    for filters in ({"OR": [{"user_id": "*"}, {"user_id": "bob"}]}, {"NOT": [{"run_id": "x"}]}, {}):
        for tool, more in (("get_memories", {}), ("search_memories", {"query": "tea"})):
            results = call(locked, tool, key, filters=filters, **more)["results"]
            assert [memory["memory"] for memory in results] == ["tea of alice"]
    assert call(locked, "list_entities", key)["results"] == [
        {"type": "user", "id": "alice", "total_memories": 1}
    ]
    assert call(locked, "delete_all_memories", key)["deleted"] == 1
    assert locked.ask("get_all")["total"] == 1


def test_an_add_by_a_bound_key_belongs_to_its_user(
    locked: Service, minted: Callable[..., str], user: str
) -> None:
    key = minted(user_id=user, app_id="shop")
    (added,) = call(locked, "add_memory", key, text="tea", run_id="r")["results"]
    memory = call(locked, "get_memory", key, memory_id=added["id"])
    assert {name: memory[name] for name in ("user_id", "app_id", "run_id")} == {
        "user_id": user,
        "app_id": "shop",
        "run_id": "r",
    }


def test_a_memory_is_told_without_nulls(locked: Service, user: str) -> None:
    (added,) = call(locked, "add_memory", text="tea", user_id=user)["results"]
    assert {*call(locked, "get_memory", memory_id=added["id"])} == {
        *("id", "memory", "user_id", "role", "created_at", "updated_at"),
    }


def test_memories_are_listed_by_pages(locked: Service, user: str) -> None:
    for number in range(5):
        locked.ask("add", data=f"note {number}", user_id=user)

    def page(number: int) -> list[str]:
        answer = call(locked, "get_memories", user_id=user, page=number, page_size=2)
        assert (answer["count"], answer["page"]) == (5, number)
        return [memory["memory"] for memory in answer["results"]]

    assert [page(number) for number in (1, 2, 3, 4)] == [
        ["note 4", "note 3"],
        ["note 2", "note 1"],
        ["note 0"],
        [],
    ]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("add_memory", {"text": "tea"}, "give at least one of user_id"),
        ("add_memory", {"user_id": "a"}, "text: give text or messages"),
        ("add_memory", {"text": " ", "user_id": "a"}, "give at least one message with words"),
        ("search_memories", {"query": "tea"}, "does not say whose"),
        ("search_memories", {"user_id": "a"}, "query: "),
        ("search_memories", {"query": "tea", "filters": {"odd": 1}}, "'odd' is not a key"),
        ("get_memories", {}, "does not say whose"),
        ("get_memories", {"user_id": "a", "page": 0}, "page: "),
        ("get_memories", {"user_id": "a", "page_size": 0}, "page_size: "),
        ("get_memories", {"user_id": "a", "page_size": "x"}, "page_size: "),
        ("get_memories", {"user_id": "a", "page_size": 1001}, "page_size: "),
        ("get_memory", {}, "memory_id: "),
        ("update_memory", {"memory_id": NOBODYS}, "give at least one"),
        ("update_memory", {"memory_id": NOBODYS, "text": "x"}, "no memory"),
        ("delete_memory", {"memory_id": NOBODYS}, "no memory"),
        ("delete_all_memories", {}, "give at least one of user_id"),
        ("delete_all_memories", {"user_id": "*"}, "nothing was deleted"),
        ("delete_all_memories", {"filters": {"user_id": "a"}}, "nothing was deleted"),
        ("delete_all_memories", {"user_id": "a", "usr": "b"}, "nothing was deleted"),
        ("delete_entities", {"user_id": None, "agent_id": "a"}, "user_id: must not be null"),
        ("delete_memory", {"memory_id": None}, "memory_id: "),
    ],
    ids=str,
)
def test_what_a_tool_cannot_do_is_told_and_changes_nothing(
    locked: Service, tool: str, arguments: dict[str, Any], said: str
) -> None:
    before = locked.ask("get_all")
    answer = call(locked, tool, **arguments)
    assert isinstance(answer, str)
    assert said in answer
    assert locked.ask("get_all") == before


class TestBeforeInitializeWasGone:
    @pytest.mark.parametrize(
        ("asked", "answered"),
        [
            *((version, version) for version in SUPPORTED[1:]),
            ("2024-11-05", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            (None, "2025-11-25"),
        ],
    )
    def test_a_version_is_agreed_on(
        self, locked: Service, asked: str | None, answered: str
    ) -> None:
        params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x"}}
        response = post(locked, "initialize", params)
        agreed = result(response)
        assert agreed["protocolVersion"] == answered
        assert agreed["capabilities"] == {"tools": {"listChanged": False}}
        assert agreed["serverInfo"]["name"] == "memory-service-api"
        assert agreed["instructions"]
        assert "Mcp-Session-Id" not in response.headers

    def test_a_ping_is_answered_with_nothing(self, locked: Service) -> None:
        assert result(post(locked, "ping")) == {}

    def test_an_unknown_method_is_answered_by_an_error_in_200(self, locked: Service) -> None:
        response = post(locked, "resources/list", **{"MCP-Protocol-Version": "2025-06-18"})
        assert (response.status_code, response.json()["error"]["code"]) == (200, -32601)

    def test_an_unknown_tool_too(self, locked: Service) -> None:
        response = post(locked, "tools/call", {"name": "no_tool"})
        assert (response.status_code, response.json()["error"]["code"]) == (200, -32602)


def modern(
    service: Service, method: str, headers: dict[str, str | None] | None = None, **params: Any
) -> httpx.Response:
    """A request of 2026-07-28; a header that is None is left out."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": META, **params}}
    sent: dict[str, str | None] = {"MCP-Protocol-Version": VERSION, "Mcp-Method": method}
    if "name" in params:
        sent["Mcp-Name"] = params["name"]
    sent |= headers or {}
    given = {name: value for name, value in sent.items() if value is not None}
    return service.http.post("/mcp", json=body, headers=given)


class TestSince20260728:
    def test_the_service_says_what_it_is(self, locked: Service) -> None:
        said = result(modern(locked, "server/discover"))
        assert said["supportedVersions"] == [VERSION]
        assert (said["ttlMs"] > 0, said["cacheScope"]) == (True, "private")
        assert said["resultType"] == "complete"
        server = said["_meta"]["io.modelcontextprotocol/serverInfo"]
        assert server["name"] == "memory-service-api"

    def test_tools_may_be_kept_for_a_while_by_that_caller_alone(self, locked: Service) -> None:
        said = result(modern(locked, "tools/list"))
        assert [tool["name"] for tool in said["tools"]] == TOOLS
        assert (said["ttlMs"] > 0, said["cacheScope"]) == (True, "private")
        assert said["resultType"] == "complete"

    @pytest.mark.parametrize(
        ("headers", "params", "code"),
        [
            ({"MCP-Protocol-Version": "2025-06-18"}, {}, None),  # of that era it means nothing
            ({"MCP-Protocol-Version": None}, {}, -32020),
            ({"MCP-Protocol-Version": "2099-01-01"}, {}, -32020),
            (
                {"MCP-Protocol-Version": "2099-01-01"},
                {"_meta": {VERSION_KEY: "2099-01-01"}},
                -32022,
            ),
            ({"MCP-Protocol-Version": "2099-01-01"}, {"_meta": {}}, -32022),
            ({"Mcp-Method": None}, {}, -32020),
            ({"Mcp-Method": "tools/call"}, {}, -32020),
            ({}, {"_meta": {}}, -32602),
            ({}, {"_meta": {VERSION_KEY: VERSION}}, -32602),
            ({}, {"_meta": 5}, -32602),
        ],
        ids=str,
    )
    def test_headers_and_body_must_agree(
        self, locked: Service, headers: dict[str, str | None], params: Any, code: int | None
    ) -> None:
        response = modern(locked, "tools/list", headers, **params)
        if code is None:
            assert result(response)["tools"]
            return
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, code)
        if code == -32022:
            assert error["data"] == {"supported": SUPPORTED, "requested": "2099-01-01"}

    @pytest.mark.parametrize("name", [None, "get_memories"])
    def test_so_must_the_name_of_a_tool(self, locked: Service, name: str | None) -> None:
        response = modern(locked, "tools/call", {"Mcp-Name": name}, name="list_entities")
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)

    @pytest.mark.parametrize("method", ["initialize", "ping", "resources/list", "no/method"])
    def test_an_unknown_method_is_404(self, locked: Service, method: str) -> None:
        response = modern(locked, method)
        assert (response.status_code, response.json()["error"]["code"]) == (404, -32601)
        assert response.json()["id"] == 1

    @pytest.mark.parametrize(
        "params",
        [{"name": "no_tool"}, {"name": "list_entities", "arguments": []}],
        ids=str,
    )
    def test_an_unknown_tool_or_a_wrong_call_is_400(self, locked: Service, params: Any) -> None:
        response = modern(locked, "tools/call", **params)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize(
    "headers", [{}, {"MCP-Protocol-Version": "2025-06-18"}, {"MCP-Protocol-Version": VERSION}]
)
@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/cancelled"])
def test_a_notification_is_202_without_a_body(
    locked: Service, headers: dict[str, str], method: str
) -> None:
    body = {"jsonrpc": "2.0", "method": method}
    response = locked.http.post("/mcp", json=body, headers=headers)
    assert (response.status_code, response.content) == (202, b"")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", -32700),
        ("[]", -32600),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
        ('"ping"', -32600),
        ("{}", -32600),
        ('{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        ('{"jsonrpc": "2.0", "id": 1}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "result": {}}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', -32600),
        ('{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        ('{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600),
        ('{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}', -32700),
    ],
)
def test_what_is_no_message_is_400(locked: Service, body: str, code: int) -> None:
    headers = {"Content-Type": "application/json"}
    response = locked.http.post("/mcp", content=body, headers=headers)
    error = response.json()
    assert (response.status_code, error["error"]["code"], error["id"]) == (400, code, None)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_no_stream_and_no_session(locked: Service, method: str) -> None:
    response = locked.http.request(method, "/mcp")
    assert response.status_code == 405
    assert {"POST", "OPTIONS"} == {*response.headers["Allow"].split(", ")}


def test_foreign_pages_are_refused(locked: Service) -> None:
    response = post(locked, "tools/list", Origin="https://evil.example")
    assert (response.status_code, response.json()["code"]) == (403, "origin_not_allowed")


def test_who_looks_for_oauth_is_told_that_there_is_none(locked: Service) -> None:
    response = locked.http.get("/.well-known/oauth-protected-resource", headers={"X-API-Key": ""})
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_without_an_admin_key_any_key_will_do(service: Service, user: str) -> None:
    (added,) = call(service, "add_memory", "whatever", text="tea", user_id=user)["results"]
    assert call(service, "get_memory", "", memory_id=added["id"])["memory"] == "tea"
