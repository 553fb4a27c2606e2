/** In front of a remote upstream, a send that is repeated is delivered once, and its repeats receive the first result. */
import { jsonResponse, problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import type { AuditEntry } from "../src/audit/entry.ts";
import { environmentRow } from "./support/environment-row.ts";
import {
  accepted,
  approval,
  createSendWorld,
  deferred,
  namedMembers,
  summarise,
  unreachable,
  user,
} from "./support/send-world.ts";
import { bodyOf, problemOf } from "./support/test-proxy.ts";

const hourMs = 3_600_000;
const allow = { approve: true, tool_call_id: "call-1" };
const deny = { approve: false, tool_call_id: "call-1" };

describe("repeats of sends", () => {
  test("a repeat receives the first result and is not delivered again", async () => {
    const world = await createSendWorld();
    const first = await world.send();
    const second = await world.send();
    expect([summarise(first), summarise(second)]).toEqual(["200", "200 replayed"]);
    expect(second.body).toEqual(first.body);
    expect(world.delivered()).toHaveLength(1);
  });

  test.each([
    ["a refusal by the device", jsonResponse(200, { success: false, message: "busy" })],
    ["a rejection", problemResponse("input_rejected")],
    ["an unknown outcome", problemResponse("delivery_unknown")],
  ])("a repeat also receives %s", async (_what, answer) => {
    const world = await createSendWorld();
    world.upstream = () => Promise.resolve(answer);
    const first = await world.send();
    const second = await world.send();
    expect(summarise(second)).toBe(`${summarise(first)} replayed`);
    expect(second.headers["x-should-retry"]).toBe(first.headers["x-should-retry"]);
    expect(bodyOf(second)).toEqual(bodyOf(first));
    expect(world.delivered()).toHaveLength(1);
  });

  test("a repeat receives the first result for 24 hours, whatever happens to the wall clock", async () => {
    const world = await createSendWorld();
    await world.send();
    await world.clock.advance(24 * hourMs - 1);
    world.clock.shiftWallTime(-25 * hourMs);
    expect(summarise(await world.send())).toBe("200 replayed");
    await world.clock.advance(1);
    expect(summarise(await world.send())).toBe("200");
    expect(world.delivered()).toHaveLength(2);
  });

  test("a repeat receives the result under the device's new connection, and under the old one", async () => {
    const world = await createSendWorld();
    await world.send();
    world.rows = [environmentRow("1", { connectionId: "conn-9" })];
    await world.clock.advance(6_000);
    expect(summarise(await world.send({ connectionId: "conn-9" }))).toBe("200 replayed");
    expect(summarise(await world.send())).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a repeat receives the result while the device is offline, and while the upstream cannot be reached", async () => {
    const world = await createSendWorld();
    await world.send();
    await world.clock.advance(6_000);
    world.rows = [environmentRow("1", { connectionId: null })];
    expect(summarise(await world.send())).toBe("200 replayed");
    // Until then, the gateway remembers that the upstream does not list the connection.
    await world.clock.advance(4_000);
    world.reads = unreachable;
    expect(summarise(await world.send())).toBe("200 replayed");
    expect(summarise(await world.send({ messages: [user("n")] }))).toBe("502 upstream_unreachable");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a repeat with a key that is limited to tags receives the result, even while the upstream no longer lists the connection", async () => {
    const world = await createSendWorld();
    world.rows = [environmentRow("1", { tags: ["ci"] })];
    const { key } = await world.issueKey({ deviceTags: ["ci"] });
    const { key: other } = await world.issueKey({ deviceTags: ["gpu"] });
    await world.send({ key });
    await world.clock.advance(6_000);
    world.rows = [environmentRow("1", { connectionId: null, tags: ["ci"] })];
    expect(summarise(await world.send({ key }))).toBe("200 replayed");
    expect(summarise(await world.send({ key: other }))).toBe("404 connection_not_found");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a repeat receives the result although the device has changed to a mode in which the key may not send", async () => {
    const world = await createSendWorld();
    world.rows = [environmentRow("1", { currentMode: "standard" })];
    const { key } = await world.issueKey({ maxMode: "standard" });
    await world.send({ key });
    world.rows = [environmentRow("1", { currentMode: "unrestricted" })];
    expect(summarise(await world.send({ key }))).toBe("200 replayed");
    expect(summarise(await world.send({ key, messages: [user("n")] }))).toBe("403 mode_not_allowed");
  });

  test("a repeat to a device that the key may not use is 404, even while the upstream cannot be reached", async () => {
    const world = await createSendWorld();
    await world.send();
    const { key } = await world.issueKey({ deviceIds: ["device-2"] });
    expect(summarise(await world.send({ key }))).toBe("404 connection_not_found");
    world.reads = unreachable;
    await world.clock.advance(6_000);
    expect(summarise(await world.send({ key }))).toBe("502 upstream_unreachable");
  });

  test("a repeat to a device that was renamed out of the key's patterns is 404", async () => {
    const world = await createSendWorld();
    const { key } = await world.issueKey({ connectionNames: ["box"] });
    expect(summarise(await world.send({ key }))).toBe("200");
    world.rows = [environmentRow("1", { connectionName: "prod" })];
    await world.clock.advance(6_000);
    expect(summarise(await world.send({ key }))).toBe("404 connection_not_found");
  });

  test("a repeat by another tenant, for another agent, or in another conversation is a different message", async () => {
    const world = await createSendWorld();
    const { key } = await world.issueKey({ tenant: "other" });
    const responses = [
      await world.send(),
      await world.send({ key }),
      await world.send({ members: { agentId: "agent-2" } }),
      await world.send({ members: { conversationId: "c" } }),
    ];
    expect(responses.map(summarise)).toEqual(["200", "200", "200", "200"]);
    expect(await world.send({ members: { conversationId: null } }).then(summarise)).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(4);
  });

  test("a repeat is recorded in the audit log as the result of an earlier send", async () => {
    const world = await createSendWorld();
    await world.send();
    await world.send();
    expect(world.entries).toMatchObject([
      { type: "send_started" },
      { type: "send_finished", status: 200, replayed: false },
      { type: "send_started", deviceId: "device-1" },
      { type: "send_finished", status: 200, replayed: true },
    ]);
  });
});

describe("repeats with a caller's own upstream key", () => {
  test("a repeat with a caller's own key that the upstream now refuses receives no result", async () => {
    const world = await createSendWorld({ config: { passThrough: true } });
    const key = "sk-let-callers-own-key";
    expect(summarise(await world.send({ key }))).toBe("200");
    await world.clock.advance(6_000);
    world.reads = jsonResponse(401, { message: "Unauthorized" });
    expect(summarise(await world.send({ key }))).toBe("401 invalid_key");
  });
});

describe("repeats while the first send is in progress", () => {
  test("a repeat receives the result of a send whose caller has disconnected, because the send continues", async () => {
    const world = await createSendWorld();
    const answer = deferred<typeof accepted>();
    const caller = new AbortController();
    let sendSignal: AbortSignal | undefined;
    world.upstream = (signal) => {
      sendSignal = signal;
      return answer.promise;
    };
    const first = world.send({ signal: caller.signal });
    await world.clock.advance(1_000);
    caller.abort();
    expect(sendSignal?.aborted).toBe(false);
    answer.resolve(accepted);
    await world.clock.advance(1_000);
    await first;
    expect(summarise(await world.send())).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a repeat of a running send waits, and receives its result", async () => {
    const world = await createSendWorld();
    const answer = deferred<typeof accepted>();
    world.upstream = () => answer.promise;
    const first = world.send();
    const repeats = [world.send(), world.send()];
    await world.clock.advance(20_000);
    answer.resolve(accepted);
    await world.clock.advance(1_000);
    expect((await Promise.all([first, ...repeats])).map(summarise)).toEqual(["200", "200 replayed", "200 replayed"]);
    expect(world.delivered()).toHaveLength(1);
  });

  test("a repeat of a running send is 409 with Retry-After when it times out, and can be repeated", async () => {
    const audit = {
      append: ({ type }: AuditEntry) =>
        type === "send_started" ? new Promise<void>(() => undefined) : Promise.resolve(),
    };
    const world = await createSendWorld({ ports: { audit }, config: { upstreamTimeoutMs: 1_000 } });
    void world.send();
    await world.clock.advance(0);
    const repeat = world.send();
    await world.clock.advance(1_000);
    const response = await repeat;
    expect(summarise(response)).toBe("409 send_in_progress");
    expect(response.headers).toMatchObject({ "retry-after": "1", "x-should-retry": "true" });
    expect(problemOf(response).delivery).toBe("unknown");
  });

  test("a repeat of a running send is sent itself if the first send delivered nothing", async () => {
    const world = await createSendWorld();
    const answers = [deferred<typeof accepted>(), deferred<typeof accepted>()];
    world.upstream = () => answers[world.delivered().length - 1]?.promise ?? Promise.resolve(accepted);
    const first = world.send();
    await world.clock.advance(0);
    const repeat = world.send();
    await world.clock.advance(100);
    answers[0]?.resolve(problemResponse("device_offline"));
    await world.clock.advance(1_000);
    answers[1]?.resolve(accepted);
    await world.clock.advance(1_000);
    expect([summarise(await first), summarise(await repeat)]).toEqual(["409 device_offline", "200"]);
  });

  test("a repeat of a running send stops waiting when its caller disconnects", async () => {
    const world = await createSendWorld();
    world.upstream = () => new Promise(() => undefined);
    void world.send();
    await world.clock.advance(0);
    const caller = new AbortController();
    const repeat = world.send({ signal: caller.signal });
    await world.clock.advance(10);
    caller.abort();
    expect((await repeat).status).toBe(499);
  });
});

describe("ids and their bodies", () => {
  test("another body under the same id is 422 naming it", async () => {
    const world = await createSendWorld();
    await world.send();
    const response = await world.send({ messages: [user("m", "other")] });
    expect([summarise(response), namedMembers(response)]).toEqual([
      "422 message_id_reused",
      ["messages[0].client_message_id"],
    ]);
    expect(response.headers["x-should-retry"]).toBe("false");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a batch with some known ids, a part of a batch, and a reordered batch are 422", async () => {
    const world = await createSendWorld();
    const [one, two, three] = [user("1"), user("2"), user("3")];
    await world.send({ messages: [one, two] });
    for (const messages of [[two, three], [one], [two, one]]) {
      expect(summarise(await world.send({ messages }))).toBe("422 message_id_reused");
    }
    expect(summarise(await world.send({ messages: [one, two] }))).toBe("200 replayed");
    expect(world.delivered()).toHaveLength(1);
  });

  test("the same id twice in a body is 400, and nothing is sent", async () => {
    const world = await createSendWorld();
    expect(summarise(await world.send({ messages: [user("m"), user("m", "other")] }))).toBe("400 invalid_request");
    expect(world.delivered()).toEqual([]);
  });
});

describe("decisions and their repeats", () => {
  test("a decision that is repeated receives the first result; another one is 409 approval_decided", async () => {
    const world = await createSendWorld();
    const decide = (decision: object) => world.send({ messages: [approval(decision)] });
    expect(summarise(await decide(allow))).toBe("200");
    expect(summarise(await decide(allow))).toBe("200 replayed");
    const other = await decide(deny);
    expect([summarise(other), namedMembers(other)]).toEqual([
      "409 approval_decided",
      ["messages[0].approvals[0].tool_call_id"],
    ]);
    expect(other.headers["x-should-retry"]).toBe("false");
    expect(world.delivered()).toHaveLength(1);
  });

  test("a decision that the device rejected had no effect, so it can be sent again or changed", async () => {
    const world = await createSendWorld();
    world.upstream = () => Promise.resolve(problemResponse("input_rejected"));
    const decide = (decision: object) => world.send({ messages: [approval(decision)] });
    expect(summarise(await decide(allow))).toBe("409 input_rejected");
    world.upstream = () => Promise.resolve(accepted);
    expect(summarise(await decide(deny))).toBe("200");
  });

  test("a decision cannot be blocked by a message whose id is that of the tool call", async () => {
    const world = await createSendWorld();
    const { key } = await world.issueKey();
    expect(summarise(await world.send({ key, messages: [user("call-1")] }))).toBe("200");
    expect(summarise(await world.send({ key, messages: [user("decision:call-1")] }))).toBe("200");
    expect(summarise(await world.send({ messages: [approval(allow)] }))).toBe("200");
  });
});

describe("the Idempotency-Key of a send", () => {
  test("an Idempotency-Key belongs to one body: another one under it is 422 naming the header", async () => {
    const world = await createSendWorld();
    expect(summarise(await world.send({ idempotencyKey: "k" }))).toBe("200");
    expect(summarise(await world.send({ idempotencyKey: "k" }))).toBe("200 replayed");
    const other = await world.send({ idempotencyKey: "k", messages: [user("n")] });
    expect([summarise(other), namedMembers(other)]).toEqual(["422 message_id_reused", ["idempotency-key"]]);
    expect(world.delivered()).toHaveLength(1);
  });

  test("a new Idempotency-Key does not turn a repeat into a different message, and cannot be added to it", async () => {
    const world = await createSendWorld();
    await world.send();
    expect(summarise(await world.send({ idempotencyKey: "k" }))).toBe("200 replayed");
    expect(summarise(await world.send({ idempotencyKey: "k", messages: [user("n")] }))).toBe("200");
  });

  test("an Idempotency-Key is forwarded to the upstream", async () => {
    const world = await createSendWorld();
    await world.send({ idempotencyKey: '"k-1"' });
    expect(world.upstreamRequests.at(-1)?.headers["idempotency-key"]).toBe('"k-1"');
  });

  test.each([
    ["empty", ""],
    ["longer than 256 characters", "k".repeat(257)],
    ["not ASCII", "schl\u00fcssel"],
    ["not printable", "a\u0007b"],
    ["sent twice", "k, k"],
  ])("an Idempotency-Key that is %s is 400 naming the header, and nothing is sent", async (_what, idempotencyKey) => {
    const world = await createSendWorld();
    const response = await world.send({ idempotencyKey });
    expect([summarise(response), namedMembers(response)]).toEqual(["400 invalid_request", ["idempotency-key"]]);
    expect(world.upstreamRequests).toEqual([]);
  });
});
