"""Explains why a service could not be reached, and which settings to check."""

from app.config.unreachable import causes, why_unreachable
from app.errors import ProviderUnavailable
from app.providers.target import Target


def unreachable(error: BaseException, target: Target) -> ProviderUnavailable:
    """The error for a failed connection; it names the settings to check."""
    if any(type(cause).__name__ == "ProxyError" for cause in causes(error)):
        return ProviderUnavailable(
            f"The proxy of {target.proxy or 'the system'} does not let {target.service} be asked: "
            f"see it, and NO_PROXY for the host of {target.address}."
        )
    why = why_unreachable(error)
    by_proxy = f" It is asked by way of the proxy of {target.proxy}." if target.proxy else ""
    what = f"{target.service} {why or 'does not answer'}: see {target.address}.{by_proxy}"
    return ProviderUnavailable(what)
