"""The routes of memories, of all three versions."""

import uuid
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from app.api import jobs
from app.api.dialect import deleting
from app.api.dialect.adding import message
from app.api.dialect.fields import asked, change, fields, flag
from app.api.http.auth import principal, writes
from app.api.http.body import idempotency_key
from app.api.http.streaming import Answer, found, streamed, whole_or_streamed
from app.api.memory.routes import memory
from app.api.platform import requests
from app.api.platform.answers import ends_of_page, queued, results
from app.api.platform.answers import memory as shown
from app.memory.requests import AddRequest, DeleteRequest, GetRequest, HistoryRequest, UpdateRequest

bp = Blueprint("platform", __name__)
route = partial(bp.route, strict_slashes=False)

SUCCEEDED = "SUCCEEDED"


@route("/v1/ping/", methods=["GET"])
def ping() -> Answer:
    """The Python client calls it first, and needs both ids."""
    ids = {"org_id": "memory-service", "project_id": "memory-service"}
    return {"status": "ok", **ids, "user_email": None}


@route("/v3/memories/add/", methods=["POST"])
@writes
def add() -> Answer | Response:
    given = fields()
    return _add(requests.add(given), later=given.get("async_mode") is True)


@route("/v1/memories/", methods=["POST"])
@writes
def add_before_v3() -> Answer | Response:
    """`async_mode` is ignored: clients of v1 always send it, and read the stored memories from the
    answer."""
    return _add(requests.add(fields()), later=False)


def _add(sent: AddRequest, *, later: bool) -> Answer | Response:
    """`later`: the add becomes a job, where it has to wait for an LLM."""
    waits = memory().extracts and sent.infer is not False
    if jobs.is_preferred() or (later and waits):
        job = jobs.submit(sent)
        return jobs.told(job, queued(job.id))
    added = memory().add(principal(), sent, idempotency_key())
    return {
        "message": message(added, sent, memory().extracts),
        "status": SUCCEEDED,
        "event_id": str(uuid.uuid4()),
        "results": results(added.stored),
    }


@route("/v3/memories/search/", methods=["POST"])
def search() -> Any:
    return _found(fields(), bare=False)


@route("/v1/memories/search/", methods=["POST"])
@route("/v2/memories/search/", methods=["POST"])
def search_before_v3() -> Any:
    given = fields()
    return _found(given, bare=_wants_bare(given))


def _found(given: requests.Fields, *, bare: bool) -> Any:
    results = found(memory().found(principal(), requests.search(given)))
    parts = (([shown(one) for one in part], beside) for part, beside in results)
    return streamed(parts, bare=True) if bare else whole_or_streamed(parts)


@route("/v3/memories/", methods=["POST"])
def list_page() -> Any:
    return _listed(requests.listing(fields(), always_paged=True))


@route("/v1/memories/", methods=["GET"])
@route("/v2/memories/", methods=["POST"])
def list_before_v3() -> Any:
    given = request.args if request.method == "GET" else fields()
    return _listed(requests.listing(given), bare=_wants_bare(given))


def _listed(wanted: requests.Paged, *, bare: bool = False) -> Any:
    """One page with `count`, `next` and `previous`, or all memories."""
    pages = memory().listing(principal(), wanted.asked, (wanted.number or 1) - 1)
    if wanted.number is None:
        parts = (([shown(one) for one in page.memories], Answer()) for page in pages)
        return streamed(parts, bare=bare)
    number, size = wanted.number, wanted.size
    return whole_or_streamed(
        ([shown(one) for one in page.memories], ends_of_page(number, size, page.total or 0))
        for page in pages
    )


def _wants_bare(given: requests.Fields) -> bool:
    return given.get("output_format") != "v1.1"


@route("/v1/memories/<segment:memory_id>/", methods=["GET"])
def get(memory_id: str) -> Answer:
    wanted = {"memory_id": memory_id, "show_expired": flag("show_expired")}
    return shown(memory().get(principal(), asked(GetRequest, wanted)))


@route("/v1/memories/<segment:memory_id>/", methods=["PUT"])
@writes
def update(memory_id: str) -> Answer:
    sent = asked(UpdateRequest, change(memory_id, fields(), text="data"))
    return shown(memory().update(principal(), sent))


@route("/v1/memories/<segment:memory_id>/", methods=["DELETE"])
@writes
def delete(memory_id: str) -> Answer:
    memory().delete(principal(), asked(DeleteRequest, {"memory_id": memory_id}))
    return {"message": "Memory deleted successfully!"}


@route("/v1/memories/<segment:memory_id>/history/", methods=["GET"])
def history(memory_id: str) -> list[Answer]:
    return memory().history(principal(), asked(HistoryRequest, {"memory_id": memory_id}))


@route("/v1/memories/", methods=["DELETE"])
@writes
def delete_all() -> Answer:
    deleted = memory().delete_all(principal(), deleting.delete_all())
    return {"message": "Memories deleted successfully!", "deleted": deleted.memories}
