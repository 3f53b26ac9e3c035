"""Detects that Ollama silently cut a prompt."""

import re
from collections.abc import Mapping, Sequence

_WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af]")
_WORD = re.compile(r"\w+")
CHARACTERS_OF_A_TOKEN = 2.5  # Chinese, Japanese or Korean; no tokenizer has more on average
LEAST = 512  # tokens; a shorter prompt is never cut


def cut_to(messages: Sequence[Mapping[str, str]], counted: int | None) -> int | None:
    """The number of tokens that were left of a cut prompt; None where it was not cut.

    `counted` are the tokens that Ollama reports. The prompt was cut if these are fewer than it must
    have: in any tokenizer a word has at least one token, usually 1.3. Ollama keeps half of the
    context.
    """
    text = "\n".join(message["content"] for message in messages)
    wide = len(_WIDE.findall(text))
    least = wide / CHARACTERS_OF_A_TOKEN + len(_WORD.findall(_WIDE.sub(" ", text)))
    was_cut = counted is not None and least > LEAST and counted < least
    return counted if was_cut else None
