/**
 * Decides again on a request that has waited, before its next frame is written to its device: for the device's answer to a question, for an earlier
 * message, or for a request for permission. Meanwhile its key can have ended, and the device can have left the reach of the key.
 */
import { type PlainResponse, type Principal, problemResponse, refused, type Refused } from "@letta-environments/schema";
import { maxDecisionMs } from "../limits.ts";
import type { DeviceCallContext } from "../routing/router.ts";
import type { Decide, ServerContext } from "./context.ts";
import { findPermitted } from "./reach.ts";

/** How long a decision stays valid, in milliseconds. Nearly every request is written within this time. */
const decisionValidMs = 1_000;

/**
 * Creates the {@link Decide} of a request that has just been permitted. Once its caller was refused, or not checked in time, it stays refused.
 *
 * @param refuse Returns the refusal of its input for a principal; `null` if it may send it.
 */
export function createDecision(
  server: Pick<ServerContext, "store" | "clock" | "onClose" | "isClosing">,
  connectionId: string,
  permitted: Principal,
  { decideAgain, signal }: Pick<DeviceCallContext, "decideAgain" | "signal">,
  refuse: (principal: Principal) => PlainResponse | null,
): Decide {
  const { clock } = server;
  let principal = permitted;
  let last: Awaited<ReturnType<Decide>> = { kind: "permitted", principal };
  let decidedAtMs = clock.monotonic();
  let ended: Refused | null = null;
  return async () => {
    // A late answer may still come, and the host compares the next one with that.
    if (ended !== null) return ended;
    if (clock.monotonic() - decidedAtMs < decisionValidMs) return last;
    const again = decideAgain && (await answerInTime(server, decideAgain, signal));
    if (again?.kind === "refused") return (ended = again);
    // Kept even if it is refused: the next call says "same" about these permissions.
    if (again?.kind === "changed") ({ principal } = again);
    const refusal = refuse(principal);
    const found = refusal === null ? await findPermitted(server, connectionId, principal) : refused(refusal);
    decidedAtMs = clock.monotonic();
    return (last = found.kind === "refused" ? found : { kind: "permitted", principal });
  };
}

/**
 * Resolves with the answer, or with a refusal after {@link maxDecisionMs} or when the server closes, because later messages of its conversation wait for it.
 * Rejects with the reason of `signal` as soon as it is aborted.
 */
async function answerInTime<Answer>(
  { clock, onClose, isClosing }: Pick<ServerContext, "clock" | "onClose" | "isClosing">,
  ask: () => Promise<Answer>,
  signal: AbortSignal | undefined,
): Promise<Answer | Refused> {
  signal?.throwIfAborted();
  if (isClosing()) return refused(problemResponse("shutting_down"));
  const ended = Promise.withResolvers<Refused>();
  const cancelTimer = clock.setTimer(maxDecisionMs, () => ended.resolve(lateDecision));
  const stopClosing = onClose(() => ended.resolve(refused(problemResponse("shutting_down"))));
  const abort = (): void => ended.reject(signal?.reason);
  signal?.addEventListener("abort", abort);
  try {
    return await Promise.race([ask(), ended.promise]);
  } finally {
    cancelTimer();
    stopClosing();
    signal?.removeEventListener("abort", abort);
  }
}

const lateDecision: Refused = refused(
  problemResponse("storage_unavailable", {
    detail: "The request waited, and its key or token could not be checked again in time. It was not sent.",
  }),
);
