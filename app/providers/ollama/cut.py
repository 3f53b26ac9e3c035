"""Whether Ollama answered a part of a prompt as if it were the whole."""

import re
from collections.abc import Mapping, Sequence

_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af]")
_WORD = re.compile(r"\w+")
CHARACTERS_OF_A_TOKEN = 2.5  # of Chinese, Japanese or Korean: no tokenizer takes more on average
LEAST = 512  # tokens: less than that fits everywhere


def cut_to(messages: Sequence[Mapping[str, str]], counted: int | None) -> int | None:
    """The tokens that were left, where fewer were counted than the prompt can have.

    A word has a token at least, in any tokenizer; usually 1.3. Ollama keeps half of the context.
    """
    text = "\n".join(message["content"] for message in messages)
    wide = len(_WIDE.findall(text))
    least = wide / CHARACTERS_OF_A_TOKEN + len(_WORD.findall(_WIDE.sub(" ", text)))
    was_cut = counted is not None and least > LEAST and counted < least
    return counted if was_cut else None
