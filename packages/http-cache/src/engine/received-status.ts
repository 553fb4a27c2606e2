import { type ForwardReason, formatCacheStatus } from "../fields/cache-status.ts";
import type { StoreVerdict } from "./store-answer.ts";

/** Our entry for an answer of the upstream. */
export function receivedStatus(
  name: string,
  forward: ForwardReason,
  forwardStatus: number,
  { stored, refusal }: StoreVerdict,
  isCollapsed: boolean | null,
): string {
  const isStored = stored !== null && refusal === null;
  const ttlSeconds = isStored ? Math.floor((stored.freshForMs - stored.initialAgeMs) / 1_000) : null;
  return formatCacheStatus(name, { forward, forwardStatus, ttlSeconds, isStored, isCollapsed, detail: refusal });
}
