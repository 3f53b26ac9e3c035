"""Which of the two ways to a server's points is taken."""

from typing import Literal

from app.errors import ServiceError
from app.storage.vectors.base import NoCollection
from app.storage.vectors.server.grpc_points import GrpcPoints
from app.storage.vectors.server.points import NOBODY, Points
from app.storage.vectors.server.rest import RestPoints

PROBE_S = 1.0  # in which the port of gRPC has to answer


def chosen(
    wanted: Literal["auto", "on", "off"], over_rest: RestPoints, over_grpc: GrpcPoints
) -> Points:
    """auto: gRPC where its port gives a point of the collection, or says that there is none."""
    if wanted == "auto":
        try:
            over_grpc.within(PROBE_S).retrieve([NOBODY])
        except (ServiceError, NoCollection):
            return over_rest
    return over_rest if wanted == "off" else over_grpc
