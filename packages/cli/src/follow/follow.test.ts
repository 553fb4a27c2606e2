import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { StreamedEvent } from "@letta-environments/client";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { CommandContext } from "../context.ts";
import type { EnvironmentOperations } from "../operations.ts";
import { follow } from "./follow.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

test("a turn of many events takes no more memory than one of a few", async () => {
  const heap: number[] = [];
  const event = { type: "environment" } as unknown as StreamedEvent;
  async function* events({ onOpen }: { readonly onOpen?: () => void }) {
    onOpen?.();
    for (let count = 0; count <= 20_000; count++) {
      if (count % 10_000 === 0) {
        collectGarbage();
        heap.push(process.memoryUsage().heapUsed);
      }
      yield event;
    }
    const message = { clientMessageId: "m1", state: "finished", conversationId: "default", stopReason: "end_turn" };
    yield { type: "message", message } as unknown as StreamedEvent;
  }
  const output = { isTerminal: false, columns: () => null, write: async () => true };
  // The members that following a turn uses.
  const context = {
    host: {
      clock: createVirtualClock(),
      interrupted: new AbortController().signal,
      variable: () => undefined,
      stdin: { isTerminal: false },
      stdout: output,
      stderr: output,
    },
    isJson: false,
    option: () => undefined,
  } as unknown as CommandContext;
  const environment = { deviceId: "d1", connectionName: "laptop", connectionId: null };
  const operations = {
    retrieve: async () => environment,
    sendToDevice: async () => ({ outcome: "started", connectionId: "c1" }),
    events,
  } as unknown as EnvironmentOperations;
  const message = { role: "user", content: "hi", client_message_id: "m1" } as const;
  const exitCode = await follow(context, operations, {
    target: { kind: "device", device: "d1" },
    message,
    waitMs: null,
    idempotencyKey: undefined,
  });
  const [, early = 0, late = 0] = heap;
  expect(exitCode).toBe(0);
  expect(late - early).toBeLessThan(500_000);
});
