/**
 * A process for the kill test of logs in Valkey: serves one device whose rows are in a SQLite file and whose statuses, requests for permission and
 * events are in Valkey. It sends messages, runs their turns and decides requests until it is killed, and prints each fact that its caller has seen.
 */
import { randomBytes } from "node:crypto";
import process from "node:process";
import { openSqlite, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import type { Principal } from "@letta-environments/schema";
import { readEvents } from "@letta-environments/testkit";
import { createEnvironmentServer } from "../../src/index.ts";
import { createFakeSocket } from "./fake-socket.ts";
import { anyone, type CallOptions, toAnswer, toRequest, userMessage } from "./harness.ts";
import { openLogsInValkey } from "./logs-in-valkey.ts";

const [file = "", url = "", run = ""] = process.argv.slice(2);
const everything: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "approve", "view"] as const) };
const connection = connectValkey(url, { timeoutMs: 5_000, onFailure: () => undefined });
const store = openLogsInValkey(openSqlite(file), connection, () => randomBytes(8).toString("hex"));
const server = createEnvironmentServer({
  store,
  ...{ clock: systemClock, sha256: sha256Hex, randomId, podId: "pod-1", publicUrl: "http://127.0.0.1", settleMs: 0 },
});
const print = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

async function call(method: string, path: string, options: CallOptions = {}) {
  return toAnswer(await server.handle(toRequest(method, path, options), everything, { authority: null }));
}

const registered = await call("POST", "/v1/environments/register", {
  body: { deviceId: "device-1", connectionName: "box" },
});
const connectionId = String(registered.body["connectionId"]);
const opened = await server.openEvents({ query: { include: "output" }, lastEventId: null }, everything);
if (opened.kind === "refused") throw new Error("refused");
const sink = readEvents(opened.stream.stream);
let printed = 0;
/** Prints the events that the reader has received by now. Each of them was stored before. */
function printEvents(): void {
  for (const { id, type, data } of sink.events.slice(printed)) print({ event: id, type, data });
  printed = sink.events.length;
}

const decision = await server.upgrade(toRequest("GET", `/v1/environments/${connectionId}/socket`), everything);
if (decision.kind === "refused") throw new Error("refused");
const socket = createFakeSocket();
socket.listener = decision.attach(socket);
socket.onFrame = ({ type }) => {
  if (type === "input") queueMicrotask(() => socket.acknowledge());
};
const runtime = { agent_id: "agent-1", conversation_id: "default" };
const messages = `/v1/environments/${connectionId}/messages`;

async function until(happened: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await happened())) {
    await new Promise((resolve) => setImmediate(resolve));
    printEvents();
  }
}

async function decide(toolCallId: string): Promise<void> {
  socket.ask(toolCallId);
  // The list shows a request at once, and the log has it a little later.
  await until(async () => JSON.stringify(await store.findPendingApprovals(100)).includes(toolCallId));
  print({ asked: toolCallId });
  const approvals = [{ type: "approval", tool_call_id: toolCallId, approve: true }];
  const body = { agentId: "agent-1", messages: [{ type: "approval", approvals }] };
  const { status } = await call("POST", messages, { body });
  print({ decided: toolCallId, status });
}

print({ connectionId });
for (let number = 1; ; number += 1) {
  const id = `m-${run}-${number}`;
  const { status } = await call("POST", messages, { body: { agentId: "agent-1", messages: [userMessage(id)] } });
  print({ sent: id, status });
  const delta = { message_type: "assistant_message", id, content: `text of ${id}` };
  const [event_seq, idempotency_key] = [Number(run) * 1_000_000 + number, `stream_delta:${id}`];
  socket.say({ type: "stream_delta", delta, runtime, event_seq, idempotency_key });
  if (number % 3 === 0) await decide(`call-${run}-${number}`);
  socket.say({ type: "turn_finished", runtime, turn_id: `turn-${id}`, stop_reason: "end_turn" });
  await until(async () => (await call("GET", `${messages}/${id}`)).body["state"] === "finished");
  print({ finished: id });
  printEvents();
}
