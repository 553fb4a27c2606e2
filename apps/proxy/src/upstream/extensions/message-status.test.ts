/** In front of a remote server, the status of a message is what the gateway's own log of sends knows. */
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { environmentRow } from "../../../test/support/environment-row.ts";
import { failingStore } from "../../../test/support/failing-store.ts";
import { fakeRequest } from "../../../test/support/fake-request.ts";
import { undescribed } from "../../../test/support/api-description.ts";
import { createSendWorld, type SendWorld, summarise, unreachable, user } from "../../../test/support/send-world.ts";
import { bodyOf, problemOf } from "../../../test/support/test-proxy.ts";
import { createMemoryIdempotencyStore } from "../../adapters/memory/idempotency-store.ts";

async function retrieve(
  world: SendWorld,
  id: string,
  query = "agentId=agent-1",
  key?: string,
  connectionId = "conn-1",
): Promise<PlainResponse> {
  const path = `/v1/environments/${connectionId}/messages/${encodeURIComponent(id)}`;
  const issued = key ?? (await world.issueKey({ scopes: ["read"] })).key;
  return world.proxy.handle(fakeRequest({ key: issued, path, query }));
}

const sendTo = (world: SendWorld, id: string): Promise<PlainResponse> =>
  world.send({ messages: [user(id)], members: { agentId: "agent-1" } });

