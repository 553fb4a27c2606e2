/**
 * Denies requests for permission that are not remembered, because there are too many. Only a policy that denies their tool applies to them: their
 * deadlines cannot be kept. A denial for which the device has no room is repeated while the device is connected.
 */
import type { Clock } from "@letta-environments/platform";
import type { StoredApproval } from "../approval-log.ts";
import { denialRetryMs, maxWaitingDenials } from "../limits.ts";
import { keyOf, keyText } from "./register.ts";

/** The result of a denial. */
export type DenialResult =
  /** It was sent: the device has taken it, or it is not known whether. */
  | "accepted"
  | "unknown"
  /** Nothing was sent. It may be repeated. */
  | "not_sent"
  /** The device has rejected it, or an earlier decision counts. A repeat would change nothing. */
  | "settled";

/** Receives a request, without its arguments after the first attempt, and the outcome of its denial. */
export type OnDenied = (approval: StoredApproval, outcome: "accepted" | "unknown") => void;

/** Denies requests that are not remembered. */
export interface UnregisteredDenials {
  /** Denies a request. Does nothing when that goes on already. `onSent` is called when a denial was sent. */
  start(approval: StoredApproval, onSent: OnDenied): void;
  /** The request is remembered from now on. */
  cancel(approval: StoredApproval): void;
  /** Nothing is denied from now on. */
  close(): void;
}

/** Creates {@link UnregisteredDenials}. */
export function createUnregisteredDenials({
  clock,
  deny,
  mayDeny,
}: {
  readonly clock: Clock;
  /** Never rejects. */
  readonly deny: (approval: StoredApproval) => Promise<DenialResult>;
  /** Whether the device of a request is connected. */
  readonly mayDeny: (approval: StoredApproval) => boolean;
}): UnregisteredDenials {
  const running = new Set<string>();
  /** Cancels the next attempt, by row and request. */
  const waiting = new Map<string, Map<string, () => void>>();

  function cancel(approval: StoredApproval): void {
    const { environmentId } = approval.scope;
    const ofRow = waiting.get(environmentId);
    const key = keyText(keyOf(approval));
    ofRow?.get(key)?.();
    ofRow?.delete(key);
    if (ofRow?.size === 0) waiting.delete(environmentId);
  }

  function startLater(approval: StoredApproval, run: (approval: StoredApproval) => void): void {
    const { scope, request } = approval;
    const ofRow = waiting.get(scope.environmentId) ?? new Map<string, () => void>();
    if (ofRow.size >= maxWaitingDenials) return;
    // Of the request, a denial needs nothing that is long.
    const kept = { ...approval, request: { ...request, input: null, suggestions: [] } };
    const stop = clock.setTimer(denialRetryMs, () => {
      cancel(kept);
      run(kept);
    });
    waiting.set(scope.environmentId, ofRow.set(keyText(keyOf(kept)), stop));
  }

  const start: UnregisteredDenials["start"] = (approval, onSent) => {
    const key = keyText(keyOf(approval));
    if (!mayDeny(approval) || running.has(key) || waiting.get(approval.scope.environmentId)?.has(key) === true) return;
    running.add(key);
    void deny(approval).then((result) => {
      running.delete(key);
      if (result === "accepted" || result === "unknown") onSent(approval, result);
      else if (result === "not_sent" && mayDeny(approval)) startLater(approval, (kept) => start(kept, onSent));
    });
  };

  return {
    start,
    cancel,
    close() {
      for (const ofRow of waiting.values()) for (const stop of ofRow.values()) stop();
      waiting.clear();
    },
  };
}
