/**
 * Requests whose body arrives late. A caller can hold back its body as long as the host waits for it, a minute or more, and earlier decisions would
 * still apply then: the permissions of a key that was revoked meanwhile, or the tags that a device has lost. So every decision about the caller and
 * its device is made again, as for a new request.
 */
import type { Clock } from "@letta-environments/platform";
import type { MatchedEndpoint } from "@letta-environments/schema";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import { authoriseEndpoint } from "../auth/authorise.ts";
import type { MaybePromise, Refusal } from "../lib/steps.ts";
import type { Received } from "../request-trace.ts";
import type { CheckCredential } from "./check.ts";

/** A request whose body has arrived. */
export interface CompleteRequest extends Received, MatchedEndpoint {
  readonly principal: GatewayPrincipal;
}

/**
 * How long decisions about a request stay valid, from its start, in milliseconds. A change can always come a moment after a decision, and nearly
 * every body arrives within this time, so that credential and device need no second check.
 */
const decidedForMs = 1_000;

/** The current principal of the credential; absent: unchanged. */
type Decided = Partial<Pick<CompleteRequest, "principal">>;

const asBefore: Decided = {};

/**
 * Creates the step that decides again on a request whose body arrived late.
 *
 * @param openRecord Looks up the connection and opens the audit record again. Nothing of the first one was written yet.
 */
export function createDecideAgain<Complete extends CompleteRequest>(
  { checkCredential }: { readonly checkCredential: CheckCredential },
  clock: Pick<Clock, "monotonic">,
  openRecord: (complete: Complete) => MaybePromise<null>,
) {
  async function decide(complete: Complete): Promise<Decided | Refusal> {
    const { request, endpoint, params, trace } = complete;
    const authorization = request.header("authorization");
    const state = await checkCredential({ authorization, principal: complete.principal });
    if (state.kind === "ended") {
      trace.refusalReason = state.reason;
      return { kind: "refused", response: state.response };
    }
    // Even if the permissions are the same: in shadow mode, they can hide other restrictions.
    const { principal } = state;
    const response = authoriseEndpoint(principal, endpoint, params);
    if (response !== null) return { kind: "refused", response };
    trace.principal = principal;
    await openRecord({ ...complete, principal });
    return { principal };
  }

  return (complete: Complete): MaybePromise<Decided | Refusal> => {
    const { endpoint, caller, trace } = complete;
    // A frame of a socket arrives as a whole, so its body is never late, and it has no credential that could be checked again.
    if (endpoint.body === null || caller !== undefined) return asBefore;
    return clock.monotonic() - trace.startedAt < decidedForMs ? asBefore : decide(complete);
  };
}
