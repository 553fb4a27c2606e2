import { expect, test } from "vitest";
import { createClient, createTransport, type EnvironmentsResource, retrieveLastRuntime } from "../src/index.ts";
import { createDriftReporter, type Drift } from "../src/drift.ts";
import { exampleEnvironment, respondWithJson, scriptFetch } from "../src/testing/index.ts";

test("unknown members and modes are reported, and the response is returned unchanged", async () => {
  const row = { ...exampleEnvironment({ deviceId: "d-1", currentMode: "plan" }), future: 1 };
  const page = { connections: [row], hasNextPage: false };
  const drifts: Drift[] = [];
  const onDrift = createDriftReporter((drift) => void drifts.push(drift));
  const responses = [page, row, { success: true, message: "ok", newer: 1 }].map((value) => respondWithJson(200, value));
  const { fetch } = scriptFetch(...responses);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "k", fetch, onDrift });
  await expect(environments.list()).resolves.toEqual(page);
  expect(
    drifts
      .splice(0)
      .map(({ kind }) => kind)
      .sort(),
  ).toEqual(["unknown_member", "unknown_value"]);
  await environments.retrieve("d-1");
  expect(drifts.splice(0)).toHaveLength(2);
  await environments.sendMessage("c-1", { messages: [{ role: "user", content: "hello" }] });
  expect(drifts).toEqual([expect.objectContaining({ kind: "unknown_member", path: "newer" })]);
});

const row = exampleEnvironment({ deviceId: "d-1", connectionId: "c-1", connectedAt: 1, lastHeartbeat: Date.now() });
const status = { agentId: null, clientMessageId: "m-1", conversationId: "c", deviceId: "d-1", state: "finished" };
const approvals = { approvals: [], hasNextPage: false, cursor: null };
const target = { agentId: "a-1" };
const message = { role: "user", content: "hello" } as const;

test.each<[keyof EnvironmentsResource | "messages.list", object, (client: EnvironmentsResource) => Promise<unknown>]>([
  ["list", { connections: [], hasNextPage: false }, (client) => client.list()],
  ["retrieve", row, (client) => client.retrieve("d-1")],
  ["update", row, (client) => client.update("d-1", { tags: [] })],
  ["sendMessage", { success: true, message: "" }, (client) => client.sendMessage("c-1", { messages: [message] })],
  ["messages.list", { messages: [status], hasNextPage: false, cursor: null }, (client) => client.messages.list("d-1")],
  ["messages", status, (client) => client.messages.retrieve("c-1", "m-1")],
  ["approvals", approvals, (client) => client.approvals.list()],
  ["stop", { stopped: true }, (client) => client.stop("d-1", target)],
  ["setMode", { mode: "standard" }, (client) => client.setMode("d-1", "standard", target)],
  ["setDirectory", { directory: "/" }, (client) => client.setDirectory("d-1", "/", target)],
  ["resumeQueue", { resumed: 1 }, (client) => client.resumeQueue("d-1", target)],
  ["removeQueueItem", { removed: true }, (client) => client.removeQueueItem("d-1", "item-1", target)],
])("a member of the response to %s that is newer than this package is reported", async (_operation, body, call) => {
  const paths: string[] = [];
  const onDrift = createDriftReporter(({ path }) => void paths.push(path));
  const answer = respondWithJson(200, { ...body, newer: 1 });
  const device = respondWithJson(200, row);
  const fetch = async (url: string, init: RequestInit) =>
    url.endsWith("/environments/d-1") && init.method === "GET" && body !== row ? device() : answer();
  await call(createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "k", fetch, onDrift }).environments);
  expect(paths).toEqual(["newer"]);
});

test("a member of the last runtime that is newer than this package is reported", async () => {
  const paths: string[] = [];
  const onDrift = createDriftReporter(({ path }) => void paths.push(path));
  const device = { environmentId: null, deviceId: "d-1", connectionName: "d", metadata: null, lastSeenAt: null };
  const runtime = { ...device, status: "online", isOnline: true, lastUsedAt: 1, source: "environment", newer: 1 };
  const { fetch } = scriptFetch(respondWithJson(200, runtime));
  await retrieveLastRuntime(createTransport({ baseUrl: "http://127.0.0.1:1", apiKey: "k", fetch, onDrift }), target);
  expect(paths).toEqual(["newer"]);
});
