import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createHarness, type Harness } from "./support/harness.ts";
import { createServerLinks } from "./support/linked-servers.ts";
import { runtime, stateOf } from "./support/message-status.ts";

const running = {
  ...{ type: "update_loop_status", runtime },
  loop_status: { status: "RUNNING", active_run_ids: ["run-1"], client_message_ids_by_run_id: { "run-1": ["m-1"] } },
};
const finished = { type: "turn_finished", runtime, run_id: "run-1", stop_reason: "end_turn" };

/** Servers of one store that reach each other's devices. */
function createServers() {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const links = createServerLinks(store);
  const start = (podId: string): Harness =>
    createHarness({ store, clock, podId, connectRouter: (local) => links.join(podId, local) });
  return { first: start("first"), second: start("second"), clock, store, links, start };
}

test("a message that ended at the server to which its device has moved stays ended, although the server that lost the device stores later", async () => {
  const { first, second, clock, store } = createServers();
  const before = await first.connect("device-a");
  const sent = first.send(before.connectionId);
  await first.settle();
  before.socket.acknowledge();
  await sent;
  before.socket.say(running);
  await clock.advance(3_000);
  const { connectionId, socket } = await second.connect("device-a");
  await second.settle();
  socket.say(running);
  socket.say(finished);
  await clock.advance(3_000);
  const [row] = await store.findEnvironments("acme", "device-a");
  expect(await store.readMessages(row?.id ?? "", "m-1", 1)).toMatchObject([{ status: { state: "finished" } }]);
  expect([await stateOf(first, connectionId, "m-1"), await stateOf(second, connectionId, "m-1")]).toEqual([
    "finished",
    "finished",
  ]);
});
