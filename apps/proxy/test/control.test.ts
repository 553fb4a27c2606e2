/** Control of conversations through the gateway: its audit records, its cache and its limits, embedded and in front of a remote server. */
import { type Environment, jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import type { UpstreamFailure, UpstreamRequest } from "../src/ports.ts";
import { controlKey, createDeviceWorld, type ObservedProxy, observeProxy } from "./support/device-world.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf, type TestProxy } from "./support/test-proxy.ts";

describe("commands with the embedded server", () => {
  test("a stop is audited before it is sent, with its caller, operation and device, and again with the device's report", async () => {
    const { control, entries, issueKey, connectionId } = await createDeviceWorld();
    const { key, record } = await issueKey(controlKey);
    const response = await control(key, `${connectionId}/stop`, { agentId: "agent-1", runId: "run-1" });
    expect([response.status, bodyOf(response)]).toEqual([200, { stopped: true }]);
    const [started, finished] = entries;
    expect(started).toMatchObject({
      ...{ type: "control_started", tenant: "default", keyId: record.id, owner: "ada", connectionId },
      ...{ deviceId: "device-1", operation: "stopTurn", agentId: "agent-1", conversationId: null, value: "run-1" },
    });
    expect(finished).toEqual({
      type: "control_finished",
      controlId: started?.type === "control_started" ? started.controlId : "",
      status: 200,
      code: null,
      effect: { stopped: true },
    });
    expect(entries).toHaveLength(2);
  });

  test("a change invalidates the device's cached responses, and the audit log names a removed item", async () => {
    const { control, entries, invalidated, issueKey, connectionId } = await createDeviceWorld();
    const { key } = await issueKey(controlKey);
    expect(bodyOf(await control(key, `${connectionId}/mode`, { agentId: "a", mode: "standard" }))).toEqual({
      mode: "standard",
    });
    expect(invalidated).toEqual([{ deviceId: "device-1" }]);
    expect(bodyOf(await control(key, `${connectionId}/queue/q-7?agentId=a`, null))).toEqual({ removed: true });
    expect(entries[2]).toMatchObject({ type: "control_started", operation: "removeQueueItem", value: "q-7" });
  });

  test("a refused command is audited as refused, and reaches no device", async () => {
    const { control, entries, frames, issueKey, connectionId } = await createDeviceWorld();
    const without = await issueKey({ scopes: ["read", "send", "approve", "details"] });
    const ceiling = await issueKey({ ...controlKey, maxMode: "standard", agentIds: ["agent-1"] });
    const setting = await issueKey({ ...controlKey, setMode: "standard" });
    const denying = await issueKey({ ...controlKey, deniedTools: ["Bash"] });
    const code = async (...given: Parameters<typeof control>) => problemOf(await control(...given)).errorCode;
    expect(await code(without.key, `${connectionId}/stop`)).toBe("insufficient_scope");
    expect(await code(ceiling.key, `${connectionId}/stop`, { agentId: "agent-2" })).toBe("agent_not_allowed");
    expect(await code(ceiling.key, `${connectionId}/queue/q-1?agentId=agent-2`, null)).toBe("agent_not_allowed");
    const mode = { agentId: "agent-1", mode: "unrestricted" };
    expect(await code(ceiling.key, `${connectionId}/mode`, mode)).toBe("mode_not_allowed");
    expect(await code(setting.key, `${connectionId}/mode`, mode)).toBe("mode_not_allowed");
    expect(await code(denying.key, `${connectionId}/mode`, mode)).toBe("mode_not_allowed");
    expect(frames).toEqual([]);
    expect(entries.map(({ type }) => type)).toEqual(Array.from({ length: 6 }, () => "control_refused"));
    expect(entries.at(-1)).toMatchObject({ code: "mode_not_allowed", value: "unrestricted", deviceId: "device-1" });
  });

  test("a message that times out while it waits behind others is not sent, and may be repeated", async () => {
    const { send, entries, frames, issueKey, clock } = await createDeviceWorld(undefined, { reportsModes: "slowly" });
    const { key } = await issueKey({ scopes: ["send"], setMode: "standard" });
    // Each holds up the messages of its key for 9 seconds.
    const earlier = ["1", "2", "3", "4"].map((id) => send(key, id));
    const last = send(key, "5");
    await clock.advance(30_000);
    const response = await last;
    expect([response.status, problemOf(response).errorCode]).toEqual([504, "upstream_timeout"]);
    expect(response.headers["x-should-retry"]).toBe("true");
    expect(entries.at(-1)).toMatchObject({ type: "send_finished", status: 504, code: "upstream_timeout" });
    await clock.advance(30_000);
    await Promise.all(earlier);
    const written = frames.filter(({ type }) => type === "input").map(({ runtime }) => runtime);
    expect(written).toMatchObject(["1", "2", "3"].map((id) => ({ agent_id: `agent-${id}` })));
  });

  test("a sent message without an acknowledgement has an unknown outcome, even for a repeat that times out", async () => {
    const { send, frames, issueKey, clock } = await createDeviceWorld();
    const { key } = await issueKey({ scopes: ["send"] });
    const first = send(key, "1");
    await clock.advance(0);
    const repeat = send(key, "1");
    await clock.advance(30_000);
    for (const response of [await first, await repeat]) expect(problemOf(response).errorCode).toBe("delivery_unknown");
    expect(frames.filter(({ type }) => type === "input")).toHaveLength(1);
  });

  test("a command whose start cannot be stored is not sent", async () => {
    const { control, frames, issueKey, connectionId } = await createDeviceWorld("control_started");
    const { key } = await issueKey(controlKey);
    expect(problemOf(await control(key, `${connectionId}/stop`)).errorCode).toBe("audit_unavailable");
    expect(frames).toEqual([]);
  });
});

describe("commands with a remote upstream", () => {
  const row: Environment = environmentRow("1", { deviceId: "device-1", connectionId: "conn-1" });

  type End = PlainResponse | UpstreamFailure;
  const broken: UpstreamFailure = { reason: "broken", cause: null };

  function setUp(answer: (request: UpstreamRequest) => End | Promise<End>): ObservedProxy {
    return observeProxy((ports) =>
      createTestProxy(
        async (request) =>
          request.method === "GET" ? jsonResponse(200, { connections: [row], hasNextPage: false }) : answer(request),
        { ports },
      ),
    );
  }

  const sentOf = ({ upstreamRequests }: TestProxy): string[] =>
    upstreamRequests.filter(({ method }) => method !== "GET").map(({ method, path }) => `${method} ${path}`);

  test("a command is forwarded with the validated body after its device was found", async () => {
    const world = setUp(() => jsonResponse(200, { stopped: false }));
    const { key } = await world.issueKey(controlKey);
    const response = await world.control(key, "conn-1/stop");
    expect(bodyOf(response)).toEqual({ stopped: false });
    expect(sentOf(world)).toEqual(["POST /v1/environments/conn-1/stop"]);
    await world.control(key, "conn-1/queue/q-1?agentId=agent-1", null);
    expect(world.upstreamRequests.at(-1)).toMatchObject({ method: "DELETE", query: "agentId=agent-1", body: null });
    expect(world.entries[0]).toMatchObject({ type: "control_started", deviceId: "device-1" });
  });

  test("the audit log records the operation's own value, not an unknown member with the name of another operation's value", async () => {
    const world = setUp(() => jsonResponse(200, { stopped: true, resumed: 1 }));
    const { key } = await world.issueKey(controlKey);
    const foreign = { agentId: "agent-1", mode: "plan", directory: "/x" };
    await world.control(key, "conn-1/stop", { ...foreign, runId: "run-1" });
    await world.control(key, "conn-1/queue/resume", { ...foreign, runId: "run-2" });
    const values = world.entries.flatMap((entry) => (entry.type === "control_started" ? [entry.value] : []));
    expect(values).toEqual(["run-1", null]);
  });

  test("the audit log stores only the declared report of a response, not a credential that an upstream repeats, nor megabytes", async () => {
    let answer: object = {};
    const world = setUp(() => jsonResponse(200, answer));
    const { key } = await world.issueKey(controlKey);
    const more = { echo: "Bearer upstream-credential", pad: "p".repeat(5_000) };
    const effectOf = async (path: string, body: object | null, given: object) => {
      answer = { ...given, ...more };
      expect((await world.control(key, path, body)).status).toBe(200);
      const finished = world.entries.at(-1);
      return finished?.type === "control_finished" ? finished.effect : undefined;
    };
    const target = { agentId: "agent-1" };
    const long = `/${"d".repeat(5_000)}`;
    expect(await effectOf("conn-1/stop", target, { stopped: true })).toEqual({ stopped: true });
    expect(await effectOf("conn-1/stop", target, { stopped: more.echo })).toBeNull();
    expect(await effectOf("conn-1/stop", target, {})).toBeNull();
    expect(await effectOf("conn-1/mode", { ...target, mode: "standard" }, { mode: "standard" })).toEqual({
      mode: "standard",
    });
    expect(await effectOf("conn-1/directory", { ...target, directory: "/a" }, { directory: long })).toEqual({
      directory: long.slice(0, 4_096),
    });
    expect(await effectOf("conn-1/queue/resume", target, { resumed: 2 })).toEqual({ resumed: 2 });
    expect(await effectOf("conn-1/queue/q-1?agentId=agent-1", null, { removed: false })).toEqual({ removed: false });
  });

  test("a connection that is not in the tenant's list, or not the key's, is 404 and nothing is forwarded", async () => {
    const world = setUp(() => jsonResponse(200, { stopped: true }));
    const { key } = await world.issueKey(controlKey);
    const other = await world.issueKey({ ...controlKey, deviceIds: ["device-2"] });
    const unknown = await world.control(key, "conn-9/stop");
    const hidden = await world.control(other.key, "conn-1/stop");
    expect(problemOf(unknown)).toEqual(problemOf(hidden));
    expect(problemOf(unknown).errorCode).toBe("connection_not_found");
    expect(sentOf(world)).toEqual([]);
  });

  test.each([
    ["404 without a problem", jsonResponse(404, { message: "Not Found" })],
    ["405", jsonResponse(405, { message: "Method Not Allowed" })],
    ["501", jsonResponse(501, { message: "Not Implemented" })],
    ["404 endpoint_not_found", problemResponse("endpoint_not_found")],
  ])("a server without the operation (%s) becomes endpoint_not_found, which says so", async (_name, answer) => {
    const world = setUp(() => answer);
    const { key } = await world.issueKey(controlKey);
    const response = await world.control(key, "conn-1/stop");
    expect(response.status).toBe(404);
    expect(problemOf(response)).toMatchObject({
      errorCode: "endpoint_not_found",
      detail: "The environment server behind this gateway does not have this operation.",
    });
  });

  test("the server's own refusals are passed on, and an invalid response is control_unknown and not repeated", async () => {
    const refusing = setUp(() => problemResponse("device_offline"));
    const { key } = await refusing.issueKey(controlKey);
    expect(problemOf(await refusing.control(key, "conn-1/stop")).errorCode).toBe("device_offline");
    const breaking = setUp(() => broken);
    const brokenKey = await breaking.issueKey(controlKey);
    expect(problemOf(await breaking.control(brokenKey.key, "conn-1/stop")).errorCode).toBe("control_unknown");
    expect(sentOf(breaking)).toHaveLength(1);
  });

  const foreign = (status: number): PlainResponse =>
    jsonResponse(status, { message: "busy" }, { "x-should-retry": "true" });

  test.each<[string, End, safe: string, unsafe: string]>([
    ["breaks", broken, "true", "false"],
    ["sends 100 Continue", { reason: "unexpected_continue", cause: null }, "true", "false"],
    ["responds that the outcome is unknown", problemResponse("control_unknown"), "true", "false"],
    ...[409, 429, 500, 503].map((status): [string, PlainResponse, string, string] => [
      `of another vendor answers ${status} and asks for a repeat`,
      ...([foreign(status), "true", "false"] as const),
    ]),
    ["was never reached", { reason: "unreachable", cause: null }, "true", "true"],
    ["is another gateway that refuses before delivery", problemResponse("overloaded"), "true", "true"],
  ])(
    "when the server %s, a command that may have been sent is safe to repeat only if a repeat cannot undo a later change",
    async (_what, end, safe, unsafe) => {
      const world = setUp(() => end);
      const { key } = await world.issueKey(controlKey);
      const shouldRetry = async (path: string, more = {}) =>
        (await world.control(key, path, { agentId: "agent-1", ...more })).headers["x-should-retry"];
      expect(await shouldRetry("conn-1/stop", { runId: "run-1" })).toBe(safe);
      expect(await shouldRetry("conn-1/directory", { directory: "/code" })).toBe(safe);
      expect(await shouldRetry("conn-1/stop")).toBe(unsafe);
      expect(await shouldRetry("conn-1/mode", { mode: "standard" })).toBe(unsafe);
      expect(await shouldRetry("conn-1/queue/resume")).toBe(unsafe);
    },
  );

  test("a resume without a response in time may not be repeated", async () => {
    const world = setUp(() => new Promise(() => undefined));
    const { key } = await world.issueKey(controlKey);
    const pending = world.control(key, "conn-1/queue/resume");
    await world.clock.advance(30_000);
    const response = await pending;
    expect(problemOf(response).errorCode).toBe("control_unknown");
    expect(response.headers["x-should-retry"]).toBe("false");
  });

  test("the operations are 404 on Workers, with the reason", async () => {
    const world = createTestProxy(undefined, { remote: { isolatesRequests: true } });
    const { key } = await world.issueKey(controlKey);
    const path = "/v1/environments/conn-1/stop";
    const response = await world.proxy.handle(fakeRequest({ key, method: "POST", path, body: "{}" }));
    expect(problemOf(response)).toMatchObject({
      errorCode: "endpoint_not_found",
      detail: expect.stringContaining("Cloudflare Workers"),
    });
  });

  test("a key that sets a mode has the conversation switched first, and sends nothing if the device does not report the mode", async () => {
    let reported = "standard";
    const world = setUp(({ path }) =>
      path.endsWith("/mode")
        ? jsonResponse(200, { mode: reported })
        : jsonResponse(200, { success: true, message: "ok" }),
    );
    const setting = { ...controlKey, scopes: ["send" as const], setMode: "default", maxMode: "standard" };
    const { key, record } = await world.issueKey(setting);
    const send = (id: string) =>
      world.proxy.handle(
        fakeRequest({
          ...{ key, method: "POST", path: "/v1/environments/conn-1/messages" },
          body: JSON.stringify({
            agentId: "agent-1",
            messages: [{ role: "user", content: "x", client_message_id: id }],
          }),
        }),
      );
    expect((await send("m-1")).status).toBe(200);
    expect(sentOf(world)).toEqual(["POST /v1/environments/conn-1/mode", "POST /v1/environments/conn-1/messages"]);
    const change = world.upstreamRequests.find(({ path }) => path.endsWith("/mode"));
    expect(JSON.parse(new TextDecoder().decode(change?.body ?? undefined))).toEqual({
      agentId: "agent-1",
      mode: "default",
    });
    reported = "unrestricted";
    expect(problemOf(await send("m-2"))).toMatchObject({ errorCode: "mode_not_set", status: 409 });
    expect(sentOf(world)).toHaveLength(3);
    const switches = () => world.entries.filter(({ type }) => type === "mode_switched");
    const facts = { tenant: "default", keyId: record.id, connectionId: "conn-1", deviceId: "device-1" };
    const conversation = { agentId: "agent-1", conversationId: "default", mode: "default" };
    expect(switches()).toEqual([
      { type: "mode_switched", ...facts, ...conversation, outcome: "done" },
      { type: "mode_switched", ...facts, ...conversation, outcome: "rejected" },
    ]);
    expect(world.entries.map(({ type }) => type)).toEqual([
      ...["send_started", "mode_switched", "send_finished"],
      ...["send_started", "mode_switched", "send_finished"],
    ]);
    reported = "standard";
    expect((await send("m-2")).status).toBe(200);
  });

  test("a key that sets a mode has it set before a message with a decision, but not for a decision alone", async () => {
    const world = setUp(({ path }) =>
      jsonResponse(200, path.endsWith("/mode") ? { mode: "standard" } : { success: true, message: "ok" }),
    );
    const { key } = await world.issueKey({ ...controlKey, scopes: ["send", "approve"], setMode: "standard" });
    const decision = { type: "approval", approvals: [{ approve: true, tool_call_id: "call-1" }] };
    const message = { role: "user", content: "x", client_message_id: "m-1" };
    const later = { ...decision, approvals: [{ approve: true, tool_call_id: "call-2" }] };
    for (const messages of [[decision, message], [later]]) {
      await world.control(key, "conn-1/messages", { agentId: "agent-1", messages });
    }
    const [mode, messages] = ["mode", "messages"].map((name) => `POST /v1/environments/conn-1/${name}`);
    expect(sentOf(world)).toEqual([mode, messages, messages]);
  });

  test.each([
    ["breaks", { reason: "broken", cause: null } as const, ["unknown"]],
    ["is 504 control_unknown", problemResponse("control_unknown"), ["unknown"]],
    ["is 504 of a server in between", jsonResponse(504, { message: "Gateway Timeout" }), ["unknown"]],
    ["is refused", problemResponse("device_offline"), ["rejected"]],
    ["is refused before the upstream sends it", problemResponse("shutting_down"), ["rejected"]],
    ["is not implemented", jsonResponse(501, {}), ["rejected"]],
    ["was never sent", { reason: "unreachable", cause: null } as const, []],
  ])(
    "a switch of the mode before a message that %s is in the audit log with its outcome",
    async (_what, end, outcomes) => {
      const world = setUp(({ path }) => (path.endsWith("/mode") ? end : jsonResponse(200, {})));
      const { key } = await world.issueKey({ ...controlKey, scopes: ["send"], setMode: "default" });
      const messages = [{ role: "user", content: "x", client_message_id: "m-1" }];
      const response = await world.proxy.handle(
        fakeRequest({
          ...{ key, method: "POST", path: "/v1/environments/conn-1/messages" },
          body: JSON.stringify({ agentId: "agent-1", messages }),
        }),
      );
      expect(problemOf(response).errorCode).toBe("mode_not_set");
      const switches = world.entries.filter((entry) => entry.type === "mode_switched");
      expect(switches.map(({ outcome }) => outcome)).toEqual(outcomes);
    },
  );
});
