import { expect, test } from "vitest";
import type { DeliveryLog } from "../src/index.ts";
import { anyone, createHarness, type Harness } from "./support/harness.ts";

/** Delays the next reservation after it is stored, until the returned function is called. */
function holdReservation({ store }: Harness): () => void {
  const { reserve } = store;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let holding = true;
  const slow: DeliveryLog["reserve"] = async (...reservation) => {
    const reserved = await reserve(...reservation);
    if (holding) {
      holding = false;
      await held;
    }
    return reserved;
  };
  Object.assign(store, { reserve: slow });
  return release;
}

test("a message that is requested under the old and the new connectionId during a change is sent once, under the new one", async () => {
  const harness = createHarness();
  const old = await harness.connect("device-1");
  const newId = await harness.register("device-1");
  const release = holdReservation(harness);
  const first = harness.send(old.connectionId);
  await harness.settle();
  const socket = await harness.open(newId);
  const second = harness.send(newId);
  await harness.settle();
  release();
  await harness.settle();
  socket.acknowledge();
  expect(await first).toMatchObject({ status: 409, body: { errorCode: "connection_replaced" } });
  expect(await second).toMatchObject({ status: 200 });
  expect((await second).headers).not.toHaveProperty("idempotency-replayed");
  expect([old.socket.inputs().length, socket.inputs().length]).toEqual([0, 1]);
});

test.each(["does not come back", "is back under the same connectionId"])(
  "a message whose device %s before it is sent is 409, and does not count as sent",
  async (way) => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const release = holdReservation(harness);
    const sent = harness.send(connectionId);
    await harness.settle();
    socket.listener.onClose(1006);
    const again = way === "does not come back" ? null : await harness.open(connectionId);
    release();
    await harness.settle();
    expect([socket.inputs(), again?.inputs() ?? []]).toEqual([[], []]);
    expect((await sent).status).toBe(409);
    expect(harness.events.filter(({ type }) => type === "message_unacknowledged")).toEqual([]);
    const next = again ?? (await harness.open(connectionId));
    next.onFrame = () => next.acknowledge();
    const repeat = await harness.send(connectionId);
    expect(repeat.status).toBe(200);
    expect(repeat.headers).not.toHaveProperty("idempotency-replayed");
  },
);

test("a stop that waits for a message is not written to a socket that its device has since replaced", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const release = holdReservation(harness);
  const sent = harness.send(connectionId);
  await harness.settle();
  const principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };
  const options = { principal, body: { agentId: "agent-1" } };
  const stopped = harness.call("POST", `/v1/environments/${connectionId}/stop`, options);
  await harness.settle();
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  release();
  await harness.settle();
  expect(socket.frames).toEqual([]);
  expect(again.frames).not.toContainEqual(expect.objectContaining({ type: "abort_message" }));
  expect([(await sent).status, (await stopped).status]).toEqual([409, 409]);
});

test("a failed reservation is 500, sends nothing and leaves nothing pending", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const { reserve } = harness.store;
  Object.assign(harness.store, { reserve: () => Promise.reject(new Error("disk full")) });
  expect(await harness.send(connectionId)).toMatchObject({ status: 500, headers: { "x-should-retry": "false" } });
  expect(socket.inputs()).toEqual([]);
  Object.assign(harness.store, { reserve });
  const sent = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge();
  expect((await sent).status).toBe(200);
});

test("the caller receives the device's acknowledgement even when it cannot be stored, and a repeat receives it too", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const { settle } = harness.store;
  Object.assign(harness.store, { settle: () => Promise.reject(new Error("disk full")) });
  const sent = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge();
  expect((await sent).status).toBe(200);
  expect(harness.events.filter((event) => event.type === "store_failed")).toMatchObject([{ operation: "settle" }]);
  Object.assign(harness.store, { settle });
  expect(await harness.send(connectionId)).toMatchObject({ status: 200, headers: { "idempotency-replayed": "true" } });
  expect(socket.inputs()).toHaveLength(1);
});

test("a repeat that is looked up while the first send is acknowledged receives the outcome of the first", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const first = harness.send(connectionId);
  await harness.settle();
  const { findMessages } = harness.store;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  Object.assign(harness.store, {
    async findMessages(...values: Parameters<typeof findMessages>) {
      const found = await findMessages(...values);
      await held;
      return found;
    },
  });
  const repeat = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge();
  expect((await first).status).toBe(200);
  release();
  expect(await repeat).toMatchObject({ status: 200, headers: { "idempotency-replayed": "true" } });
  expect(socket.inputs()).toHaveLength(1);
});
