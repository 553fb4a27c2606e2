/**
 * The status of a message after it was sent: the input and the result of `retrieveMessage`. Every state after `sent` has evidence from the
 * device. This is an extension: servers without it return 404 `endpoint_not_found`.
 */
import * as v from "valibot";
import { limitWait } from "../base/prefer.ts";
import { pathReference } from "../base/reference.ts";
import { isWaitSeconds } from "../base/rules.ts";
import { type OpenEnum, openEnum, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** The states of a message; see {@link MessageStatus.state}. */
export const messageStates = [
  "received",
  "sent",
  "accepted",
  "running",
  "waiting_for_approval",
  "finished",
  "cancelled",
  "evicted",
  "failed",
  "unknown",
] as const;

/** One of the {@link messageStates}, or one of a newer server. */
export type MessageState = OpenEnum<(typeof messageStates)[number]>;

/** States in which a message stays. */
const endStates: readonly MessageState[] = ["finished", "cancelled", "evicted", "failed"];

/** Returns whether a message has ended, so that its state is final. */
export function hasEnded({ state }: Pick<MessageStatus, "state">): boolean {
  return endStates.includes(state);
}

/** Counters of a turn, as the device reports them. */
export interface TurnUsage {
  /** Tokens that were read from a cache. */
  cachedInputTokens?: number;
  /** Tokens that were written to a cache. */
  cacheWriteTokens?: number;
  /** Tokens of the responses. */
  completionTokens?: number;
  /** Tokens in the context window. */
  contextTokens?: number;
  /** Tokens of the prompts. */
  promptTokens?: number;
  /** Tokens of the reasoning. */
  reasoningTokens?: number;
  /** Requests to the model. */
  stepCount?: number;
  /** All tokens. */
  totalTokens?: number;
}

/** A message that was sent to a device, and its outcome. Times are epoch milliseconds. */
export interface MessageStatus {
  /** Agent of the conversation; `null` if it has none. */
  agentId: string | null;
  /** Id of the message, as its sender chose it. */
  clientMessageId: string;
  /** Conversation of the message. */
  conversationId: string;
  /** Device that received it. */
  deviceId: string;
  /**
   * `received`: stored. `sent`: written to the device. `accepted`: by the device. `running`: in a turn. `waiting_for_approval`: the turn needs a
   * permission. `finished`: the turn has ended, successfully or with an error. `cancelled`: the turn was stopped, or the message removed from the
   * queue. `evicted`: the device dropped it from a full queue. `failed`: the device rejected it, or nothing was written to it. `unknown`: the device
   * cannot be asked now.
   */
  state: MessageState;
  /** Whether the device started the message or queued it. */
  disposition?: OpenEnum<"started" | "queued">;
  /** Duration of the turn in milliseconds. */
  durationMs?: number;
  /** Why the turn or the message failed, for people. */
  error?: string;
  /** When the server stored the message. Absent in front of a remote server. */
  sentAt?: number;
  /** Why the turn ended, such as `end_turn`, `error` or `cancelled`; `unknown` if the device did not say. */
  stopReason?: string;
  /** The last text of the agent in the turn. Only for keys with the scope `view`. */
  text?: string;
  /** Whether a part of `text` is missing. */
  textTruncated?: boolean;
  /** When the state or a detail changed last. Absent in front of a remote server. */
  updatedAt?: number;
  /** Counters of the turn. */
  usage?: TurnUsage;
  /** How long the server was willing to wait, in seconds. Less than requested if that exceeded the maximum. */
  waitSeconds?: number;
}

/** The query of `retrieveMessage` as values. */
export interface RetrieveMessageQuery {
  /** Agent of the conversation, if the id was used in several. */
  agentId?: string;
  /** Conversation of the message, if the id was used in several. An empty one is refused, because it could mean `default` or any. */
  conversationId?: string;
  /** `finished`: waits until the message has ended, or until the time is over. */
  wait?: "finished";
  /** How long to wait, in seconds. Larger values count as the maximum. */
  waitSeconds?: number;
}

/** The query of `retrieveMessage` as it is written in a URL. */
export interface RetrieveMessageWireQuery {
  agentId?: string;
  conversationId?: string;
  wait?: "finished";
  waitSeconds?: string;
}

/** Decodes `waitSeconds` from its string to a number, at most `maxWaitSeconds`. */
export const WaitSecondsSchema: v.GenericSchema<string, number> = /* @__PURE__ */ waitSeconds();

function waitSeconds(): v.GenericSchema<string, number> {
  return v.pipe(
    v.string(),
    v.check(isWaitSeconds, "must be a whole number of seconds with at most 9 digits"),
    v.transform((text) => limitWait(Number(text))),
  );
}

/** Decodes the strings of a query to values. */
export const RetrieveMessageQuerySchema: WireObjectSchema<RetrieveMessageQuery, RetrieveMessageWireQuery> =
  /* @__PURE__ */ wireObject(() => ({
    agentId: v.exactOptional(pathReference()),
    conversationId: v.exactOptional(pathReference()),
    wait: v.exactOptional(v.picklist(["finished"], "must be finished")),
    waitSeconds: v.exactOptional(WaitSecondsSchema),
  }));

/** Schema of {@link TurnUsage}. */
export const TurnUsageSchema: WireObjectSchema<TurnUsage> = /* @__PURE__ */ wireObject(() => ({
  cachedInputTokens: v.exactOptional(v.number()),
  cacheWriteTokens: v.exactOptional(v.number()),
  completionTokens: v.exactOptional(v.number()),
  contextTokens: v.exactOptional(v.number()),
  promptTokens: v.exactOptional(v.number()),
  reasoningTokens: v.exactOptional(v.number()),
  stepCount: v.exactOptional(v.number()),
  totalTokens: v.exactOptional(v.number()),
}));

/** Schema of {@link MessageStatus}. */
export const MessageStatusSchema: WireObjectSchema<MessageStatus> = /* @__PURE__ */ wireObject(() => ({
  agentId: v.nullable(v.string()),
  clientMessageId: v.string(),
  conversationId: v.string(),
  deviceId: v.string(),
  state: openEnum(messageStates),
  disposition: v.exactOptional(openEnum(["started", "queued"])),
  durationMs: v.exactOptional(v.number()),
  error: v.exactOptional(v.string()),
  sentAt: v.exactOptional(v.number()),
  stopReason: v.exactOptional(v.string()),
  text: v.exactOptional(v.string()),
  textTruncated: v.exactOptional(v.boolean()),
  updatedAt: v.exactOptional(v.number()),
  usage: v.exactOptional(TurnUsageSchema),
  waitSeconds: v.exactOptional(v.number()),
}));
