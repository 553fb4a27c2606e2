import type { LastRuntime } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { createTransport, retrieveLastRuntime } from "../src/index.ts";
import { respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";

const last: LastRuntime = {
  environmentId: "env-1",
  deviceId: "d-1",
  connectionName: "box",
  metadata: null,
  status: "online",
  isOnline: true,
  lastSeenAt: 2,
  lastUsedAt: 1,
  source: "environment",
};

function setUp(...responses: readonly (() => Response)[]) {
  const { fetch, seen } = scriptFetch(...responses);
  return { transport: createTransport({ baseUrl: "https://fake.example", apiKey: "key", fetch }), seen };
}

test("lastRuntime encodes its ids, and defaults to the default conversation", async () => {
  const { transport, seen } = setUp(respondWithJson(200, last));
  expect(await retrieveLastRuntime(transport, { agentId: "agent/1", conversationId: "conv 1" })).toEqual(last);
  await retrieveLastRuntime(transport, { agentId: "agent-1" });
  expect(seen.map(({ url }) => url)).toEqual([
    "https://fake.example/v1/environments/runtimes/agent%2F1/conv%201/last",
    "https://fake.example/v1/environments/runtimes/agent-1/default/last",
  ]);
});

test("a conversation that no device has run is an error with its own code, and a server without the operation is reported as such", async () => {
  const { transport } = setUp(respondWithProblem("environment_not_found"), respondWithProblem("endpoint_not_found"));
  const runtime = { agentId: "agent-1" };
  expect((await catchError(retrieveLastRuntime(transport, runtime))).code).toBe("environment_not_found");
  const missing = await catchError(retrieveLastRuntime(transport, runtime));
  expect(missing.message).toContain("does not offer retrieveLastRuntime");
});

test("ids that are invalid in a path are refused before any request", async () => {
  const { transport, seen } = setUp(respondWithJson(200, last));
  for (const runtime of [{ agentId: "" }, { agentId: "a", conversationId: "" }])
    expect((await catchError(retrieveLastRuntime(transport, runtime))).code).toBe("invalid_argument");
  expect(seen).toEqual([]);
});
