import { describe, expect, test } from "vitest";
import { createClient, type EnvironmentsResource } from "../src/index.ts";
import {
  createFakeServer,
  exampleEnvironment,
  respondWithJson,
  respondWithProblem,
  scriptFetch,
} from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";

const agent = { agentId: "agent-1" };
const onlineDevice = exampleEnvironment({ deviceId: "d-1", connectionId: "conn-1", lastHeartbeat: Date.now() });

/** A client whose device is found, and whose command gets these responses. */
function setUp(...responses: readonly (() => Response | Error)[]) {
  const script = scriptFetch(respondWithJson(200, onlineDevice), ...responses);
  const { environments } = createClient({ baseUrl: "https://gateway.example", apiKey: "key", fetch: script.fetch });
  const sent = () =>
    script.seen
      .slice(1)
      .map(({ url, init, body }) => [init.method, new URL(url).pathname + new URL(url).search, body] as const);
  return { environments, sent };
}

describe("control operations", () => {
  test("stop, setMode, setDirectory and resumeQueue post the conversation to the device's connection", async () => {
    const cases = [
      ["stop", { stopped: true }, () => setUp(respondWithJson(200, { stopped: true }))],
      ["mode", { mode: "standard" }, () => setUp(respondWithJson(200, { mode: "standard" }))],
      ["directory", { directory: "/code" }, () => setUp(respondWithJson(200, { directory: "/code" }))],
      ["queue/resume", { resumed: 2 }, () => setUp(respondWithJson(200, { resumed: 2 }))],
    ] as const;
    for (const [path, result, setUp] of cases) {
      const { environments, sent } = setUp();
      const call = {
        stop: () => environments.stop("d-1", { ...agent, conversationId: undefined, runId: "run-1" }),
        mode: () => environments.setMode("d-1", "standard", agent),
        directory: () => environments.setDirectory("d-1", "/code", agent),
        "queue/resume": () => environments.resumeQueue("d-1", { conversationId: "conv-1" }),
      }[path];
      expect(await call()).toEqual(result);
      const [[method, target, body] = []] = sent();
      expect([method, target]).toEqual(["POST", `/v1/environments/conn-1/${path}`]);
      expect(JSON.parse(body ?? "")).toEqual(
        {
          stop: { ...agent, runId: "run-1" },
          mode: { ...agent, mode: "standard" },
          directory: { ...agent, directory: "/code" },
          "queue/resume": { conversationId: "conv-1" },
        }[path],
      );
    }
  });

  test("removeQueueItem deletes the item of the conversation, and has no body", async () => {
    const { environments, sent } = setUp(respondWithJson(200, { removed: true }));
    const item = environments.removeQueueItem("d-1", "q-1", { ...agent, conversationId: null });
    expect(await item).toEqual({ removed: true });
    expect(sent()).toEqual([["DELETE", "/v1/environments/conn-1/queue/q-1?agentId=agent-1", ""]]);
  });

  test.each<[string, (environments: EnvironmentsResource) => Promise<unknown>]>([
    ["stopped", ({ stop }) => stop("d-1", agent)],
    ["mode", ({ setMode }) => setMode("d-1", "standard", agent)],
    ["directory", ({ setDirectory }) => setDirectory("d-1", "/code", agent)],
    ["resumed", ({ resumeQueue }) => resumeQueue("d-1", agent)],
    ["removed", ({ removeQueueItem }) => removeQueueItem("d-1", "q-1", agent)],
  ])("a success without %s, which the caller relies on, is an invalid response", async (member, call) => {
    for (const body of [{}, { [member]: null }]) {
      const error = await catchError(call(setUp(respondWithJson(200, body)).environments));
      expect(error).toMatchObject({ code: "invalid_response", message: `invalid response: ${member}` });
    }
  });

  test("a broken argument is refused before any request", async () => {
    const { environments, sent } = setUp();
    for (const call of [
      environments.setMode("d-1", "", agent),
      environments.setDirectory("d-1", 5 as unknown as string, agent),
      environments.removeQueueItem("d-1", "../x", agent),
      environments.stop("d-1", null as unknown as object),
    ]) {
      expect((await catchError(call)).code).toBe("invalid_argument");
    }
    expect(sent()).toEqual([]);
  });

  test.each<[string, () => Response | Error, string]>([
    ["no response", () => new TypeError("fetch failed"), "connection_failed"],
    ["control_unknown", respondWithProblem("control_unknown"), "control_unknown"],
    ["a foreign 503", respondWithJson(503, {}, { "x-should-retry": "true" }), "http_error"],
  ])("no command is repeated after %s, because a repeat could affect a later turn", async (_case, failure, code) => {
    // Deduplication covers the ids of messages, which commands do not have.
    const found = respondWithJson(200, onlineDevice, { "x-message-deduplication": "86400" });
    for (const run of [
      ({ stop }: EnvironmentsResource) => stop("d-1", agent),
      ({ setMode }: EnvironmentsResource) => setMode("d-1", "standard", agent),
      ({ setDirectory }: EnvironmentsResource) => setDirectory("d-1", "/code", agent),
      ({ resumeQueue }: EnvironmentsResource) => resumeQueue("d-1", agent),
      ({ removeQueueItem }: EnvironmentsResource) => removeQueueItem("d-1", "q-1", agent),
      ({ retrieve, remove }: EnvironmentsResource) => retrieve("d-1").then(() => remove("d-1")),
    ]) {
      const script = scriptFetch(found, failure);
      const { environments } = createClient({ baseUrl: "https://gateway.example", apiKey: "key", fetch: script.fetch });
      const error = await catchError(run(environments));
      expect(error).toMatchObject({ code, outcome: "unknown", retryable: false });
      expect(script.seen).toHaveLength(2);
    }
  });

  test.each<[string, (environments: EnvironmentsResource) => Promise<unknown>, string]>([
    ["a stop of an offline device", ({ stop }) => stop("d-1", agent), "device_offline"],
    ["a mode that is not a string", ({ setMode }) => setMode("d-1", "", agent), "invalid_argument"],
    ["a removal of an invalid id", ({ remove }) => remove(".."), "invalid_argument"],
  ])("the outcome of %s is refused, because nothing was sent", async (_case, run, code) => {
    const script = scriptFetch(respondWithJson(200, { ...onlineDevice, connectionId: null }));
    const { environments } = createClient({ baseUrl: "https://gateway.example", apiKey: "key", fetch: script.fetch });
    expect(await catchError(run(environments))).toMatchObject({ code, outcome: "refused" });
  });

  test("a command that was refused before it left is repeated", async () => {
    const { environments, sent } = setUp(respondWithProblem("overloaded"), respondWithJson(200, { stopped: true }));
    expect(await environments.stop("d-1", agent)).toEqual({ stopped: true });
    expect(sent()).toHaveLength(2);
  });

  test("an offline device is device_offline, and nothing is sent", async () => {
    const server = createFakeServer();
    server.put({ deviceId: "d-1" });
    const { environments } = createClient({ baseUrl: "https://fake.example", apiKey: "key", fetch: server.fetch });
    expect((await catchError(environments.stop("d-1", agent))).code).toBe("device_offline");
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    ["our code", respondWithProblem("endpoint_not_found"), "endpoint_not_found"],
    ["a plain 404", respondWithJson(404, { message: "Not Found" }), "http_error"],
    ["a plain 405", respondWithJson(405, {}), "http_error"],
  ])("a server without the operation (%s) gets a readable error", async (_case, respond, code) => {
    const { environments } = setUp(respond);
    const error = await catchError(environments.setMode("d-1", "standard", agent));
    expect([error.code, error.message]).toEqual([
      code,
      expect.stringContaining("the server does not offer changeMode, an extension of @letta-environments"),
    ]);
  });
});
