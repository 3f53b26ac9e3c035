"""The errors of services that people use, word for word as their users report them.

`source` is owner/repository#number of a report, or a file of the service's own documentation.
"""

from typing import Any, NamedTuple

MODEL = "the-model"


class GatewayError(NamedTuple):
    service: str
    status: int
    body: Any
    source: str
    headers: tuple[tuple[str, str], ...] = ()


def openai(message: str, kind: Any = None, code: Any = None, param: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def gemini(code: int, message: str, status: str, *details: Any) -> list[dict[str, Any]]:
    error = {"code": code, "message": message, "status": status, "details": [*details]}
    return [{"error": error}]


FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management "
    "policy. Please modify your prompt and retry."
)
VIOLATION = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {}}}
ARREARS = "Access denied, please make sure your account is in good standing."
EMBEDDED_TOO_LONG = (
    "This model's maximum context length is 512 tokens. However, you requested 1200 tokens in the "
    "input for embedding generation. Please reduce the length of the input."
)
BATCH_OF_10 = (
    "<400> InternalError.Algo.InvalidParameter: Value error, batch size is invalid, it should not "
    "be larger than 10.: input.contents"
)
OF_A_MINUTE = "You exceeded your current quota, please check your plan and billing details."
RETRY_IN_34_S = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
NO_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

