import { expect, test } from "vitest";
import type { DeliveryLog } from "../src/index.ts";
import { createHarness, type Harness } from "./support/create-harness.ts";

/** Holds the next reservation after it is stored, until it is let go. */
function holdReservation({ store }: Harness): () => void {
  const { reserve } = store;
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
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
  return letGo;
}

test("a message asked for by the old and the new connectionId while the device changes over is sent once, by the new one", async () => {
  const harness = createHarness();
  const old = await harness.connect("device-1");
  const newId = await harness.register("device-1");
  const letGo = holdReservation(harness);
  const first = harness.send(old.connectionId);
  await harness.settle();
  const socket = await harness.open(newId);
  const second = harness.send(newId);
  await harness.settle();
  letGo();
  await harness.settle();
  socket.acknowledge();
  expect(await first).toMatchObject({ status: 409, body: { errorCode: "connection_replaced" } });
  expect(await second).toMatchObject({ status: 200 });
  expect((await second).headers).not.toHaveProperty("idempotency-replayed");
  expect([old.socket.inputs().length, socket.inputs().length]).toEqual([0, 1]);
});

test("a reservation that the store could not make is 500, sends nothing and keeps nothing waiting", async () => {
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

test("what the device said is told even when it cannot be stored, and a repeat is not sent again", async () => {
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
  expect(await harness.send(connectionId)).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  expect(socket.inputs()).toHaveLength(1);
});
