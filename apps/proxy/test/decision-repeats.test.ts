/** In front of a remote upstream, each request for permission has its own first decision, although several can have one tool call id. */
import { sha256Hex } from "@letta-environments/platform/node";
import type { SendMessageBody } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { createMemoryIdempotencyStore } from "../src/adapters/memory/idempotency-store.ts";
import { readSendIds } from "../src/idempotency/entries.ts";
import { accepted, approval, createSendWorld, summarise, user } from "./support/send-world.ts";

const allow = { approve: true, tool_call_id: "call-1" };
const deny = { approve: false, tool_call_id: "call-1" };
const at = (requestedAt: number, decision: object): object => approval({ ...decision, requested_at: requestedAt });

/** Two gateways with one store. */
async function createGateways() {
  const first = await createSendWorld();
  const { clock } = first;
  const store = createMemoryIdempotencyStore(clock);
  const options = { ports: { clock }, remote: { idempotencyStore: store } };
  const gateways = [await createSendWorld(options), await createSendWorld(options)] as const;
  return { store, clock, gateways, delivered: () => gateways.flatMap((gateway) => gateway.delivered()) };
}

test("each request has its own first decision, whichever gateway is asked, and repeats receive its result", async () => {
  const { gateways, delivered } = await createGateways();
  const decide = async (...decisions: readonly object[]): Promise<readonly string[]> => {
    const responses: string[] = [];
    for (const gateway of gateways) {
      for (const decision of decisions) responses.push(summarise(await gateway.send({ messages: [decision] })));
    }
    return responses;
  };
  expect(await decide(at(1, allow))).toEqual(["200", "200 replayed"]);
  expect(await decide(at(2, deny))).toEqual(["200", "200 replayed"]);
  expect(await decide(at(1, allow), at(2, deny))).toEqual(Array.from({ length: 4 }, () => "200 replayed"));
  expect(await decide(at(1, deny), at(2, allow))).toEqual(Array.from({ length: 4 }, () => "409 approval_decided"));
  expect(delivered()).toHaveLength(2);
});

test("one of two different decisions on a later request is sent when they are made at the same time", async () => {
  const { gateways, delivered } = await createGateways();
  await gateways[0].send({ messages: [at(1, allow)] });
  const both = [gateways[0].send({ messages: [at(2, allow)] }), gateways[1].send({ messages: [at(2, deny)] })];
  expect((await Promise.all(both)).map(summarise).toSorted()).toEqual(["200", "409 approval_decided"]);
  expect(delivered()).toHaveLength(2);
});

test("a request that its device makes again can be decided, although the outcome of the first decision is unknown", async () => {
  const world = await createSendWorld();
  world.upstream = () => Promise.resolve({ reason: "broken", cause: null });
  expect(summarise(await world.send({ messages: [at(1, deny)] }))).toBe("504 delivery_unknown");
  world.upstream = () => Promise.resolve(accepted);
  expect(summarise(await world.send({ messages: [at(1, deny)] }))).toBe("504 delivery_unknown replayed");
  expect(summarise(await world.send({ messages: [at(2, deny)] }))).toBe("200");
  expect(world.delivered()).toHaveLength(2);
});

test("a decision on a later request is remembered after the decision on the first one was forgotten", async () => {
  const { gateways, clock, delivered } = await createGateways();
  const [world] = gateways;
  await world.send({ messages: [at(1, allow)] });
  await clock.advance(43_200_000);
  await world.send({ messages: [at(2, deny)] });
  await clock.advance(43_200_001);
  expect(summarise(await world.send({ messages: [at(2, deny)] }))).toBe("200 replayed");
  expect(summarise(await world.send({ messages: [at(2, allow)] }))).toBe("409 approval_decided");
  expect(delivered()).toHaveLength(2);
});

test("a decision that an earlier version stored without its request is not sent again", async () => {
  const { store, gateways, delivered } = await createGateways();
  const [world] = gateways;
  const requestBody = { agentId: "agent-1", messages: [at(1, allow)] } as SendMessageBody;
  const read = readSendIds(requestBody, null, sha256Hex);
  const entries = (read.kind === "read" ? read.ids.entries : []).filter(({ id }) => id === "decision:call-1");
  expect(entries).toHaveLength(1);
  await store.reserve({
    sendId: "earlier",
    scope: { tenant: "default", environmentId: "1", agentId: "agent-1", conversationId: "default" },
    entries,
    connectionId: "conn-1",
    connection: { environmentId: "1", deviceId: "device-1", connectionName: "box" },
    leaseMs: 0,
  });
  expect(summarise(await world.send({ messages: [at(1, allow)] }))).toBe("504 delivery_unknown replayed");
  expect(delivered()).toEqual([]);
  expect(summarise(await world.send({ messages: [at(2, allow)] }))).toBe("200");
});

test("a decision without its request counts for its tool call, as a repeat would", async () => {
  const world = await createSendWorld();
  expect(summarise(await world.send({ messages: [approval(allow)] }))).toBe("200");
  expect(summarise(await world.send({ messages: [approval(allow)] }))).toBe("200 replayed");
  expect(summarise(await world.send({ messages: [approval(deny)] }))).toBe("409 approval_decided");
  expect(world.delivered()).toHaveLength(1);
});

test("a decision on a later request is not taken for a repeat while the device is away", async () => {
  const world = await createSendWorld();
  await world.send({ messages: [at(1, allow)] });
  await world.clock.advance(10_000);
  world.rows = [];
  expect(summarise(await world.send({ messages: [at(2, allow)] }))).toBe("404 connection_not_found");
  expect(summarise(await world.send({ messages: [at(1, allow)] }))).toBe("200 replayed");
});

test("a body with a message and a decision on a later request is sent, and its repeat receives the result", async () => {
  const world = await createSendWorld();
  await world.send({ messages: [at(1, allow)] });
  const messages = [user("m"), at(2, allow)];
  expect(summarise(await world.send({ messages }))).toBe("200");
  expect(summarise(await world.send({ messages }))).toBe("200 replayed");
  expect(summarise(await world.send({ messages: [at(2, allow)] }))).toBe("200 replayed");
  expect(summarise(await world.send({ messages: [user("n"), at(2, allow)] }))).toBe("422 message_id_reused");
});
