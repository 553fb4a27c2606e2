import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { messageWriteDelayMs } from "../limits.ts";
import type { StoredMessage } from "../message-log.ts";
import { createMemoryMessageLog } from "./memory-log.ts";
import { receivedStatus } from "./status.ts";
import { createMessageWriter } from "./writer.ts";

const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };

function message(state: "running" | "finished"): StoredMessage {
  return {
    scope,
    messageId: "m-1",
    deliveryId: "msg-1",
    status: { ...receivedStatus, state },
    sentAt: 1,
    updatedAt: 1,
  };
}

test("the end of a message is never replaced by an earlier write that takes longer", async () => {
  const clock = createVirtualClock();
  const log = createMemoryMessageLog();
  const delays = [200, 0];
  const writer = createMessageWriter({
    clock,
    emit: () => undefined,
    log: {
      async saveMessages(messages) {
        await new Promise<void>((resolve) => void clock.setTimer(delays.shift() ?? 0, resolve));
        await log.saveMessages(messages);
      },
    },
  });
  let state: "running" | "finished" = "running";
  const entry = { toStored: () => [message(state)] };
  writer.later(entry);
  await clock.advance(messageWriteDelayMs);
  state = "finished";
  const stored = writer.now(entry);
  await clock.advance(500);
  await stored;
  expect(await log.readMessages("env-1", "m-1", 1)).toMatchObject([{ status: { state: "finished" } }]);
});

test("the end of a message that could not be stored is stored as soon as the store is back, and not after the end of the process", async () => {
  const clock = createVirtualClock();
  const log = createMemoryMessageLog();
  let failing = 2;
  let calls = 0;
  const stored: unknown[] = [];
  const writer = createMessageWriter({
    clock,
    emit: () => undefined,
    onStored: (entry) => void stored.push(entry),
    log: {
      async saveMessages(messages) {
        calls += 1;
        if (failing-- > 0) throw new Error("the store is away");
        await log.saveMessages(messages);
      },
    },
  });
  const entry = { toStored: () => [message("finished")] };
  await writer.now(entry);
  expect(await writer.flush()).toBe(false);
  await clock.advance(messageWriteDelayMs);
  expect(await log.readMessages("env-1", "m-1", 1)).toMatchObject([{ status: { state: "finished" } }]);
  expect([await writer.flush(), calls, stored]).toEqual([true, 3, [entry]]);
  failing = 1;
  writer.later(entry);
  await writer.close();
  await clock.advance(10 * messageWriteDelayMs);
  expect(calls).toBe(4);
});
