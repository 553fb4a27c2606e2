/** The state of a message in words, and how it is shown. */
import type { MessageStatus } from "@letta-environments/client";
import { durationText } from "./time.ts";

/** The tone in which a state is shown. */
export type Tone = "good" | "bad" | "warn" | "busy" | "calm";

/** A state for people. */
export interface StateText {
  readonly tone: Tone;
  readonly text: string;
}

/** Describes the state of a message. `null`: it was not sent yet. */
export function describeState(status: MessageStatus | null): StateText {
  if (status === null) return { tone: "busy", text: "sending" };
  const took = status.durationMs === undefined ? "" : ` in ${durationText(status.durationMs)}`;
  switch (status.state) {
    case "received":
    case "sent":
      return { tone: "busy", text: "sent" };
    case "accepted":
      return { tone: "busy", text: status.disposition === "queued" ? "queued" : "accepted" };
    case "running":
      return { tone: "busy", text: "running" };
    case "waiting_for_approval":
      return { tone: "warn", text: "waits for approval" };
    case "finished":
      return status.error === undefined && status.stopReason !== "error"
        ? { tone: "good", text: `finished${took}` }
        : { tone: "bad", text: `failed${took}` };
    case "cancelled":
      return { tone: "calm", text: `stopped${took}` };
    case "evicted":
      return { tone: "bad", text: "dropped from a full queue" };
    case "failed":
      return { tone: "bad", text: "rejected by the device" };
    case "unknown":
      return { tone: "warn", text: "outcome unknown" };
    default:
      return { tone: "calm", text: String(status.state) };
  }
}
