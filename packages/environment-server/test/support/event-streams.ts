/** Streams of events of a harness. */
import type { Principal } from "@letta-environments/schema";
import type { EventStream } from "../../src/index.ts";
import { type EventSink, readEvents } from "@letta-environments/testkit";
import assert from "node:assert/strict";
import { afterEach } from "vitest";
import { findDifference } from "./described-events.ts";
import { anyone, type Harness } from "./harness.ts";

const listened: EventSink[] = [];
// What any test receives is as the API description says.
afterEach(() => {
  for (const { type, data } of listened.splice(0).flatMap(({ events }) => events))
    assert.deepEqual([type, data, findDifference(type, data)], [type, data, null]);
});

/** The parameters of a reader. */
export interface StreamOptions {
  readonly principal?: Principal;
  readonly include?: "output";
  readonly deviceId?: string;
  readonly lastEventId?: string;
}

/** Opens a stream; throws when it is refused. */
export async function openStream(
  { server }: Pick<Harness, "server">,
  { principal = anyone, lastEventId, ...query }: StreamOptions = {},
): Promise<EventStream> {
  const decision = await server.openEvents({ query, lastEventId: lastEventId ?? null }, principal);
  if (decision.kind === "refused") throw new Error(`refused: ${String(decision.response.body)}`);
  return decision.stream;
}

/** Opens a stream and reads it. */
export async function listen(harness: Harness, options: StreamOptions = {}): Promise<EventSink> {
  const sink = readEvents((await openStream(harness, options)).stream);
  listened.push(sink);
  await settleEvents(harness);
  return sink;
}

/** Lets commits, publications and readers finish. */
export async function settleEvents({ clock }: Pick<Harness, "clock">): Promise<void> {
  for (let round = 0; round < 2; round += 1) {
    await clock.advance(0);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A frame with output. */
export function deltaFrame(index: number, members: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    type: "stream_delta",
    delta: { message_type: "assistant_message", id: "msg-1", content: `text ${index}` },
    runtime: { agent_id: "agent-1", conversation_id: "default" },
    event_seq: index,
    idempotency_key: `stream_delta:${index}`,
    ...members,
  };
}