describe("statuses of messages to a remote server", () => {
  test("a message to a remote server is reported as accepted once its device has accepted it, whatever the turn did", async () => {
    const world = await createSendWorld();
    const response = { success: true, message: "ok", disposition: "queued" };
    world.upstream = () => Promise.resolve(jsonResponse(200, response));
    await sendTo(world, "a/b");
    expect(bodyOf(await retrieve(world, "a/b"))).toEqual({
      clientMessageId: "a/b",
      deviceId: "device-1",
      agentId: "agent-1",
      conversationId: "default",
      state: "accepted",
      disposition: "queued",
    });
  });

  test("a message that a remote server refused with success false has failed, with its reason", async () => {
    const world = await createSendWorld();
    world.upstream = () => Promise.resolve(jsonResponse(200, { success: false, message: "the device is read-only" }));
    await sendTo(world, "m-1");
    expect(bodyOf(await retrieve(world, "m-1"))).toMatchObject({ state: "failed", error: "the device is read-only" });
  });

  test("a message can be read under the connection that its device has now, although nothing was sent through it", async () => {
    const world = await createSendWorld();
    await sendTo(world, "m-1");
    world.rows = [environmentRow("1", { connectionId: "conn-9" })];
    await world.clock.advance(6_000);
    const { key: otherDevice } = await world.issueKey({ scopes: ["read"], deviceIds: ["device-2"] });
    const read = (connectionId: string, key?: string): Promise<PlainResponse> =>
      retrieve(world, "m-1", "agentId=agent-1", key, connectionId);
    expect(bodyOf(await read("conn-9"))).toMatchObject({ clientMessageId: "m-1", state: "accepted" });
    expect(summarise(await read("conn-9", otherDevice))).toBe("404 message_not_found");
    expect(summarise(await read("conn-8"))).toBe("404 message_not_found");
  });

  test("while the remote server fails, a message of an unknown connection is not reported as missing", async () => {
    const world = await createSendWorld();
    await sendTo(world, "m-1");
    world.reads = unreachable;
    await world.clock.advance(6_000);
    const response = await retrieve(world, "m-1", "agentId=agent-1", undefined, "conn-9");
    expect(response.status).toBe(502);
  });

  test("a message lost on the way to a remote server is unknown", async () => {
    const world = await createSendWorld();
    world.upstream = () => Promise.resolve({ ...unreachable, reason: "broken" } as typeof unreachable);
    await sendTo(world, "m-1");
    const body = bodyOf(await retrieve(world, "m-1"));
    expect(body).toMatchObject({ state: expect.stringMatching(/^(?:unknown|received)$/) });
  });

  test("a read does not wait for the end of a message to a remote server, because the gateway never learns it", async () => {
    const world = await createSendWorld();
    await sendTo(world, "m-1");
    const response = await retrieve(world, "m-1", "agentId=agent-1&wait=finished&waitSeconds=60");
    expect(response.headers["preference-applied"]).toBe("wait=0");
    expect(bodyOf(response)).toMatchObject({ state: "accepted", waitSeconds: 0 });
  });

  test("a message of another agent, device or connection, and one that was never sent, are the same 404", async () => {
    const world = await createSendWorld();
    await sendTo(world, "m-1");
    const { key: otherDevice } = await world.issueKey({ scopes: ["read"], deviceIds: ["device-2"] });
    const { key: otherAgent } = await world.issueKey({ scopes: ["read"], agentIds: ["agent-2"] });
    const responses = [
      await retrieve(world, "m-2"),
      await retrieve(world, "m-1", "agentId=agent-2"),
      await retrieve(world, "m-1", "agentId=agent-1", otherDevice),
      await retrieve(world, "m-1", "agentId=agent-1", otherAgent),
    ];
    for (const { status, body } of responses) expect([status, body]).toEqual([404, responses[0]?.body]);
    expect(bodyOf(responses[0] ?? jsonResponse(200, {}))).toMatchObject({ errorCode: "message_not_found" });
    expect((await retrieve(world, "m-1")).status).toBe(200);
  });

  test("a message status without the agent is the same 404 for every key, and says that agentId is missing", async () => {
    const world = await createSendWorld();
    await sendTo(world, "m-1");
    const { key: otherDevice } = await world.issueKey({ scopes: ["read"], deviceIds: ["device-2"] });
    const responses = [
      await retrieve(world, "m-1", ""),
      await retrieve(world, "m-2", ""),
      await retrieve(world, "m-1", "", otherDevice),
    ];
    const detail =
      "No message with this id was sent to this connection without an agent. If it named an agent, add agentId to the query.";
    for (const { status, body } of responses) expect([status, body]).toEqual([404, responses[0]?.body]);
    expect(bodyOf(responses[0] ?? jsonResponse(200, {}))).toMatchObject({ errorCode: "message_not_found", detail });
  });

  test("a message status can be read with a key that is limited to tags, if the device had one of them at the last send", async () => {
    const world = await createSendWorld();
    // What is no tag of this API, or too much, is not stored.
    const tags: unknown[] = ["ci", 7, "not a tag", ...Array.from({ length: 100 }, (_, index) => `t-${index}`)];
    world.rows = [environmentRow("1", { tags: tags as string[] })];
    await sendTo(world, "m-1");
    const read = async (tag: string): Promise<string> => {
      const { key } = await world.issueKey({ scopes: ["read"], deviceTags: [tag] });
      return summarise(await retrieve(world, "m-1", "agentId=agent-1", key));
    };
    const responses = [await read("ci"), await read("t-0"), await read("t-90"), await read("gpu")];
    expect(responses).toEqual(["200", "200", "404 message_not_found", "404 message_not_found"]);
    world.rows = [environmentRow("1")];
    await world.clock.advance(6_000);
    await sendTo(world, "m-2");
    expect(await read("ci")).toBe("404 message_not_found");
  });

  test("a message to a connection that an earlier version stored without its tags is refused to a key that is limited to tags", async () => {
    const { clock } = await createSendWorld();
    const idempotencyStore = createMemoryIdempotencyStore(clock);
    const connection = { environmentId: "1", deviceId: "device-1", connectionName: "box" };
    const withoutTags = { ...idempotencyStore, findConnection: () => Promise.resolve(connection) };
    const world = await createSendWorld({ remote: { idempotencyStore: withoutTags }, ports: { clock } });
    world.rows = [environmentRow("1", { tags: ["ci"] })];
    await sendTo(world, "m-1");
    const { key } = await world.issueKey({ scopes: ["read"], deviceTags: ["ci"] });
    expect(summarise(await retrieve(world, "m-1", "agentId=agent-1", key))).toBe("404 message_not_found");
    expect(summarise(await retrieve(world, "m-1"))).toBe("200");
  });

  test("a message is never reported as missing while the store of sends fails", async () => {
    const { clock } = await createSendWorld();
    const idempotencyStore = failingStore(createMemoryIdempotencyStore(clock));
    const world = await createSendWorld({ remote: { idempotencyStore }, ports: { clock } });
    await sendTo(world, "m-1");
    for (const operation of ["findConnection", "find"] as const) {
      idempotencyStore.failing.add(operation);
      const response = await retrieve(world, "m-1");
      expect(summarise(response)).toBe("503 idempotency_unavailable");
      expect(response.headers["x-should-retry"]).toBe("true");
      expect(problemOf(response).detail).not.toContain("Nothing was sent");
      expect(undescribed("/v1/environments/{connectionId}/messages/{clientMessageId}", "GET", response)).toEqual([]);
      idempotencyStore.failing.clear();
    }
    expect((await retrieve(world, "m-1")).status).toBe(200);
  });

  test("a message whose reservation reported a failure, but took effect, was not sent", async () => {
    const { clock } = await createSendWorld();
    const store = failingStore(createMemoryIdempotencyStore(clock));
    const reserve: typeof store.reserve = async (reservation) => {
      await store.reserve(reservation);
      throw new Error("no response");
    };
    const world = await createSendWorld({ remote: { idempotencyStore: { ...store, reserve } }, ports: { clock } });
    store.failing.add("release");
    expect(summarise(await sendTo(world, "m-1"))).toBe("503 idempotency_unavailable");
    expect(summarise(await retrieve(world, "m-1"))).toBe("404 message_not_found");
  });
});
