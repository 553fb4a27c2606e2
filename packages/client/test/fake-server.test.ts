import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createClient, createTransport, streamEvents, type StreamedEvent } from "../src/index.ts";
import { createFakeServer } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { installClock } from "./install-clock.ts";

const message = { role: "user" as const, content: "hello", client_message_id: "m-1" };

test("the fake server refuses a send without an agent, with a repeated id, and with a known id and another text", async () => {
  const server = createFakeServer();
  server.put({ deviceId: "d-1", connectionName: "box" });
  server.connect("d-1");
  const { environments } = createClient({ baseUrl: "https://fake.example", apiKey: "key", fetch: server.fetch });
  const codeOf = async (body: Parameters<typeof environments.sendToDevice>[1]): Promise<string> =>
    (await catchError(environments.sendToDevice("d-1", body))).code;

  expect(await codeOf({ messages: [message] })).toBe("agent_required");
  expect(await codeOf({ agentId: "a", messages: [message, message] })).toBe("invalid_request");
  expect(await environments.sendToDevice("d-1", { agentId: "a", messages: [message] })).toMatchObject({
    outcome: "started",
  });
  expect(await environments.sendToDevice("d-1", { agentId: "a", messages: [message] })).toMatchObject({
    outcome: "duplicate",
  });
  expect(await codeOf({ agentId: "a", messages: [{ ...message, content: "other" }] })).toBe("message_id_reused");
  expect(server.taken).toHaveLength(1);
});

test("a device of the fake server with regular heartbeats stays online for a watcher", async () => {
  const clock = createVirtualClock();
  installClock(clock);
  const server = createFakeServer({ now: clock.now });
  server.connect("d-1");
  const { environments } = createClient({ baseUrl: "https://fake.example", apiKey: "key", fetch: server.fetch });
  const events = environments.watch();
  const seen: string[] = [];
  void (async () => {
    for await (const { type } of events) seen.push(type);
  })();
  for (let beats = 0; beats < 10; beats += 1) {
    await clock.advance(30_000);
    server.heartbeat("d-1");
  }
  expect(seen).toEqual(["appeared"]);
  await events.return();
});

describe("turns on a fake device", () => {
  const options = { baseUrl: "https://fake.example", apiKey: "key" };

  function start() {
    const server = createFakeServer({ events: true });
    server.put({ deviceId: "d-1", connectionName: "box" });
    const connectionId = server.connect("d-1");
    const { environments } = createClient({ ...options, fetch: server.fetch });
    return { server, connectionId, environments };
  }

  test("a message to a fake device stays accepted until the test reports more, and a waiting request then gets the end of its turn", async () => {
    const { server, connectionId, environments } = start();
    await environments.sendMessage(connectionId, { agentId: "a", messages: [message] });
    expect(await environments.messages.retrieve(connectionId, "m-1")).toMatchObject({
      state: "accepted",
      disposition: "started",
    });
    const end = environments.messages.wait(connectionId, "m-1");
    server.report("m-1", { state: "running" });
    server.report("m-1", { state: "finished", stopReason: "end_turn", text: "pong" });
    expect(await end).toMatchObject({ outcome: "finished", reply: "pong" });
    expect((await catchError(environments.messages.retrieve(connectionId, "m-2"))).code).toBe("message_not_found");
    expect(() => server.report("m-2", {})).toThrow("no device accepted the message m-2");
  });

  test("the turn of a message on a fake device asks for permission: the request is listed, the first decision counts, and another one is refused", async () => {
    const { server, connectionId, environments } = start();
    server.ask("d-1", { id: "call-1", tool: "Bash" });
    expect((await environments.approvals.list()).approvals).toMatchObject([
      { id: "call-1", deviceId: "d-1", connectionId },
    ]);
    const decide = (approve: boolean, id = "call-1") =>
      environments.sendMessage(connectionId, {
        agentId: "agent-1",
        messages: [{ type: "approval", approvals: [{ approve, tool_call_id: id }] }],
      });
    expect((await catchError(decide(true, "call-2"))).code).toBe("approval_not_found");
    await decide(true);
    expect((await environments.approvals.list()).approvals).toEqual([]);
    await decide(true);
    expect((await catchError(decide(false))).code).toBe("approval_decided");
  });

  test("the turn of a message on a fake device is in the stream of events, which continues after any of them", async () => {
    const { server, connectionId, environments } = start();
    const transport = createTransport({ ...options, fetch: server.fetch });
    const read = async (count: number, lastEventId?: string): Promise<StreamedEvent[]> => {
      const events: StreamedEvent[] = [];
      for await (const event of streamEvents(transport, { include: "output", lastEventId })) {
        events.push(event);
        if (events.length === count) break;
      }
      return events;
    };
    await environments.sendMessage(connectionId, { agentId: "a", messages: [message] });
    server.say("d-1", { message_type: "assistant_message", content: "po" });
    server.report("m-1", { state: "finished" });
    server.ask("d-1", { id: "call-1" });
    const all = await read(6, "oldest");
    expect(all.map(({ type }) => type)).toEqual([
      ...["environment", "environment", "message", "output", "message", "approval"],
    ]);
    expect(await read(3, all[2]?.id)).toEqual(all.slice(3));
    expect(await read(1, "other.1")).toMatchObject([{ type: "gap", reason: "unknown" }]);
  });
});
