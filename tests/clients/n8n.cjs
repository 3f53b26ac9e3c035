// One run of the n8n node: node n8n.cjs HOST KEY PARAMETERS(JSON). The node and its credential are
// the published ones, with n8n's own errors; what n8n itself would do around them is here: it hands
// over parameters by their path, and sends a request with the credential's headers.
// Prints {"value": [items]} or {"error"} as JSON.
const { Mem0 } = require("@mem0/n8n-nodes-mem0/dist/nodes/Mem0/Mem0.node.js");
const { Mem0Api } = require("@mem0/n8n-nodes-mem0/dist/credentials/Mem0Api.credentials.js");

const [baseUrl, apiKey, given] = process.argv.slice(2);
const parameters = JSON.parse(given);

function headers() {
  const { Authorization } = new Mem0Api().authenticate.properties.headers;
  return { Authorization: Authorization.slice(1).replace("{{$credentials.apiKey}}", apiKey) };
}

async function send(_credential, { method, url, qs, body }) {
  const address = new URL(url);
  for (const [key, value] of Object.entries(qs ?? {})) address.searchParams.set(key, value);
  const response = await fetch(address, {
    method,
    headers: { ...headers(), Accept: "application/json", "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) {
    throw Object.assign(new Error((await response.json()).detail), { httpCode: response.status });
  }
  return response.json();
}

const context = {
  getInputData: () => [{ json: {} }],
  getCredentials: async () => ({ baseUrl, apiKey }),
  getNode: () => ({ name: "Mem0", type: "mem0", typeVersion: 1, parameters }),
  getNodeParameter: (path, _item, otherwise) =>
    path.split(".").reduce((part, key) => part?.[key], parameters) ?? otherwise,
  continueOnFail: () => false,
  helpers: { httpRequestWithAuthentication: send },
};

new Mem0().execute.call(context).then(
  ([items]) => console.log(JSON.stringify({ value: items.map((item) => item.json) })),
  (error) => console.log(JSON.stringify({ error: `${error.message} ${error.description ?? ""}` })),
);
