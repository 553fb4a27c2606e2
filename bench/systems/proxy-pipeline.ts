/** The proxy's pipeline behind its own HTTP server, with everything but an upstream and a log: the answer is fixed. */
import process from "node:process";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { createSqliteKeyStore } from "../../apps/proxy/src/adapters/sqlite/key-store.ts";
import { startNodeServer } from "../../apps/proxy/test/support/node-server.ts";
import { issueTestKey } from "../../apps/proxy/test/support/test-proxy.ts";
import { fixedBody } from "./fixed-answer.ts";

const keyStore = createSqliteKeyStore(openSqlite(":memory:"), systemClock);
const { key } = await issueTestKey(keyStore, systemClock);
const answer = { status: 200, headers: { "content-type": "application/json" }, body: fixedBody };
process.send?.({ key });
await startNodeServer(() => Promise.resolve(answer), {
  ports: { clock: systemClock, keyStore, telemetry: () => undefined },
});
