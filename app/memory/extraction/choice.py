"""Chooses the prompt: as EXTRACTION says, or by where the LLM runs."""

import logging
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from app.config import Settings
from app.memory.extraction.prompts import MEM0_PROMPT, SHORT_PROMPT, Prompt

log = logging.getLogger(__name__)

PRIVATE_NAMES = (".local", ".lan", ".internal")
PRIVATE_NETWORKS = [
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    )
]


class PromptChoice:
    """The current prompt. It changes to the short one when it proves too long for the model."""

    def __init__(self, first: Prompt, *, may_change: bool = False) -> None:
        self.current = first
        self._may_change = may_change

    def too_long(self, prompt: Prompt) -> bool:
        """Report that `prompt` did not fit the model's context. Returns whether `current` is now
        another one, which then stays for the life of the process."""
        if not self._may_change or prompt is SHORT_PROMPT:
            return False
        if self.current is not SHORT_PROMPT:
            log.warning("EXTRACTION=auto: short from now on, mem0's prompt is too long here")
        self.current = SHORT_PROMPT
        return True


def choose_prompt(settings: Settings) -> PromptChoice:
    if settings.extraction != "auto":
        return PromptChoice(SHORT_PROMPT if settings.extraction == "short" else MEM0_PROMPT)
    at_home = settings.llm_provider == "ollama" or is_private(settings.llm_endpoint.base_url)
    return PromptChoice(SHORT_PROMPT if at_home else MEM0_PROMPT, may_change=True)


def is_private(url: str) -> bool:
    """Whether the host of `url` is in a private network, judged by the text alone, without DNS."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_NAMES)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_unspecified or any(address in network for network in PRIVATE_NETWORKS)
