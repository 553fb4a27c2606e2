/** The list of the messages of a device. */
import { openSqlite } from "@letta-environments/platform/node";
import type { MessageStatus, Principal } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { listedMessagesPerTurn, maxListedMessages } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { StoredMessage } from "../src/index.ts";
import { type Answer, anyone, createHarness, type Harness, userMessage } from "./support/harness.ts";
import { runtime, startMessage, viewer } from "./support/message-status.ts";

async function list(harness: Harness, id: string, query = "", principal: Principal = anyone): Promise<Answer> {
  const answering = harness.call("GET", `/v1/environments/${id}/messages`, { query, principal });
  for (let turn = 0; turn <= maxListedMessages / listedMessagesPerTurn; turn++) await harness.settle();
  return answering;
}

function messagesOf({ body }: Answer): readonly MessageStatus[] {
  return body["messages"] as readonly MessageStatus[];
}

const idsOf = (answer: Answer): readonly string[] => messagesOf(answer).map(({ clientMessageId }) => clientMessageId);
const statesOf = (answer: Answer): readonly string[] => messagesOf(answer).map(({ state }) => state);

/** A device of a row with stored messages. */
async function createHistory(
  count: number,
  change: (index: number, environmentId: string) => Partial<StoredMessage> = () => ({}),
) {
  const harness = createHarness();
  const { connectionId } = await harness.connect("device-1");
  const [row] = await harness.store.findEnvironments("acme", "device-1");
  const status = { disposition: "started", stopReason: "end_turn", error: null, usage: null, durationMs: 40 };
  const stored = Array.from({ length: count }, (_, index): StoredMessage => ({
    scope: { environmentId: row?.id ?? "", agentId: "agent-1", conversationId: "default" },
    messageId: `m-${index}`,
    deliveryId: `msg-${index}`,
    approvalPolicy: null,
    status: { ...status, state: "finished", reply: { text: `text ${index}`, isTruncated: false } },
    sentAt: 1_000 + index,
    updatedAt: 2_000,
    ...change(index, row?.id ?? ""),
  }));
  await harness.store.saveMessages(stored);
  return { harness, connectionId };
}

/** Reads every page. */
async function readPages(harness: Harness, id: string, query: string, principal: Principal = anyone) {
  const ids: string[] = [];
  for (let after = ""; ;) {
    const answer = await list(harness, id, query + after, principal);
    expect(answer.status).toBe(200);
    ids.push(...idsOf(answer));
    if (answer.body["hasNextPage"] !== true) return ids;
    after = `&after=${String(answer.body["cursor"])}`;
  }
}

