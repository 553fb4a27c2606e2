/** Requests that wait for the end of a message. */
import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { type Answer, userMessage } from "./support/harness.ts";
import { retrieve, runtime, startMessage, viewer } from "./support/message-status.ts";

const admin: Principal = { ...viewer, scopes: new Set(["admin"]) };

describe("waiting for the end of a message", () => {
  test("a waiting read returns when the message ends", async () => {
    const { harness, connectionId, socket } = await startMessage();
    const waiting = retrieve(harness, connectionId, "m-1", "wait=finished");
    await harness.clock.advance(20_000);
    socket.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
    expect(await waiting).toMatchObject({
      headers: { "preference-applied": "wait=30" },
      body: { state: "finished", waitSeconds: 30, durationMs: 20_000 },
    });
  });

  test("a waiting read returns the current state after its time, at most 60 seconds, and can be repeated", async () => {
    const { harness, connectionId } = await startMessage();
    const waiting = retrieve(harness, connectionId, "m-1", "wait=finished&waitSeconds=3600");
    await harness.clock.advance(59_999);
    await harness.clock.advance(1);
    expect(await waiting).toMatchObject({ status: 200, body: { state: "accepted", waitSeconds: 60 } });
    expect((await retrieve(harness, connectionId, "m-1", "wait=finished&waitSeconds=0")).body).toMatchObject({
      waitSeconds: 0,
    });
    expect((await retrieve(harness, connectionId, "m-1", "wait=started")).status).toBe(400);
    expect((await retrieve(harness, connectionId, "m-1", "wait=finished&waitSeconds=x")).status).toBe(400);
  });

  test("a waiting read ends when the server closes or the caller disconnects", async () => {
    const { harness, connectionId } = await startMessage();
    const controller = new AbortController();
    const path = `/v1/environments/${connectionId}/messages/m-1`;
    const gone = harness.call("GET", path, { query: "wait=finished", principal: viewer, signal: controller.signal });
    const waiting = retrieve(harness, connectionId, "m-1", "wait=finished");
    await harness.settle();
    controller.abort(new Error("gone"));
    await expect(gone).rejects.toThrow("gone");
    const closed = harness.server.close();
    expect((await waiting).body).toMatchObject({ state: expect.any(String) });
    await closed;
  });

  test("a send with Prefer: wait returns the outcome, or the state after the time", async () => {
    const { harness, connectionId, socket } = await startMessage();
    const sendAndWait = async (id: string, prefer: string): Promise<Promise<Answer>[]> => {
      const sent = harness.send(connectionId, { messages: [userMessage(id)] }, { prefer, principal: viewer });
      await harness.settle();
      socket.acknowledge({ accepted: true, disposition: "queued" });
      return [sent];
    };
    const [first] = await sendAndWait("m-2", "wait=10");
    await harness.clock.advance(9_000);
    socket.say({
      type: "update_queue",
      runtime,
      queue: [],
      removed: [{ client_message_id: "m-2", disposition: "cancelled" }],
    });
    expect(await first).toMatchObject({
      status: 200,
      headers: { "preference-applied": "wait=10" },
      body: { success: true, disposition: "queued", outcome: { clientMessageId: "m-2", state: "cancelled" } },
    });
    const [second] = await sendAndWait("m-3", "wait=100");
    await harness.clock.advance(60_000);
    expect(await second).toMatchObject({
      headers: { "preference-applied": "wait=60" },
      body: { outcome: { state: "accepted" } },
    });
  });

  test("a send without Prefer: wait does not wait", async () => {
    const { harness, connectionId, socket } = await startMessage();
    const sent = harness.send(connectionId, { messages: [userMessage("m-2")] }, { prefer: "respond-async" });
    await harness.settle();
    socket.acknowledge();
    const { headers, body } = await sent;
    expect(body).toEqual({
      success: true,
      message: "Message accepted by the device (started).",
      disposition: "started",
    });
    expect(headers).not.toHaveProperty("preference-applied");
  });

  const device = "/v1/environments/device-1";
  const label = (tags: readonly string[]) => ({ method: "PATCH", body: { tags } });

  test.each([
    ["loses the tag of the key", label([])],
    ["is removed", { method: "DELETE" }],
  ])("a request whose device %s during the wait shows nothing of the turn", async (_how, { method, ...change }) => {
    const { harness, connectionId, socket } = await startMessage();
    await harness.call("PATCH", device, { ...label(["ci"]), principal: admin });
    const principal = { ...viewer, deviceTags: ["ci"] };
    const reading = retrieve(harness, connectionId, "m-1", "wait=finished", principal);
    const sending = harness.send(connectionId, { messages: [userMessage("m-2")] }, { prefer: "wait=30", principal });
    await harness.settle();
    socket.acknowledge({ accepted: true, disposition: "queued" });
    await harness.settle();
    await harness.call(method, device, { ...change, principal: admin });
    await harness.clock.advance(30_000);
    expect(await reading).toMatchObject({ status: 404, body: { errorCode: "message_not_found" } });
    const { status, headers, body } = await sending;
    expect([status, body]).toEqual([200, expect.not.objectContaining({ outcome: expect.anything() })]);
    expect(headers).not.toHaveProperty("preference-applied");
  });
});
