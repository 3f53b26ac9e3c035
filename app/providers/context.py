"""Recognises refusals because of a too small context, with the numbers of tokens in them."""

import re

from app.errors import ContextTooSmall

_KINDS = re.compile(
    r"context[ _](length|size|window)|longer than the context|exceeds? the context"
    r"|maximum (model|input|prompt) length|maximum number of tokens allowed"
    r"|prompt( is)? too long|range of input length|input length .*exceeds"
    r"|reduce the length of the (messages|prompt|input)|request too large"
    r"|too large for model|max_new_tokens` must be <=|exceeds? max length|超长|长度限制"
    r"|exceeded model token limit|model max length exceeded|too many tokens: |max_seq_len"
    r"|tokens? .{0,40}exceed max|must have less than \d+ tokens|msg: token limit|tokens_limit",
    re.IGNORECASE,
)
"""The words of llama.cpp, vLLM, SGLang, TGI, LM Studio, Ollama, OpenAI, Mistral, Gemini, DashScope,
Groq, Zhipu, Moonshot, Cohere, SiliconFlow, Volcengine, MiniMax and Hunyuan, in `error.message` or
`error.code`."""

_LIMITS = re.compile(
    r"n_ctx\D{1,4}(\d+)"
    r"|context (?:length|size|window)\D{0,20}?(\d+)"
    r"|(?:maximum|max) [a-z ]*length of (\d+)"
    r"|allowed \((\d+)\)|> (\d+) maximum|<= (\d+)|\[1, ?(\d+)\]|limit (\d+)"
    r"|with (\d+) maximum context",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"\d{3,9}")


def context_too_small(words: str, model: str) -> ContextTooSmall | None:
    """The failure, where a refusal with the text `words` concerns the context; else None."""
    if not _KINDS.search(words):
        return None
    found = _LIMITS.search(words)
    takes = int(next(filter(None, found.groups()))) if found else None
    more = [int(number) for number in _NUMBERS.findall(words) if takes and int(number) > takes]
    return too_small(model, max(more, default=None), takes)


def too_small(model: str, asked: int | None = None, takes: int | None = None) -> ContextTooSmall:
    """`asked` is the size of the request and `takes` that of the context, in tokens; None where
    unknown."""
    wanted = f"the request has {asked} tokens" if asked else "the request does not fit"
    room = f", it takes {takes}" if takes else ""
    return ContextTooSmall(
        f"The context of the model {model} is too small: {wanted}{room}. Give its server a larger "
        "one (llama-server: -c; vLLM: --max-model-len; Ollama: OLLAMA_NUM_CTX), set "
        "EXTRACTION=short, or send less at once."
    )
