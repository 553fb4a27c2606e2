/**
 * The output of a turn: frames with a piece of a conversation (`stream_delta`). There are many, so they are read only while a caller
 * listens. The piece itself is passed on unchanged.
 */
import type { Conversation } from "./conversation.ts";
import { isMembers, type Members, parseMembers, readId, readRuntime } from "./values.ts";

/** A piece of a conversation. */
interface OutputFrame {
  readonly runtime: Conversation;
  /** The same for a frame that the device sends again; `null` if the device does not say. */
  readonly key: string | null;
  /** The part of the turn that produced it, such as a subagent; `null` for the turn itself. */
  readonly subagentId: string | null;
  readonly delta: Members;
}

/** Whether a text is a frame with output, by its start. Devices write the type first. */
export function isOutput(text: string): boolean {
  return text.startsWith('{"type":"stream_delta"');
}

/** Parses a frame with output; `null` for anything else. It never throws. */
export function parseOutput(text: string): OutputFrame | null {
  const frame = parseMembers(text);
  if (frame?.["type"] !== "stream_delta") return null;
  const runtime = readRuntime(frame["runtime"]);
  const delta = frame["delta"];
  if ("kind" in runtime || !isMembers(delta)) return null;
  return { runtime, delta, key: readId(frame["idempotency_key"]), subagentId: readId(frame["subagent_id"]) };
}
