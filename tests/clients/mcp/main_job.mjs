// The main job by the official TypeScript SDKs. Takes the address, the package, the era and
// perhaps a key; prints what it found as one line of JSON.

const [address, sdk, era, key] = process.argv.slice(2);

const [{ Client }, { StreamableHTTPClientTransport }] =
  sdk === "client"
    ? Array(2).fill(await import("@modelcontextprotocol/client"))
    : [
        await import("@modelcontextprotocol/sdk/client/index.js"),
        await import("@modelcontextprotocol/sdk/client/streamableHttp.js"),
      ];

const options = sdk === "client" ? { versionNegotiation: { mode: era } } : {};
const client = new Client({ name: "tests", version: "1" }, options);
const headers = key ? { Authorization: `Bearer ${key}` } : {};

async function called(name, args) {
  const { content, structuredContent, isError } = await client.callTool({ name, arguments: args });
  return isError ? { failed: content[0].text } : structuredContent;
}

const found = {};
try {
  await client.connect(new StreamableHTTPClientTransport(new URL(address), { requestInit: { headers } }));
  const { tools } = await client.listTools();
  found.tools = tools.map(({ name }) => name);
  found.writing = tools.filter(({ annotations }) => !annotations.readOnlyHint).map(({ name }) => name);
  found.user_id = tools.filter(({ inputSchema }) => "user_id" in inputSchema.properties).length;
  const scope = found.user_id ? { user_id: "typescript" } : {};
  const added = await called("add_memory", { text: "I love hiking", ...scope });
  found.added = added.failed ?? added.results.map(({ memory }) => memory);
  const { results } = await called("search_memories", { query: "hiking", ...scope });
  found.found = results.map(({ memory }) => memory);
  for (const { id } of results) await called("delete_memory", { memory_id: id });
  found.left = (await called("get_memories", scope)).results.length;
  await client.close();
} catch (error) {
  found.error = String(error.message ?? error);
}
console.log(JSON.stringify(found));
