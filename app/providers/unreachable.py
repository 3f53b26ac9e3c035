"""Explains why a service could not be reached, by the cause of the failed connection."""

import socket
import ssl
from collections.abc import Iterator

from app.errors import ProviderUnavailable
from app.providers.target import Target

MAX_CAUSES = 10  # of one failure; a chain of causes may be a circle


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and its causes, the root cause last."""
    for _ in range(MAX_CAUSES):
        yield error
        cause = error.__cause__ or error.__context__
        if cause is None:
            return
        error = cause


def unreachable(error: BaseException, target: Target) -> ProviderUnavailable:
    """The error for a failed connection; it names the settings to check."""
    chain = [*causes(error)]
    if any(type(cause).__name__ == "ProxyError" for cause in chain):
        return ProviderUnavailable(
            f"The proxy of {target.proxy or 'the system'} does not let {target.service} be asked: "
            f"see it, and NO_PROXY for the host of {target.address}."
        )
    why = next(filter(None, (_why(cause, target) for cause in reversed(chain))), None)
    by_proxy = f" It is asked by way of the proxy of {target.proxy}." if target.proxy else ""
    what = f"{target.service} {why or 'does not answer'}: see {target.address}.{by_proxy}"
    return ProviderUnavailable(what)


def _why(cause: BaseException, target: Target) -> str | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return _untrusted(cause.verify_code)
        case ssl.SSLError() if "WRONG_VERSION_NUMBER" in str(cause):
            return "does not speak TLS, so its address begins with http:// and not https://"
        case socket.gaierror():
            return "is not found, because no address is known for the name of its host"
        case ConnectionRefusedError():
            return (
                "does not answer, because nobody listens at its address (inside a container "
                "localhost is the container itself)"
            )
    return None


def _untrusted(code: int) -> str:
    match code:
        case 10:
            return "shows a certificate that has expired"
        case 62 | 64:
            return "shows a certificate for another host than the one in its address"
    return (
        "shows a certificate that is not trusted: name the file of the authority that signed it "
        "in SSL_CERT_FILE"
    )
