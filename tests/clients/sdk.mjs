// One call of mem0's JavaScript SDK: node sdk.mjs PACKAGE HOST KEY METHOD [ARGUMENT as JSON]...
// Prints {"value"} or {"error"} as JSON.
const [name, host, apiKey, method, ...args] = process.argv.slice(2);
const { default: MemoryClient } = await import(name);
const client = new MemoryClient({ apiKey, host });
let answer;
try {
  answer = { value: await client[method](...args.map((arg) => JSON.parse(arg))) };
} catch (error) {
  answer = { error: `${error.name}: ${error.message}` };
}
process.stdout.write(`\n${JSON.stringify(answer)}\n`, () => process.exit());
