"""The words by which services say what is wrong, as their users report them.

To be compared with what a service says, never to be shown: each is looked for without regard to
capitals. Chinese services say it in Chinese.
"""

import re


def _any(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# DeepSeek, new-api, OpenAI, OpenRouter, Moonshot, SiliconFlow, DashScope (Arrearage), Zhipu.
QUOTA = _any(
    r"insufficient[ _](?:\w+[ _])?(?:quota|balance|credits?|funds|tokens)|quota is not enough"
    r"|exceeded your current quota|quota[ _]exceeded|(?:balance|credits?) (?:is |are )?"
    r"(?:not enough|insufficient|too low|exhausted|depleted)|arrear|overdue|billing[ _](?:hard|not)"
    r"|more credits|in good standing|out of credits|requires? payment|payment required"
    r"|key limit exceeded|spend(?:ing)? limit|recharge|余额不足|余额已|额度不足|额度已|欠费|充值"
)
SURELY_QUOTA = {"insufficient_quota", "insufficient_user_quota", "billing_hard_limit_reached"}
# Azure, OpenAI, DashScope (DataInspectionFailed), DeepSeek, Zhipu, Gemini, OpenRouter.
FILTERED = _any(
    r"content[ _-]?(?:management )?(?:filter|policy)|ResponsibleAIPolicy|data_?inspection_?failed"
    r"|inappropriate content|content exists risk|sensitive (?:content|words?|information)"
    r"|sensitive_words|prohibited_content|flagged (?:by|for|as)|moderation"
    r"|safety (?:system|setting)"
    r"|violat\w+ (?:our|the) .{0,30}polic|敏感|违规|风险"
)
STREAM = _any(
    r"non-?stream|only supports? stream|stream(?:ing)? (?:mode )?(?:only|is required)"
    r"|stream=true|(?:set|enable) .?stream|stream.{0,20}must be|must .{0,20}stream"
)
LOADING = _any(r"loading model|model is (?:currently )?loading|still loading|warming up")
REGION = _any(r"unsupported_country|(?:country|region|location).{0,40}not (?:supported|available)")
KEY = _any(
    r"api[ _-]?key.{0,20}(?:not valid|invalid|incorrect|missing|expired|not found)"
    r"|(?:invalid|incorrect|missing|expired|wrong|no)[ _](?:\w+[ _])?"
    r"(?:api[ _-]?key|token|credential)"
    r"|api_key_invalid|authentication|unauthori[sz]ed|unauthenticated|令牌"
)
MODEL = _any(
    r"model[ _](?:not[ _](?:found|exist)|does[ _]not[ _]exist|not[ _]supported)"
    r"|(?:unknown|invalid|unsupported|no such) model|model.{0,120}"
    r"(?:not found|not exist|not available|not supported|no access|access to|is not a valid|不存在)"
    r"|no (?:available )?(?:models? loaded|channels? for|endpoints found|models? matched)"
    r"|deploymentnotfound|deployment.{0,60}not exist|not a valid model|model_not|无可用渠道"
)
ADDRESS = _any(
    r"unexpected endpoint|unknown (?:url|route|path|endpoint)|invalid (?:url|path|endpoint)"
    r"|no (?:route|handler|such (?:route|path|endpoint))|page not found|not implemented"
    r"|cannot (?:post|get) /"
)
PARAMETER = _any(
    r"unsupported|not supported|does not support|unknown (?:name|field|parameter|argument)"
    r"|unrecognized|extra_forbidden|extra (?:inputs|fields)|must be|unexpected keyword"
    r"|invalid value"
)
RATE = _any(r"rate.?limit|too many requests|throttl|resource_exhausted|速率|频率|请求过于频繁")
# SiliconFlow and TEI, llama.cpp, vLLM, OpenAI, Ollama, DashScope, Gemini, Jina, Voyage.
TOO_LONG = _any(
    r"must have less than \d+ tokens|too large to process|(?:context|input) length"
    r"|length of the input|range of input length|token (?:limit|count)|too many tokens"
    r"|tokens? (?:in|of) (?:the )?(?:input|text)|too long|maximum (?:sequence|number of tokens)"
    r"|max(?:imum)? (?:allowed )?tokens|longer than|exceed\w* (?:the )?(?:max|context|token)"
    r"|max_(?:model_len|position_embeddings|seq_len)|长度"
)
# DashScope, TEI, SiliconFlow, Gemini, OpenAI, Voyage.
BATCH = _any(
    r"batch[ _]?size|per (?:submitted )?batch|in one batch|array length|array.{0,20}too long"
    r"|too many (?:inputs|texts|items|documents)|(?:at most|maximum of) \d+ "
    r"(?:inputs|texts|items|elements|requests)"
)
ONE_TEXT = _any(r"too large to process")  # llama.cpp's "physical batch" is one of tokens
# The parameters that are sent, or that LLM_EXTRA_BODY is known to be used for.
PARAMETERS = _any(
    r"response_format|json_schema|max_completion_tokens|max_tokens|temperature|encoding_format"
    r"|dimensions|enable_thinking|reasoning_effort|thinking|keep_alive|num_ctx|truncate|stream|seed"
)
