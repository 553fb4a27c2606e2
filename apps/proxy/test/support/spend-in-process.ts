/** A process for tests: `node spend-in-process.ts URL COUNT` takes COUNT requests at once when the list `go` has an element. */
import process from "node:process";
import { connectValkey } from "@letta-environments/platform/valkey";
import { createValkeyRateLimitStore } from "../../src/adapters/valkey/rate-limit-store.ts";
import { testCheck } from "./test-check.ts";

const [url = "", count = "0"] = process.argv.slice(2);
const connection = connectValkey(url, {
  timeoutMs: 30_000,
  onFailure: (cause) => void process.stderr.write(`${String(cause)}\n`),
});
const store = createValkeyRateLimitStore(connection, { prefix: "processes" });
const check = testCheck({ windowMs: 3_600_000 });
await connection.command(["PING"]);
process.stdout.write("ready\n");
await connection.command(["BLPOP", "go", 20]);
const outcomes = await Promise.all(
  Array.from({ length: Number(count) }, async () => store.take([check], { probe: false, leaseId: null })),
);
process.stdout.write(`admitted ${outcomes.filter(({ admitted }) => admitted).length}\n`);
await connection.close();
