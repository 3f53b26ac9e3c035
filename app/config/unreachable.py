"""Why a connection to another service failed, told by the first of its causes."""

import errno
import socket
import ssl
from collections.abc import Iterator

MAX_CAUSES = 10  # of one failure that are looked through: one may be its own cause


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it came of, the first cause last."""
    for _ in range(MAX_CAUSES):
        yield error
        cause = error.__cause__ or error.__context__
        if cause is None:
            return
        error = cause


def why_unreachable(error: BaseException) -> str | None:
    """What the service does, as the rest of a sentence that begins with it; None where nothing is
    known."""
    return next(filter(None, map(_why, reversed([*causes(error)]))), None)


def is_unconnected(error: BaseException) -> bool:
    """Whether the time ended before there was a connection."""
    return any(type(cause).__name__ == "ConnectTimeout" for cause in causes(error))


def _why(cause: BaseException) -> str | None:
    """How `cause` completes a sentence that begins with the service; None where it says nothing."""
    match cause:
        case ssl.SSLCertVerificationError():
            return _CERTIFICATE.get(cause.verify_code, UNTRUSTED)
        case ssl.SSLError():
            return next((why for words, why in _TLS.items() if words in str(cause)), None)
        case socket.gaierror():
            return "is not found, because no address is known for the name of its host"
        case ConnectionRefusedError():
            return (
                "does not answer, because nobody listens at its address (inside a container "
                "localhost is the container itself)"
            )
        case OSError() if cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            return "is not reached, because no network leads to its address"
    match type(cause).__name__:  # of httpx and httpx2 alike
        case "ConnectTimeout":
            return "is not reached: a firewall may be in between, or nothing be at its address"
        case "RemoteProtocolError" | "ReadError" | "ConnectionResetError":
            return (
                "ends the connection without an answer: it may have failed, or want https://, or "
                "be no web service"
            )
    return None


_TLS = {
    "WRONG_VERSION_NUMBER": (
        "does not speak TLS, so its address begins with http:// and not https://"
    ),
    "UNSUPPORTED_PROTOCOL": "speaks none but an old version of TLS, and needs 1.2 at least",
    "PROTOCOL_VERSION": "speaks none but an old version of TLS, and needs 1.2 at least",
    "CERTIFICATE_REQUIRED": "asks for a certificate of its clients, and this service has none",
    "UNRECOGNIZED_NAME": "does not know the host in its address",
    "HANDSHAKE_FAILURE": (
        "finds no encryption in common: the host in its address may be of another service"
    ),
    "UNEXPECTED_EOF": "ends the connection while TLS begins: its address may be of something else",
}
"""By a part of the reason of OpenSSL."""

UNTRUSTED = (
    "shows a certificate that is not trusted: name the file of the authority that signed it "
    "in SSL_CERT_FILE"
)
_CERTIFICATE = {
    9: "shows a certificate that is not valid yet, unless the clock of this machine is wrong",
    10: "shows a certificate that has expired",
    62: "shows a certificate for another host than the one in its address",
    64: "shows a certificate for another host than the one in its address",
    66: "shows a certificate whose key is too short to be trusted",
    67: "shows a certificate whose authority has too short a key to be trusted",
    68: "shows a certificate whose signature is too weak to be trusted",
}
"""By the codes of OpenSSL, X509_V_ERR_*."""
