"""Drops facts that nobody stated: refusals, questions, "none", and the assistant's own words.

Small models copy these into their answers. Only clear cases are dropped; the user's own words are
kept.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from app.memory.extraction.answers import Fact

_REFUSAL = re.compile(
    r"""\W*(
    (i['’]?m|i\ am)\ (\w+\ )?sorry\b.{0,40}\b(can['’]?t|cannot|unable|not\ able|won['’]?t)\b
    | (sorry,?\ )?(but\ )?i\ (can['’]?t|cannot|am\ unable\ to|am\ not\ able\ to)
      \ (assist|comply|fulfil|(help|provide|process|answer|do)\ (you|with|that|this|your)\b)
    | as\ an?\ (ai|artificial|large|language)\b
    | (很|非常)?(抱歉|对不起|對不起|不好意思).{0,12}(不能|无法|無法|没法|沒法)
    | (作为|作為).{0,3}(AI|人工智能|人工智慧|语言模型|語言模型)
    | (申し訳|すみません|ごめん).{0,20}(できません|お手伝い|お答え)
    | (none|null|n/?a|nothing|no\ (new|relevant|memorable)?\ ?(memor(y|ies)|facts?|information))
      (\ to\ (remember|extract|store|save)|\ (was\ |were\ |is\ |are\ )?(found|available|given))?
      (\ (in|from)\ the\ \w+)?\W*$
    | (无|無|没有(任何|新的|值得|需要|可以?)?(记住|记忆|提取|保存|记录)的?\w{0,4})[。\s]*$
    | lo\ siento\b.{0,20}\bno\ puedo\b
    | (je\ suis\ )?désolée?\b.{0,20}\bne\ peux\ pas\b
    | (es\ )?tut\ mir\ leid\b.{0,20}\bkann\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)

_OPENERS = re.compile(
    r"""(who|whom|whose|what|when|where|which|why|how|is|are|am|was|were|do|does|did|can|could
    |will|would|shall|should|may|might|have|has|had|any|isn|aren|don|doesn|didn|won|wouldn
    |wer|wie|wann|wo|warum|welche\w*|hast|hat|bist|ist|sind|kann|kannst|können|möchte\w*|soll\w*
    |qui|que|qu|quel\w*|quand|où|pourquoi|comment|est|as|avez|veux|voulez|peux|pouvez
    |qué|quién|cuándo|cuál\w*|dónde|cómo|por|quieres?|puedes?|necesitas?|tienes?
    |quem|quando|onde|qual|quais|você|quer|precisa|pode
    |chi|che|dove|perché|come|quale|vuoi|puoi|hai)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""First words of questions in English, German, French, Spanish, Portuguese and Italian."""

_NOT_LATIN = re.compile("¿|[^\x00-\u02ff]")

_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_MARKS = ("?", "？", "؟")


def without_unsaid(
    facts: Iterable[Fact], messages: Sequence[Mapping[str, str]], *, of_agent: bool
) -> list[Fact]:
    """The facts that somebody stated. `of_agent`: the memories are an agent's, and so may be the
    assistant's own words."""
    by_user = _plain(" ".join(_contents(messages, "user")))
    own = {_plain(s) for text in _contents(messages, "assistant") for s in _sentences(text)}

    def said(fact: Fact) -> bool:
        text = fact["text"]
        if _is_question(text):
            return False
        if _plain(text) in by_user:
            return True
        if _REFUSAL.match(text):
            return False
        as_users = by_user and not of_agent and fact.get("attributed_to") != "assistant"
        return not (as_users and all(_plain(s) in own for s in _sentences(text)))

    return [fact for fact in facts if said(fact)]


def _contents(messages: Sequence[Mapping[str, str]], role: str) -> list[str]:
    return [message["content"] for message in messages if message.get("role") == role]


def _is_question(text: str) -> bool:
    """Whether every sentence of `text` is a question. A question mark alone does not make one: it
    may end a title."""
    sentences = _sentences(text)
    return bool(sentences) and all(
        sentence.endswith(_MARKS) and bool(_OPENERS.match(sentence) or _NOT_LATIN.match(sentence))
        for sentence in sentences
    )


def _sentences(text: str) -> list[str]:
    return [s.strip() for s in _SENTENCE.findall(text) if s.strip()]


def _plain(text: str) -> str:
    """The letters and digits of `text`, in lower case."""
    return "".join(character for character in text.casefold() if character.isalnum())