describe("the messages of a device", () => {
  test("messages are listed, the latest first, with outcome and duration, and each once over several pages", async () => {
    const { harness, connectionId } = await createHistory(7);
    const answer = await list(harness, connectionId, "limit=3");
    expect(messagesOf(answer)[0]).toEqual({
      ...{ clientMessageId: "m-6", deviceId: "device-1", agentId: "agent-1", conversationId: "default" },
      ...{ state: "finished", disposition: "started", stopReason: "end_turn", durationMs: 40 },
      ...{ sentAt: 1_006, updatedAt: 2_000 },
    });
    expect(answer.body["hasNextPage"]).toBe(true);
    const all = ["m-6", "m-5", "m-4", "m-3", "m-2", "m-1", "m-0"];
    for (const limit of [1, 3, 7, 100]) expect(await readPages(harness, connectionId, `limit=${limit}`)).toEqual(all);
  });

  test("the messages of a device without any are an empty page", async () => {
    const { harness, connectionId } = await createHistory(0);
    expect(await list(harness, connectionId)).toMatchObject({
      status: 200,
      body: { messages: [], hasNextPage: false, cursor: null },
    });
  });

  test("the messages of a row are listed even after it has registered again, and while it is offline", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
    await harness.settle();
    const again = await harness.connect("device-1");
    expect(again.connectionId).not.toBe(connectionId);
    for (const id of [connectionId, again.connectionId, "device-1"])
      expect(idsOf(await list(harness, id))).toEqual(["m-1"]);
    again.socket.listener.onClose(1006);
    expect(idsOf(await list(harness, "device-1"))).toEqual(["m-1"]);
  });

  test("listed messages have their current state, even before it is stored; messages that are no longer followed are unknown", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.say({ type: "update_loop_status", runtime, loop_status: { status: "PROCESSING_API_RESPONSE" } });
    void harness.send(connectionId, { messages: [userMessage("m-2")], conversationId: "other" });
    await harness.settle();
    expect(await list(harness, connectionId)).toMatchObject({
      body: { messages: expect.arrayContaining([expect.objectContaining({ clientMessageId: "m-2", state: "sent" })]) },
    });
    await harness.clock.advance(1_000);
    const answer = await list(harness, connectionId, "limit=1");
    expect([statesOf(answer), answer.body["hasNextPage"]]).toEqual([["sent"], true]);
    expect(statesOf(await list(harness, connectionId, "conversationId=default"))).toEqual(["running"]);
    socket.listener.onClose(1006);
    expect(statesOf(await list(harness, connectionId))).toEqual(["unknown", "unknown"]);
  });

  test("messages that end while they are listed appear once, in their place", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
    expect(statesOf(await list(harness, connectionId))).toEqual(["finished"]);
    await harness.settle();
    expect(statesOf(await list(harness, connectionId))).toEqual(["finished"]);
  });

  test("messages are selected by agent, by conversation, and by their present state", async () => {
    const scopes = ["agent-1", "agent-2", ""].map((agentId) => ({ agentId, conversationId: agentId || "default" }));
    const { harness, connectionId } = await createHistory(9, (index, environmentId) => {
      const scope = scopes[index % 3] ?? { agentId: "", conversationId: "" };
      return { scope: { environmentId, ...scope } };
    });
    expect(await readPages(harness, connectionId, "agentId=agent-2&limit=2")).toEqual(["m-7", "m-4", "m-1"]);
    expect(await readPages(harness, connectionId, "agentId=agent-1&agentId=agent-2&limit=3")).toEqual([
      ...["m-7", "m-6", "m-4", "m-3", "m-1", "m-0"],
    ]);
    expect(await readPages(harness, connectionId, "conversationId=default&limit=2")).toEqual(["m-8", "m-5", "m-2"]);
    expect(await readPages(harness, connectionId, "agentId=agent-2&conversationId=default")).toEqual([]);
  });

  test("messages in a state are found behind many others, although each request examines a limited number", async () => {
    const { harness, connectionId } = await createHistory(maxListedMessages + 250, (index) => {
      const status = { disposition: null, stopReason: null, error: null, usage: null, durationMs: null, reply: null };
      return index < 3 ? { status: { ...status, state: index === 0 ? "running" : "failed" } } : {};
    });
    const first = await list(harness, connectionId, "state=failed");
    expect(first.body).toMatchObject({ messages: [], hasNextPage: true });
    expect(await readPages(harness, connectionId, "state=failed")).toEqual(["m-2", "m-1"]);
    // Nobody follows the one that was running.
    expect(await readPages(harness, connectionId, "state=unknown&state=failed&limit=2")).toEqual(["m-2", "m-1", "m-0"]);
    expect(await readPages(harness, connectionId, "state=running")).toEqual([]);
  });

  test("messages are searched in small steps that yield to other work, however short the page is", async () => {
    const { harness, connectionId } = await createHistory(maxListedMessages + 50);
    const looks: number[] = [];
    const { listMessages } = harness.store;
    harness.store.listMessages = async (filter) => {
      const found = await listMessages(filter);
      // One more is read to see whether there is a next page.
      looks.push(Math.min(found.length, filter.limit - 1));
      return found;
    };
    for (const limit of [1, 51, 99, 100]) {
      looks.length = 0;
      const answer = await list(harness, connectionId, `state=failed&limit=${limit}`);
      expect(answer.body).toMatchObject({ messages: [], hasNextPage: true });
      expect(looks.reduce((sum, count) => sum + count, 0)).toBe(maxListedMessages);
      expect(looks.length).toBeLessThanOrEqual(11);
    }
  });

  test.each([
    ["agentId=agent-2", anyone],
    ["conversationId=conv-2", anyone],
    ["", { ...anyone, agentIds: ["agent-2"] }],
  ])(
    "messages behind many of other agents or conversations are found in small steps, between which other work runs: %s",
    async (query, principal) => {
      const { harness, connectionId } = await createHistory(maxListedMessages + 50, (index, environmentId) =>
        index < 3 ? { scope: { environmentId, agentId: "agent-2", conversationId: "conv-2" } } : {},
      );
      const order: (number | "other work")[] = [];
      const { listMessages } = harness.store;
      harness.store.listMessages = async (filter) => {
        order.push(filter.limit);
        harness.clock.setTimer(0, () => order.push("other work"));
        return listMessages(filter);
      };
      const answer = await list(harness, connectionId, `${query}&limit=2`, principal);
      expect([idsOf(answer), answer.body["hasNextPage"]]).toEqual([["m-2", "m-1"], true]);
      const turn = ["other work", listedMessagesPerTurn];
      expect(order.slice(0, 23)).toEqual([3, ...Array.from({ length: 11 }, () => turn).flat()]);
    },
  );
});

