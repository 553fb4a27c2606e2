import { openSqlite } from "@letta-environments/platform/node";
import { expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createHarness, userMessage } from "./support/harness.ts";
import { createRandom } from "@letta-environments/testkit";
import { createSlowStore } from "./support/slow-store.ts";

test.each(Array.from({ length: 40 }, (_, index) => index + 1))(
  "frames of a row leave in the order in which the requests arrived, however long each store call takes (seed %i)",
  async (seed) => {
    const random = createRandom(seed);
    const inner = createSqliteEnvironmentStore(openSqlite(":memory:"));
    const { connect, send, settle } = createHarness({ store: createSlowStore(inner, random).store });
    const devices = [await connect("device-1"), await connect("device-2")];
    for (const { socket } of devices) {
      socket.onFrame = (frame) =>
        void (random.happens(0.5) && socket.acknowledge({ accepted: true }, String(frame["request_id"])));
    }
    const asked = new Map(devices.map(({ socket }) => [socket, new Array<string>()]));
    for (let number = 0; number < 30; number++) {
      const { connectionId, socket } = random.pick(devices);
      asked.get(socket)?.push(`m-${number}`);
      void send(connectionId, {
        messages: [userMessage(`m-${number}`)],
        conversationId: random.pick(["default", "conv-1"]),
      });
      for (let turns = random.below(10); turns > 0; turns--) await Promise.resolve();
    }
    await settle();
    for (const { socket } of devices) {
      const written = socket
        .inputs()
        .flatMap((input) => input.payload.messages.map((message) => message.client_message_id));
      expect(written).toEqual(asked.get(socket));
    }
  },
);
