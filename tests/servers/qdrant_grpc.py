"""What a stand-in for Qdrant answers over gRPC: the same as over REST, in other words.

Each call becomes the request that asks the same over REST, so that faults, keys, strict mode and
the record of requests are the same for both.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from qdrant_client import grpc as messages
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from tests.servers.base import ConnectionDropped, Json, Request, as_json

if TYPE_CHECKING:
    from tests.servers.qdrant import QdrantServer

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.ALREADY_EXISTS,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
THREADS = 64


class GrpcListener:
    """One life of the stand-in's port for gRPC."""

    def __init__(self, stub: "QdrantServer", host: str, port: int) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        self._server = grpc.server(self._pool)
        messages.add_PointsServicer_to_server(Points(stub), self._server)
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()
        self._pool.shutdown(wait=False)


class Points(messages.PointsServicer):
    def __init__(self, stub: "QdrantServer") -> None:
        self._stub = stub

    # ------------------------------------------------------------------ writing

    def Upsert(self, asked: Any, context: Any) -> Any:
        points = [plain(GrpcToRest.convert_point_struct(point)) for point in asked.points]
        body = {"points": points, **guarded(asked)}
        return self._written(asked, context, "PUT", "/points", body)

    def OverwritePayload(self, asked: Any, context: Any) -> Any:
        payload = GrpcToRest.convert_payload(asked.payload)
        body = {"payload": payload, **selected(asked.points_selector)}
        return self._written(asked, context, "PUT", "/points/payload", body)

    def Delete(self, asked: Any, context: Any) -> Any:
        return self._written(asked, context, "POST", "/points/delete", selected(asked.points))

    def _written(self, asked: Any, context: Any, method: str, path: str, body: Json) -> Any:
        query = {"wait": "true"} if asked.wait else {}
        if asked.HasField("ordering"):
            query["ordering"] = messages.WriteOrderingType.Name(asked.ordering.type).lower()
        done = self._ask(context, method, asked.collection_name + path, body, query)
        result = RestToGrpc.convert_update_result(models.UpdateResult(**done))
        return messages.PointsOperationResponse(result=result)

    # ------------------------------------------------------------------ reading

    def Get(self, asked: Any, context: Any) -> Any:
        body = {
            "ids": [GrpcToRest.convert_point_id(one) for one in asked.ids],
            "with_payload": asked.with_payload.enable,
        }
        found = self._ask(context, "POST", f"{asked.collection_name}/points", body)
        return messages.GetResponse(result=map(retrieved, found))

    def QueryBatch(self, asked: Any, context: Any) -> Any:
        searches = [plain(GrpcToRest.convert_query_points(one)) for one in asked.query_points]
        path = f"{asked.collection_name}/points/query/batch"
        found = self._ask(context, "POST", path, {"searches": searches})
        return messages.QueryBatchResponse(
            result=[messages.BatchResult(result=map(scored, one["points"])) for one in found]
        )

    def Scroll(self, asked: Any, context: Any) -> Any:
        body: dict[str, Json] = {
            "limit": asked.limit,
            "with_payload": asked.with_payload.enable,
            **filtered(asked),
        }
        if asked.HasField("order_by"):
            body["order_by"] = plain(GrpcToRest.convert_order_by(asked.order_by))
        found = self._ask(context, "POST", f"{asked.collection_name}/points/scroll", body)
        return messages.ScrollResponse(result=map(retrieved, found["points"]))

    def Count(self, asked: Any, context: Any) -> Any:
        body = {"exact": asked.exact, **filtered(asked)}
        found = self._ask(context, "POST", f"{asked.collection_name}/points/count", body)
        return messages.CountResponse(result=messages.CountResult(count=found["count"]))

    def Facet(self, asked: Any, context: Any) -> Any:
        body = {"key": asked.key, "limit": asked.limit, **filtered(asked)}
        found = self._ask(context, "POST", f"{asked.collection_name}/facet", body)
        hits = [models.FacetValueHit(**hit) for hit in found["hits"]]
        return messages.FacetResponse(hits=map(RestToGrpc.convert_facet_value_hit, hits))

    # ------------------------------------------------------------------ as over REST

    def _ask(
        self, context: Any, method: str, path: str, body: Json, query: dict[str, str] | None = None
    ) -> Json:
        """The result of the same request over REST."""
        request = Request(
            method=method,
            path=f"/collections/{path}",
            query=query or {},
            headers={"transport": "grpc", **dict(context.invocation_metadata())},
            body=body,
            body_bytes=as_json(body),
        )
        self._stub.requests.append(request)
        try:
            answer = self._stub._respond(request)
        except ConnectionDropped:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        request.status = answer.status
        assert isinstance(answer.body, bytes)
        if answer.status == 200:
            return json.loads(answer.body)["result"]
        if after := answer.headers.get("Retry-After"):
            context.set_trailing_metadata([("retry-after", after)])
        code = CODES.get(answer.status, grpc.StatusCode.INTERNAL)
        context.abort(code, said(answer.body))


def said(body: bytes) -> str:
    try:
        return str(json.loads(body)["status"]["error"])
    except (ValueError, TypeError, KeyError):
        return body.decode()


def plain(model: Any) -> Json:
    return model.model_dump(mode="json", exclude_none=True)


def filtered(asked: Any) -> dict[str, Json]:
    return {"filter": plain(GrpcToRest.convert_filter(asked.filter))}


def guarded(asked: Any) -> dict[str, Json]:
    body: dict[str, Json] = {}
    if asked.HasField("update_mode"):
        body["update_mode"] = GrpcToRest.convert_update_mode(asked.update_mode).value
    if asked.HasField("update_filter"):
        body["update_filter"] = plain(GrpcToRest.convert_filter(asked.update_filter))
    return body


def selected(selector: Any) -> dict[str, Json]:
    if selector.HasField("filter"):
        return {"filter": plain(GrpcToRest.convert_filter(selector.filter))}
    return {"points": [GrpcToRest.convert_point_id(one) for one in selector.points.ids]}


def as_model(kind: Callable[..., Any], point: Json) -> Any:
    return kind(**{"payload": {}, **point})


def retrieved(point: Json) -> Any:
    return RestToGrpc.convert_retrieved_point(as_model(models.Record, point))


def scored(point: Json) -> Any:
    return RestToGrpc.convert_scored_point(as_model(models.ScoredPoint, point))
