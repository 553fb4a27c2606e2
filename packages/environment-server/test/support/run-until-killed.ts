/**
 * A process for the kill test: serves one device over the database file that is named as its argument, sends it one message
 * that is acknowledged and one that is not, prints the responses, and waits to be killed.
 */
import process from "node:process";
import { openSqlite, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createEnvironmentServer } from "../../src/index.ts";
import { createSqliteEnvironmentStore } from "../../src/sqlite.ts";
import { createFakeSocket } from "./fake-socket.ts";
import { anyone, toAnswer, toRequest, userMessage } from "./harness.ts";

const server = createEnvironmentServer({
  store: createSqliteEnvironmentStore(openSqlite(process.argv[2] ?? "")),
  clock: systemClock,
  sha256: sha256Hex,
  randomId,
  podId: "pod-1",
  publicUrl: "http://127.0.0.1",
  settleMs: 0,
});
const body = { deviceId: "device-1", connectionName: "box" };
const registered = await server.handle(toRequest("POST", "/v1/environments/register", { body }), anyone, {
  authority: null,
});
const connectionId = String(toAnswer(registered).body["connectionId"]);
const decision = await server.upgrade(toRequest("GET", `/v1/environments/${connectionId}/socket`), anyone);
if (decision.kind === "refused") throw new Error("refused");
const socket = createFakeSocket();
socket.listener = decision.attach(socket);

function send(id: string): Promise<unknown> {
  const message = { messages: [userMessage(id)], agentId: "agent-1" };
  const request = toRequest("POST", `/v1/environments/${connectionId}/messages`, { body: message });
  return server.handle(request, anyone, { authority: null }).then((response) => toAnswer(response).status);
}

socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
const status = await send("acknowledged");
socket.onFrame = () => {
  // Says nothing: the message is in flight when the process dies.
  process.stdout.write(`${JSON.stringify({ connectionId, status })}\n`);
};
// Keeps the process alive: the timers of the server do not.
setInterval(() => undefined, 1_000);
await send("unacknowledged");
