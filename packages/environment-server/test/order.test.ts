import { openSqlite } from "@letta-environments/platform/node";
import { createRandom } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { maxMessageWaitMs } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { createHarness, userMessage } from "./support/harness.ts";
import { createSlowStore } from "./support/slow-store.ts";

const seeds = Array.from({ length: 40 }, (_, index) => index + 1);

/** Sends messages to two devices, which acknowledge a part of them at once and the others never. Returns the messages of each socket. */
async function sendMany(seed: number, acknowledgedShare: number) {
  const random = createRandom(seed);
  const inner = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const { connect, send, clock } = createHarness({ store: createSlowStore(inner, random).store });
  const devices = [await connect("device-1"), await connect("device-2")];
  for (const { socket } of devices) {
    socket.onFrame = (frame) =>
      void (random.happens(acknowledgedShare) && socket.acknowledge({ accepted: true }, String(frame["request_id"])));
  }
  const asked = new Map(devices.map(({ socket }) => [socket, new Array<string>()]));
  for (let number = 0; number < 30; number++) {
    const { connectionId, socket } = random.pick(devices);
    const conversationId = random.pick(["default", "conv-1"]);
    const id = `${conversationId} m-${number}`;
    asked.get(socket)?.push(id);
    void send(connectionId, { messages: [userMessage(id)], conversationId });
    for (let turns = random.below(10); turns > 0; turns--) await Promise.resolve();
  }
  await clock.advance(2 * maxMessageWaitMs);
  return devices.map(({ socket }) => ({ asked: asked.get(socket) ?? [], written: written(socket) }));
}

function written(socket: FakeSocket): string[] {
  return socket.inputs().flatMap((input) => input.payload.messages.map((message) => message.client_message_id));
}

test.each(seeds)(
  "frames of a row are sent in the order in which the requests arrived, however long each store call takes (seed %i)",
  async (seed) => {
    for (const device of await sendMany(seed, 1)) expect(device.written).toEqual(device.asked);
  },
);

test.each(seeds)(
  "frames of a conversation are sent in request order although some are never acknowledged and later messages have to wait (seed %i)",
  async (seed) => {
    for (const device of await sendMany(seed, 0.5)) {
      for (const conversationId of ["default", "conv-1"]) {
        const isOwn = (id: string): boolean => id.startsWith(conversationId);
        expect(device.written.filter(isOwn)).toEqual(device.asked.filter(isOwn));
      }
    }
  },
);
