/** Ctrl-C while a turn is followed on a terminal. */
import { stripVTControlCharacters } from "node:util";
import { type Approval, LettaEnvironmentsError, type StreamedEvent } from "@letta-environments/client";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { CommandContext } from "../context.ts";
import type { EnvironmentOperations } from "../operations.ts";
import { follow } from "./follow.ts";

const approval = {
  ...{ id: "call-1", tool: "Bash", input: { command: "rm -rf /srv" }, reason: null, suggestions: [], requestedAt: 1 },
  ...{ deviceId: "d1", agentId: "a1", conversationId: "default", clientMessageId: "m1" },
} as unknown as Approval;

const messageIn = (state: string) =>
  ({ type: "message", message: { clientMessageId: "m1", conversationId: "default", state } }) as StreamedEvent;
const requested = { type: "approval", change: "requested", approval } as unknown as StreamedEvent;

/** Events that a test adds one by one. */
function createEvents() {
  const waiting: StreamedEvent[] = [];
  let wake = (): void => undefined;
  return {
    add(event: StreamedEvent): void {
      waiting.push(event);
      wake();
    },
    async *open({ onOpen }: { readonly onOpen?: () => void }): AsyncGenerator<StreamedEvent, void, undefined> {
      onOpen?.();
      for (;;) {
        const event = waiting.shift();
        if (event !== undefined) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

/** Follows a turn on a terminal. `questions` returns what the terminal shows since each open question began, and `answer` answers the last one. */
function start(stop: EnvironmentOperations["stop"]) {
  const clock = createVirtualClock();
  const events = createEvents();
  const open: { readonly from: number; readonly end: (line: string | null) => void }[] = [];
  const shown: string[] = [];
  const interrupt: { now(): void } = { now: () => undefined };
  const output = { isTerminal: true, columns: () => 80, write: async (text: string) => void shown.push(text) };
  // The members that following a turn uses.
  const context = {
    host: {
      clock,
      interrupted: new AbortController().signal,
      variable: () => undefined,
      stdin: {
        isTerminal: true,
        readLine: (ask: () => void, cancelled: AbortSignal) =>
          new Promise<string | null>((resolve) => {
            const question = {
              from: shown.length,
              end(line: string | null): void {
                open.splice(open.indexOf(question), 1);
                resolve(line);
              },
            };
            open.push(question);
            ask();
            cancelled.addEventListener("abort", () => question.end(null), { once: true });
          }),
      },
      stdout: output,
      stderr: output,
      onInterrupt(handle: () => void) {
        interrupt.now = handle;
        return () => undefined;
      },
    },
    isJson: false,
    parsed: { options: new Map() },
    option: () => undefined,
  } as unknown as CommandContext;
  const environment = { deviceId: "d1", connectionName: "laptop", connectionId: null };
  const operations = {
    retrieve: async () => environment,
    sendToDevice: async () => ({ outcome: "started", connectionId: "c1" }),
    events: events.open,
    approvals: async () => [approval],
    stop,
  } as unknown as EnvironmentOperations;
  const result = follow(context, operations, {
    target: { kind: "device", device: "d1" },
    message: { role: "user", content: "hi", client_message_id: "m1" },
    waitMs: null,
    idempotencyKey: undefined,
  });
  return {
    ...{ clock, events, interrupt, result },
    questions: () => open.map(({ from }) => stripVTControlCharacters(shown.slice(from).join("")).trim()),
    answer: (line: string) => open.at(-1)?.end(line),
  };
}

const stopQuestion = "Stop the turn on laptop? [y/N]";
const permissionQuestion = "Allow Bash: rm -rf /srv? [y/n]";

test("no permission is asked for while the question whether to stop the turn is open, or after the turn was stopped", async () => {
  const run = start(async () => ({ stopped: true }) as Awaited<ReturnType<EnvironmentOperations["stop"]>>);
  await run.clock.advance(1_000);
  run.events.add(messageIn("running"));
  await run.clock.advance(1_000);
  run.interrupt.now();
  await run.clock.advance(1_000);
  run.events.add(requested);
  run.events.add(messageIn("waiting_for_approval"));
  await run.clock.advance(10_000);
  expect(run.questions()).toEqual([stopQuestion]);
  run.answer("y");
  await run.clock.advance(10_000);
  expect(run.questions()).toEqual([]);
  run.events.add(messageIn("cancelled"));
  await expect(run.result).rejects.toThrow("the turn was stopped");
});

test("a permission question comes back if the turn could not be stopped", async () => {
  const run = start(async () => {
    throw new LettaEnvironmentsError({ code: "storage_unavailable", message: "the store is away", retryable: false });
  });
  await run.clock.advance(1_000);
  run.events.add(messageIn("waiting_for_approval"));
  await run.clock.advance(1_000);
  expect(run.questions()).toEqual([permissionQuestion]);
  run.interrupt.now();
  await run.clock.advance(1_000);
  expect(run.questions()).toEqual([stopQuestion]);
  run.answer("y");
  await run.clock.advance(10_000);
  expect(run.questions()).toEqual([permissionQuestion]);
  run.events.add(messageIn("cancelled"));
  await expect(run.result).rejects.toThrow("the turn was stopped");
});
