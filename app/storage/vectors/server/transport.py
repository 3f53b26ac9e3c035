"""Chooses the transport for a server's points: REST or gRPC."""

from app.errors import ServiceError
from app.storage.vectors.base import NoCollection
from app.storage.vectors.server.connection import Connection
from app.storage.vectors.server.grpc_calls import GrpcCalls
from app.storage.vectors.server.grpc_points import GrpcPoints
from app.storage.vectors.server.options import Options
from app.storage.vectors.server.points import NOBODY, Points
from app.storage.vectors.server.rest import RestPoints

PROBE_S = 1.0  # in which gRPC's port must answer


def opened(
    connection: Connection, collection: str, options: Options, *, replicated: bool
) -> Points:
    """The points over gRPC or REST, as `options` say. With auto gRPC is used if a point of the
    collection can be read over it. `replicated`: see `refusals.error_of`."""
    over_rest = RestPoints(connection.client, collection, replicated=replicated)
    call = GrpcCalls(connection.nodes, options.grpc_port, options.timeout_s, replicated=replicated)
    if options.grpc == "auto":
        try:
            GrpcPoints(call.within(PROBE_S), collection).retrieve([NOBODY])
        except (ServiceError, NoCollection):
            return over_rest
    return over_rest if options.grpc == "off" else GrpcPoints(call, collection)