describe("the texts of listed messages", () => {
  test("lists contain texts only on request and with the scope view", async () => {
    const { harness, connectionId } = await createHistory(1);
    const texts = await Promise.all(
      (
        [
          ["", viewer],
          ["include=text", anyone],
          ["include=text", viewer],
        ] as const
      ).map(async ([query, principal]) => messagesOf(await list(harness, connectionId, query, principal))[0]?.text),
    );
    expect(texts).toEqual([undefined, undefined, "text 0"]);
  });

  test("long texts make pages shorter, but every message is listed", async () => {
    const reply = { text: "x".repeat(65_536), isTruncated: true };
    const { harness, connectionId } = await createHistory(40, () => ({
      status: {
        ...{ state: "finished", disposition: "started", stopReason: "end_turn", error: null, usage: null },
        ...{ durationMs: 40, reply },
      },
    }));
    expect(messagesOf(await list(harness, connectionId, "include=text", viewer))).toHaveLength(16);
    expect(await readPages(harness, connectionId, "include=text", viewer)).toHaveLength(40);
    expect(messagesOf(await list(harness, connectionId))).toHaveLength(40);
  });
});

describe("access to message lists", () => {
  test("a key that is limited to agents sees only its agents' messages, whatever it queries", async () => {
    const { harness, connectionId } = await createHistory(6);
    const limited = { ...anyone, agentIds: ["agent-2"] };
    const [row] = await harness.store.findEnvironments("acme", "device-1");
    const scope = { environmentId: row?.id ?? "", agentId: "agent-2", conversationId: "default" };
    const status = { disposition: null, stopReason: null, error: null, usage: null, durationMs: null, reply: null };
    const own = { scope, messageId: "own", deliveryId: "msg-own", approvalPolicy: null, sentAt: 900, updatedAt: 900 };
    await harness.store.saveMessages([{ ...own, status: { ...status, state: "failed" } }]);
    expect(idsOf(await list(harness, connectionId, "", limited))).toEqual(["own"]);
    expect(idsOf(await list(harness, connectionId, "agentId=agent-1", limited))).toEqual([]);
    expect(idsOf(await list(harness, connectionId, "agentId=agent-1&agentId=agent-2", limited))).toEqual(["own"]);
    void harness.send(connectionId, { messages: [userMessage("running")] });
    await harness.settle();
    expect(idsOf(await list(harness, connectionId, "", limited))).toEqual(["own"]);
  });

  test("a list for an unknown, inaccessible or foreign connection or device is the same 404", async () => {
    const { harness, connectionId } = await createHistory(1);
    const refused = [
      await list(harness, "conn-none"),
      ...(await Promise.all(
        [
          { ...anyone, tenant: "other" },
          { ...anyone, deviceIds: ["device-2"] },
        ].flatMap((principal) => [connectionId, "device-1"].map((id) => list(harness, id, "", principal))),
      )),
    ];
    for (const answer of refused)
      expect(answer).toMatchObject({ status: 404, body: { errorCode: "connection_not_found" } });
    expect(await list(harness, connectionId, "", { ...anyone, scopes: new Set(["list"] as const) })).toMatchObject({
      status: 403,
      body: { errorCode: "insufficient_scope" },
    });
  });

  test.each([
    ["after=1.x", "after"],
    ["after=1795000040000.AAAA", "after"],
    ["state=done", "state"],
    ["include=output", "include"],
    ["limit=0", "limit"],
    ["limit=101", "limit"],
    ["agentId=", "agentId"],
  ])("a query that breaks a rule is 400 and names the parameter: %s", async (query, member) => {
    const { harness, connectionId } = await createHistory(1);
    const { status, body } = await list(harness, connectionId, query);
    expect([status, body["errorCode"]]).toEqual([400, "invalid_request"]);
    expect(body["errors"]).toMatchObject([{ member: expect.stringContaining(member) }]);
  });
});

test("after a kill of the server, stored messages are listed, and those that had not ended are unknown", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const before = createHarness({ store, clock });
  const { connectionId, socket } = await before.connect("device-1");
  for (const id of ["m-1", "m-2"]) {
    const sent = before.send(connectionId, { messages: [userMessage(id)] });
    await before.settle();
    socket.acknowledge({ accepted: true, disposition: id === "m-1" ? "started" : "queued" });
    await sent;
    await clock.advance(1_000);
  }
  socket.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
  await clock.advance(1_000);
  const after = createHarness({ store, clock });
  const answer = await list(after, connectionId);
  expect([idsOf(answer), statesOf(answer)]).toEqual([
    ["m-2", "m-1"],
    ["unknown", "finished"],
  ]);
});
