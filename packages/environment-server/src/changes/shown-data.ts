/**
 * The data of an event as a reader sees it. The event of a message has the last text of the turn, which is output: readers without output
 * receive the event without it.
 */
import type { StoredChange } from "../change-log.ts";
import { isMembers } from "../dialects/values.ts";
import type { ChangeView } from "./audience.ts";

/** Returns the function that returns the data of a change, for readers with output or without it. */
export function createShownData({ kind, data }: Pick<StoredChange, "kind" | "data">) {
  let plain: string | null = null;
  return ({ includesOutput }: Pick<ChangeView, "includesOutput">): string => {
    if (kind !== "message" || includesOutput) return data;
    return (plain ??= withoutText(data));
  };
}

function withoutText(data: string): string {
  // Most changes of a message come before its turn has a text.
  if (!data.includes('"text":')) return data;
  const { message, ...rest } = JSON.parse(data) as Readonly<Record<string, unknown>>;
  if (!isMembers(message)) return data;
  const { text: _text, textTruncated: _truncated, ...shown } = message;
  return JSON.stringify({ ...rest, message: shown });
}
