/** Waits for the end of a turn, or for its first request for permission, which somebody else must decide. */
import { type MessageStatus, readTurn, type RetrieveMessageInput } from "@letta-environments/client";
import * as v from "valibot";
import type { ToolCall, ToolOutput } from "./tool.ts";
import { pause } from "../host.ts";
import { cutText, showText } from "./texts.ts";

/** The form in which tools report a turn. */
export const TurnSchema: v.GenericSchema<TurnReport> = v.object({
  outcome: v.pipe(
    v.string(),
    v.description(
      "finished, failed, cancelled or evicted are final; unfinished: the turn goes on; unknown: nobody can tell now.",
    ),
  ),
  state: v.pipe(
    v.string(),
    v.description(
      "received, sent, accepted, running, waiting_for_approval, finished, cancelled, evicted, failed or unknown.",
    ),
  ),
  reply: v.pipe(v.nullable(v.string()), v.description("The agent's last text; null without the scope view.")),
  replyTruncated: v.boolean(),
  error: v.nullable(v.string()),
  stopReason: v.nullable(v.string()),
  durationMs: v.nullable(v.number()),
});

interface TurnReport {
  outcome: string;
  state: string;
  reply: string | null;
  replyTruncated: boolean;
  error: string | null;
  stopReason: string | null;
  durationMs: number | null;
}

/** A message whose turn is awaited. */
export interface AwaitedTurn {
  readonly connectionId: string;
  readonly messageId: string;
  readonly conversation: Pick<RetrieveMessageInput, "agentId" | "conversationId">;
  /** 0: not at all. */
  readonly waitSeconds: number;
}

/** A request for permission is noticed after at most this time. */
const lookSeconds = 5;
/** The pause after a response that the server did not delay. */
const pauseMs = 2_000;

/** Resolves with the last known status of a message. Rejects with a `LettaEnvironmentsError`. */
export async function awaitTurn(
  { host, operations, progress }: ToolCall,
  { connectionId, messageId, conversation, waitSeconds }: AwaitedTurn,
): Promise<MessageStatus> {
  const { clock } = host;
  const startedMs = clock.monotonic();
  for (;;) {
    const elapsedSeconds = Math.floor((clock.monotonic() - startedMs) / 1_000);
    const seconds = Math.min(lookSeconds, waitSeconds - elapsedSeconds);
    const wait = seconds > 0 ? ({ wait: "finished", waitSeconds: seconds } as const) : {};
    const askedMs = clock.monotonic();
    const status = await operations.message(connectionId, messageId, { ...conversation, ...wait });
    if (seconds <= 0 || !mayEndByItself(status)) return status;
    await progress(elapsedSeconds, waitSeconds, `the message is ${status.state.replaceAll("_", " ")}`);
    await pause(clock, host.interrupted, pauseMs - (clock.monotonic() - askedMs));
  }
}

/** Whether waiting longer can change the status. A server that receives no reports of the device waits for 0 seconds, and says so. */
function mayEndByItself(status: MessageStatus): boolean {
  const { outcome } = readTurn(status);
  const isOpen = outcome === "unfinished" || outcome === "unknown";
  return isOpen && status.waitSeconds !== 0 && status.state !== "waiting_for_approval";
}

/** The largest number of characters of a reply: a server has no longer ones. */
const maxReplyLength = 65_536;
/** The largest number of characters of an error and of a reason. */
const maxReasonLength = 1_000;

/** A status as tools report it. */
export function describeTurn(status: MessageStatus, maxLength: number = maxReplyLength): ToolOutput & TurnReport {
  const { outcome, reply } = readTurn(status);
  const { state, textTruncated = false, error, stopReason, durationMs } = status;
  const { shown, isCut } = reply === null ? { shown: null, isCut: false } : cutText(reply, maxLength);
  return {
    outcome,
    state,
    reply: shown,
    replyTruncated: textTruncated || isCut,
    error: error === undefined ? null : showText(error, maxReasonLength),
    stopReason: stopReason === undefined ? null : showText(stopReason, maxReasonLength),
    durationMs: durationMs ?? null,
  };
}
