"""Patterns for the words by which services say what is wrong, as their users report them.

They are searched, ignoring case, in the text of a refusal, which is never shown. Chinese services
answer in Chinese.
"""

import re


def _any(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# DeepSeek, new-api, OpenAI, OpenRouter, Moonshot, SiliconFlow, DashScope (Arrearage), Zhipu,
# LiteLLM (budgets), Volcengine, Azure API Management, Hunyuan, Hugging Face.
QUOTA = _any(
    r"insufficient[ _](?:\w+[ _])?(?:quota|balance|credits?|funds|tokens)|quota is not enough"
    r"|exceeded your current quota|quota[ _]exceeded|(?:balance|credits?) (?:is |are )?"
    r"(?:not enough|insufficient|too low|exhausted|depleted)|arrear|overdue|billing[ _](?:hard|not)"
    r"|more credits|in good standing|out of credits|requires? payment|payment required"
    r"|key limit exceeded|spend(?:ing)? limit|recharge|余额不足|余额已|额度不足|额度已|欠费|充值"
    r"|已用尽"
    r"|budget has been exceeded|exceeded\w*budget|over budget|crossed budget|budget_exceeded"
    r"|free tier .{0,40}exhausted|freetieronly|call volume quota|(?:inference|usage) limit for"
    r"|(?:hourly|daily|weekly|monthly) usage limit|requires a subscription"
    r"|setlimitexceeded|requires billing|billing account|credit limit exceeded|prepa(?:id|yment)"
    r"|(?:calls?|requests?|tokens|credits) ?(?:/|per) ?month|monthly (?:included|limit|quota|usage)"
)
SURELY_QUOTA_WORDS = _any(r"PerDay|prepa(?:id|yment)|credits? (?:are|is) depleted")
"""Words of a used-up quota even where the refusal asks to wait, which does not help then."""
USED_UP = _any(r"额度已|已用尽|TokenStatusExhausted|insufficient (?:balance|quota|credits?)")
"""Words of a used-up quota that one-api also uses with the status 401."""
OF_A_MINUTE = _any(r"Throttling|allocated quota|token-limit|(?:token|requests?)s? ?(?:/|per) ?min")
"""Words of a limit per minute, which DashScope also calls "insufficient_quota"."""
SURELY_QUOTA = {"insufficient_quota", "insufficient_user_quota", "billing_hard_limit_reached"}
# Azure, OpenAI, DashScope (DataInspectionFailed), DeepSeek, Zhipu, Gemini, OpenRouter, MiniMax,
# xAI, Moonshot, iFlytek, Cohere.
FILTERED = _any(
    r"content[ _-]?(?:management )?(?:filter|policy)|ResponsibleAIPolicy|data_?inspection_?failed"
    r"|inappropriate content|content exists risk|sensitive (?:content|words?|information)"
    r"|sensitive_words|prohibited_content|flagged (?:by|for|as)|moderation"
    r"|safety (?:system|setting)"
    r"|violat\w+ (?:our|the) .{0,30}polic|敏感|违规|风险|不安全"
    r"|(?:input|output) new_sensitive|(?:input|prompt|content) (?:was |is )?flagged"
    r"|usage guidelines"
    r"|safety_check|responsible ai|considered high risk|legal reasons|blocked output|output blocked"
    r"|(?:blocked by |text)audit"
)
STREAM = _any(
    r"non-?stream|only supports? stream|stream(?:ing)? (?:mode )?(?:only|is required)"
    r"|stream=true|(?:set|enable) .?stream|stream.{0,20}must be|must .{0,20}stream|流式"
)
LOADING = _any(r"loading model|model .{0,80}(?:currently|still) loading|still loading|warming up")
# Ollama, and CUDA through others.
MEMORY = _any(r"requires more system memory|out of memory|not enough memory|insufficient memory")
CRASHED = _any(r"runner process (?:has terminated|no longer running)|unknown model architecture")
BUSY = _any(r"overload|over capacity|too busy|服务.{0,4}繁忙|temporarily unavailable")
"""Words of an overloaded service; some use them with a 4xx status."""
TLS_WANTED = _any(r"(?:plain |an )http request (?:was sent )?to (?:an )?https|plain http to an ssl")
"""How nginx, Go's servers and Apache answer plain HTTP where they want TLS."""
REGION = _any(r"unsupported_country|(?:country|region|location).{0,40}not (?:supported|available)")
KEY = _any(
    r"api[ _-]?key.{0,20}(?:not valid|invalid|incorrect|missing|expired|not found)"
    r"|(?:invalid|incorrect|missing|expired|wrong|no)[ _](?:\w+[ _])?"
    r"(?:api[ _-]?key|token\b|credential|authorization)|login fail"
    r"|api_key_invalid|authentication|unauthori[sz]ed|unauthenticated|令牌"
)
MODEL = _any(
    r"model[ _](?:not[ _](?:found|exist)|does[ _]not[ _]exist|not[ _]supported)"
    r"|(?:unknown|invalid|unsupported|no such) model|model.{0,120}"
    r"(?:not found|not exist|not available|not supported|no access|access to|is not a valid|不存在)"
    r"|no (?:available )?(?:models? loaded|channels? for|endpoints found|models? matched)"
    r"|deploymentnotfound|deployment.{0,60}not exist|not a valid model|model_not|无可用渠道"
    r"|not found the model|decommissioned|model access denied|model disabled|modelnotopen"
    r"|not activated the model|function .{0,80}not found for account|multiple models are loaded"
    r"|模型.{0,20}(?:不存在|未开通|已下线)"
)
MODEL_AT_ANY_STATUS = _any(
    r"not allowed to access model|(?:could not|failed to) load model|reached its end of life"
)
# llama.cpp, Ollama, LM Studio, vLLM, Azure, OpenAI.
OTHER_USE = _any(
    r"not support (?:the )?(?:embeddings|chat|completions|generate)\b|model is not embedding"
    r"|generate embeddings from|does not work with the specified model|not a chat model"
    r"|only supported in v1/|not an? embedding model"
)
"""Words of a model that exists, but has another use."""
ADDRESS = _any(
    r"unexpected endpoint|unknown (?:url|route|path|endpoint)|invalid (?:url|path|endpoint)"
    r"|no (?:route|handler|such (?:route|path|endpoint))|page not found|not implemented"
    r"|cannot (?:post|get) /"
)
PARAMETER = _any(
    r"unsupported|not supported|does not support|unknown (?:name|field|parameter|argument)"
    r"|unrecognized|extra_forbidden|extra (?:inputs|fields)|must be|unexpected keyword"
    r"|invalid value|is not enabled|unavailable now|must contain the word|valid range|range of max_"
    r"|(?:only|is) .{0,8}allowed|is too large: \d|maximum allowed number|parse grammar|参数"
    r"|jinja|roles must alternate"
)
RATE = _any(r"rate.?limit|too many requests|throttl|resource_exhausted|速率|频率|请求过于频繁")
# SiliconFlow and TEI, llama.cpp, vLLM, OpenAI, Ollama, DashScope, Gemini, Jina, Voyage, Zhipu,
# Hunyuan, Bedrock; PyTorch itself (Xinference, Infinity) by its tensors.
TOO_LONG = _any(
    r"must have less than \d+ tokens|too large to process|(?:context|input) length"
    r"|length of the input|range of input length|token (?:limit|count)|too many tokens"
    r"|tokens? (?:in|of) (?:the )?(?:input|text)|too long|maximum (?:sequence|number of tokens)"
    r"|max(?:imum)? (?:allowed )?tokens|longer than|exceed\w* (?:the )?(?:max|context|token)"
    r"|max_(?:model_len|position_embeddings|seq_len)|长度|超长|(?:token|字符).{0,6}(?:限制|超过)"
    r"|payload size exceeds|context size|exceeds? \d+ tokens|max_new_tokens|maxlength"
    r"|size of (?:the )?tensor"
)
# DashScope, TEI, SiliconFlow, Gemini, OpenAI, Voyage, Cohere, Vertex, Zhipu, Baidu, Mistral.
BATCH = _any(
    r"batch[ _]?size|per (?:submitted )?batch|in one batch|array length|array.{0,20}too long"
    r"|too many (?:inputs|texts|items|documents)|(?:at most|maximum of) \d+ "
    r"(?:inputs|texts|items|elements|requests)"
    r"|number of (?:the )?(?:input|text|item|document)s?\b(?! tokens)"
    r"|max (?:input )?texts|texts size|instance\(s\) is allowed|only one (?:text|input)"
    r"|tokens[ _]per[ _]request|split into more batches|数组最大|文本数量|批量|最多.{0,6}[条个]"
)
# llama.cpp's "physical batch" is one of tokens, and so is Baidu's.
ONE_TEXT = _any(r"too large to process|max tokens per batch")
# The parameters that are sent, or that LLM_EXTRA_BODY is known to be used for.
PARAMETERS = _any(
    r"response_format|json_schema|json mode|max_completion_tokens|max_tokens|temperature"
    r"|encoding_format|grammar"
    r"|dimensions|enable_thinking|reasoning_effort|thinking|keep_alive|num_ctx|truncate|stream|seed"
)
