// One call of the Vercel AI SDK provider's own functions: node vercel.mjs HOST KEY METHOD
// [ARGUMENT as JSON]... with the host in the last one. Prints {"value"} or {"error"} as JSON.
import * as provider from "@mem0/vercel-ai-provider";

const [host, mem0ApiKey, method, ...args] = process.argv.slice(2);
const given = args.map((arg) => JSON.parse(arg));
const config = { ...given.pop(), host, mem0ApiKey };
let answer;
try {
  answer = { value: await provider[method](...given, config) };
} catch (error) {
  answer = { error: `${error.name}: ${error.message}` };
}
process.stdout.write(`\n${JSON.stringify(answer)}\n`, () => process.exit());
