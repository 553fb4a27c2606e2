import { describe, expect, test } from "vitest";
import { createWorld, messageKey, type SimulatedSend, type World } from "./support/world.ts";

const worldCount = 60;
const stepsPerWorld = 300;

const worlds: readonly World[] = await Promise.all(
  Array.from({ length: worldCount }, (_, index) => simulate(index + 1)),
);

async function simulate(seed: number): Promise<World> {
  const world = createWorld(seed);
  for (let step = 0; step < stepsPerWorld; step++) await world.step();
  await world.finish();
  return world;
}

/** Keys of all messages that devices received, over all their sockets. */
function handed({ devices }: World): string[] {
  return devices.flatMap(({ deviceId, sockets }) =>
    sockets
      .flatMap((socket) => socket.inputs())
      .flatMap(({ runtime, payload }) =>
        payload.messages.map((message) => messageKey(deviceId, runtime.conversation_id, message.client_message_id)),
      ),
  );
}

const codeOf = ({ answer }: SimulatedSend): unknown => answer?.body["errorCode"] ?? answer?.status;
const isResult = (send: SimulatedSend): boolean => codeOf(send) === 200 || codeOf(send) === "input_rejected";

const allowed: readonly unknown[] = [
  200,
  "input_rejected",
  "delivery_unknown",
  "device_offline",
  "connection_replaced",
  "message_id_reused",
  "internal_error",
];

describe(`${worldCount} simulations with kills, reconnects, replacements, repeats and a failing store`, () => {
  test("a device receives a message at most once", () => {
    for (const world of worlds) {
      const keys = handed(world);
      expect(keys.length, `seed ${world.seed}`).toBeGreaterThan(5);
      expect(keys, `seed ${world.seed}`).toEqual([...new Set(keys)]);
    }
  });

  test("a device receives nothing that was sent to another", () => {
    for (const { devices, seed } of worlds) {
      for (const { deviceId, sockets } of devices) {
        const text = JSON.stringify(sockets.map((socket) => socket.inputs()));
        const foreign = devices.filter((other) => other.deviceId !== deviceId && text.includes(other.deviceId));
        expect(foreign, `seed ${seed}`).toEqual([]);
      }
    }
  });

  test("a response of success or rejection is returned only after the device acknowledged it", () => {
    for (const { sends, said, seed } of worlds) {
      const returned = sends.filter(isResult);
      expect(returned.length, `seed ${seed}`).toBeGreaterThan(4);
      for (const send of returned) expect(said.get(send.key), `seed ${seed}`).toBe(codeOf(send) === 200);
    }
  });

  test("after a result was returned, every later request with the id receives the same, or 422 when its body differs", () => {
    for (const { sends, seed } of worlds) {
      for (const first of sends.filter(isResult)) {
        const later = sends.filter(({ key, askedAt }) => key === first.key && askedAt > first.answeredAt);
        const answered = later.filter((send) => send.answer !== null);
        const expected = answered.map(({ text }) => (text === first.text ? codeOf(first) : "message_id_reused"));
        expect(answered.map(codeOf), `seed ${seed}`).toEqual(expected);
      }
    }
  });

  test("a refusal that says 'nothing was sent' is true", () => {
    for (const world of worlds) {
      const keys = new Set(handed(world));
      const refused = (send: SimulatedSend): boolean =>
        ["device_offline", "connection_replaced"].includes(String(codeOf(send)));
      const onlyRefused = new Set(world.sends.map((send) => send.key));
      for (const send of world.sends) if (!refused(send)) onlyRefused.delete(send.key);
      expect(
        [...onlyRefused].filter((key) => keys.has(key)),
        `seed ${world.seed}`,
      ).toEqual([]);
    }
  });

  test("every request to a running server receives a response that the API defines", () => {
    for (const { sends, servers, seed } of worlds) {
      const unanswered = sends.filter((send) => send.answer === null && send.server === servers);
      expect(unanswered, `seed ${seed}`).toEqual([]);
      const codes = new Set(sends.filter((send) => send.answer !== null).map(codeOf));
      expect(allowed, `seed ${seed}`).toEqual(expect.arrayContaining([...codes]));
    }
  });

  test("a device that opens another socket has its earlier one closed, and only that one", () => {
    for (const { devices, seed } of worlds) {
      for (const { sockets, socket } of devices) {
        const untold = sockets.filter(({ closes, terminated }) => closes.length === 0 && !terminated);
        if (socket !== null) expect(untold.includes(socket) || socket.terminated, `seed ${seed}`).toBe(true);
        for (const { closes } of sockets) expect(closes.length, `seed ${seed}`).toBeLessThanOrEqual(1);
      }
    }
  });
});