QUOTA = [
    GatewayError(
        "DeepSeek",
        402,
        openai("Insufficient Balance", "unknown_error"),
        "continuedev/continue#9853",
    ),
    GatewayError(
        "new-api",
        403,
        openai("user quota is not enough", "new_api_error", "insufficient_user_quota", ""),
        "QuantumNous/new-api",
    ),
    GatewayError(
        "sub2api",
        403,
        {"code": "INSUFFICIENT_BALANCE", "message": "Insufficient account balance"},
        "Wei-Shaw/sub2api#890",
    ),
    GatewayError(
        "DashScope",
        400,
        {"error": {"code": "Arrearage", "param": None, "message": ARREARS, "type": "Arrearage"}},
        "hsliuping/TradingAgents-CN#170",
    ),
    GatewayError(
        "Moonshot",
        429,
        openai(
            "Your account org-x <ak-x> is suspended due to insufficient balance, please recharge "
            "your account or check your plan and billing details",
            "exceeded_current_quota_error",
        ),
        "continuedev/continue#11443",
    ),
    GatewayError(
        "OpenAI", 429, openai(OF_A_MINUTE, "insufficient_quota"), "GaiZhenbiao/ChuanhuChatGPT#792"
    ),
]
QUOTA += [
    GatewayError(
        "MiniMax",
        200,
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
        "minimaxi.com, error codes",
    ),
]
RATE_LIMIT = [
    GatewayError(
        "Gemini",
        429,
        gemini(429, OF_A_MINUTE, "RESOURCE_EXHAUSTED", RETRY_IN_34_S),
        "google-gemini/gemini-cli#8437",
    ),
    GatewayError(
        "OpenRouter",
        200,
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": "error code: 1015", "provider_name": "Kluster"},
            }
        },
        "BerriAI/litellm#8448",
    ),
]
FILTER = [
    GatewayError(
        "Azure",
        400,
        {
            "error": {
                "message": FILTERED,
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": VIOLATION,
            }
        },
        "vibrantlabsai/ragas#649",
    ),
    GatewayError(
        "DashScope",
        400,
        openai(
            "Input data may contain inappropriate content.",
            "data_inspection_failed",
            "data_inspection_failed",
        ),
        "camel-ai/owl#432",
    ),
    GatewayError(
        "new-api",
        400,
        openai(
            "input contains sensitive words: [test] (request id: 1)",
            "new_api_error",
            "sensitive_words_detected",
            "",
        ),
        "openai/openai-cookbook#1224",
    ),
]
UNKNOWN_MODEL = [
    GatewayError(
        "vLLM",
        404,
        {
            "object": "error",
            "message": f"The model `{MODEL}` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        "vllm-project/vllm, serving/openai_compatible_server",
    ),
    GatewayError(
        "one-api",
        503,
        openai(f"当前分组 default 下对于模型 {MODEL} 无可用渠道 (request id: 1)", "one_api_error"),
        "songquanpeng/one-api#2340",
    ),
    GatewayError(
        "LM Studio",
        404,
        openai(
            "No models loaded. Please load a model in the developer page or use the `lms load` "
            "command",
            "invalid_request_error",
            "model_not_found",
            "model",
        ),
        "lmstudio-ai/lms#107",
    ),
    GatewayError(
        "SiliconFlow",
        400,
        {
            "code": 20012,
            "message": "Model does not exist. Please check it carefully.",
            "data": None,
        },
        "siliconflow.cn, api-reference",
    ),
    GatewayError(
        "Azure",
        404,
        openai("The API deployment for this resource does not exist.", None, "DeploymentNotFound"),
        "langchain-ai/langchain#14018",
    ),
]
KEY = [
    GatewayError(
        "Gemini",
        400,
        gemini(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", NO_KEY),
        "google-gemini/gemini-cli, docs/troubleshooting",
    ),
    GatewayError("SiliconFlow", 401, "Invalid token", "siliconflow.cn, api-reference"),
]
ADDRESS = [
    GatewayError("FastAPI", 404, {"detail": "Not Found"}, "vllm-project/vllm, without /v1"),
    GatewayError(
        "LM Studio",
        200,
        {"error": "Unexpected endpoint or method. (POST /embeddings)"},
        "lmstudio-ai/lmstudio-bug-tracker#618",
    ),
    GatewayError("Ollama", 404, "404 page not found", "pssah4/vault-operator#73"),
    GatewayError("Azure", 404, openai("Resource not found", None, "404"), "letta-ai/letta#588"),
    GatewayError(
        "nginx", 307, "", "any, from http to https", (("Location", "https://x.example/"),)
    ),
    GatewayError("Open WebUI", 405, "<!doctype html><html></html>", "open-webui/open-webui"),
]
BATCH = [
    GatewayError(
        "DashScope",
        400,
        openai(BATCH_OF_10, "InvalidParameter", "InvalidParameter"),
        "memodb-io/memobase#142",
    ),
    GatewayError(
        "TEI",
        413,
        {
            "message": "batch size 100 > maximum allowed batch size 32",
            "code": 413,
            "type": "Validation",
        },
        "coze-dev/coze-studio#455",
    ),
    GatewayError(
        "SiliconFlow",
        413,
        {
            "code": 20042,
            "message": "input batch size 136 > maximum allowed batch size 64",
            "data": None,
        },
        "apecloud/ApeRAG#716",
    ),
]
TOO_LONG = [
    GatewayError(
        "llama-server",
        500,
        {
            "error": {
                "code": 500,
                "message": "input (9002 tokens) is too large to process. increase the physical "
                "batch size (current batch size: 512)",
                "type": "server_error",
            }
        },
        "ggml-org/llama.cpp, measured",
    ),
    GatewayError(
        "vLLM",
        400,
        {
            "object": "error",
            "message": EMBEDDED_TOO_LONG,
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        "vllm-project/vllm, serving/openai_compatible_server",
    ),
    GatewayError(
        "SiliconFlow",
        413,
        {"code": 20042, "message": "input must have less than 512 tokens", "data": None},
        "apecloud/ApeRAG#817",
    ),
    GatewayError(
        "Ollama",
        400,
        {"error": "the input length exceeds the context length"},
        "ollama/ollama#14186",
    ),
]
CONTEXT = [
    GatewayError(
        "llama-server",
        400,
        {
            "error": {
                "code": 400,
                "message": "request (5031 tokens) exceeds the available context size (4096 "
                "tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5031,
                "n_ctx": 4096,
            }
        },
        "ggml-org/llama.cpp, measured",
    ),
]
STREAM = [
    GatewayError(
        "DashScope",
        400,
        openai(
            "parameter.enable_thinking must be set to false for non-streaming calls",
            "invalid_request_error",
            "invalid_parameter_error",
        ),
        "coze-dev/coze-studio#324",
    ),
]
PARAMETER = [
    GatewayError(
        "OpenAI",
        400,
        openai(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the "
            "default (1) value is supported.",
            "invalid_request_error",
            "unsupported_value",
            "temperature",
        ),
        "openai/openai-python, gpt-5",
    ),
    GatewayError(
        "LM Studio",
        400,
        {"error": "'response_format.type' must be 'json_schema' or 'text'"},
        "lmstudio-ai/lmstudio-bug-tracker#189",
    ),
    GatewayError(
        "Mistral",
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "encoding_format"],
                        "msg": "Extra inputs are not permitted",
                        "input": "base64",
                    }
                ]
            },
            "type": "invalid_request_error",
        },
        "CherryHQ/cherry-studio#14111",
    ),
]
LOADING = [
    GatewayError(
        "llama-server",
        503,
        {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}},
        "ggml-org/llama.cpp, measured",
    ),
]
