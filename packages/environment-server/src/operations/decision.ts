/**
 * Decides again on a request that has waited, before its next frame is written to its device: for the device's answer to a question, for an earlier
 * message, or for a request for permission. Meanwhile its key can have ended, and the device can have left the reach of the key.
 */
import { type PlainResponse, type Principal, refused } from "@letta-environments/schema";
import type { DeviceCallContext } from "../routing/router.ts";
import type { Decide, ServerContext } from "./context.ts";
import { findPermitted } from "./reach.ts";

/** How long a decision stays valid, in milliseconds. Nearly every request is written within this time. */
const decisionValidMs = 1_000;

/**
 * Creates the {@link Decide} of a request that has just been permitted.
 *
 * @param refuse Returns the refusal of its input for a principal; `null` if it may send it.
 */
export function createDecision(
  server: Pick<ServerContext, "store" | "clock">,
  connectionId: string,
  permitted: Principal,
  { decideAgain, signal }: Pick<DeviceCallContext, "decideAgain" | "signal">,
  refuse: (principal: Principal) => PlainResponse | null,
): Decide {
  const { clock } = server;
  let principal = permitted;
  let decidedAtMs = clock.monotonic();
  return async () => {
    if (clock.monotonic() - decidedAtMs < decisionValidMs) return { kind: "permitted", principal };
    const again = decideAgain && (await answerUntilAborted(decideAgain, signal));
    if (again?.kind === "refused") return again;
    // Kept even if it is refused: the next call says "same" about these permissions.
    if (again?.kind === "changed") ({ principal } = again);
    const refusal = refuse(principal);
    if (refusal !== null) return refused(refusal);
    const found = await findPermitted(server, connectionId, principal);
    if (found.kind === "refused") return found;
    decidedAtMs = clock.monotonic();
    return { kind: "permitted", principal };
  };
}

/** Resolves with the answer, or rejects with the reason of `signal` as soon as it is aborted: other sends to the device wait for this one. */
async function answerUntilAborted<Answer>(
  ask: () => Promise<Answer>,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  if (signal === undefined) return ask();
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const end = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", end);
  try {
    return await Promise.race([ask(), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}
