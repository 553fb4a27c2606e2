/**
 * Decides again on requests that stayed open, as if they were new. Otherwise a key that was revoked meanwhile, or a device that has lost its tags,
 * would still be treated as before.
 *
 * - After a late body: a caller can hold back its body as long as the host waits for it, a minute or more. Every decision about the caller and its
 *   device is made again.
 * - Before a send or a command that has waited is written to its device: nothing was sent, so it can still be refused. The embedded server decides
 *   when this is due, and looks the device up again.
 * - After a wait for the end of a turn: the response shows what happened during the wait. A key that has ended meanwhile sees nothing of it, and one
 *   with other permissions sees what a new request would.
 * - While a stream of events is open: it ends with its credential (`streams/event-streams.ts`).
 */
import type { Clock } from "@letta-environments/platform";
import {
  type MatchedEndpoint,
  type PlainResponse,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import { type Authentication, type GatewayPrincipal, invalidKey } from "./auth/authentication.ts";
import { authoriseEndpoint } from "./auth/authorise.ts";
import type { GatewayRequest } from "./http/gateway-request.ts";
import type { ValidRequest } from "./http/validate-request.ts";
import { credentialOf } from "./keys/key-record.ts";
import { isDeepEqual } from "./lib/deep-equal.ts";
import { parseJsonObject } from "./lib/json.ts";
import { catchAll, type MaybePromise } from "./lib/steps.ts";
import type { HasExpired } from "./ports.ts";
import type { RequestExchange, RequestState } from "./request-exchange.ts";
import type { DecideAgain, PreparedCall } from "./upstream/upstream.ts";

/** The credential of an authorised request. */
export interface RequestCredential {
  /** `Authorization` of the request. */
  readonly authorization: string | null;
  /** The permissions that it was authorised with. */
  readonly principal: GatewayPrincipal;
}

/** The state of a credential that was valid before. */
export type CredentialState =
  /** It has the same permissions, or a change cannot be detected. The principal may expire at another time than before. */
  | { readonly kind: "same"; readonly principal: GatewayPrincipal }
  | { readonly kind: "changed"; readonly principal: GatewayPrincipal }
  /** It is refused with this response. The reason is for the log only. */
  | { readonly kind: "ended"; readonly response: PlainResponse; readonly reason: string | null };

/** Authenticates a credential again. Never rejects. */
export type CheckCredential = (credential: RequestCredential) => Promise<CredentialState>;

/** The check of the current configuration, which outlives a reload. Requests that began under an earlier configuration use it, too. */
export interface CurrentCheck {
  /** Absent before the first configuration. */
  check?: CheckCredential;
}

/** Installs `check` as the current one, and returns a function that always calls the current one. */
export function replaceCheck(current: CurrentCheck, check: CheckCredential): CheckCredential {
  current.check = check;
  return (credential) => (current.check ?? check)(credential);
}

/**
 * Creates a {@link CheckCredential}. An error of the authentication (5xx) neither ends a credential nor extends it: it counts as valid until its
 * known expiry.
 *
 * @param authenticate Authenticates an `Authorization` header.
 */
export function createCheckCredential(
  authenticate: (authorization: string | null) => MaybePromise<Authentication>,
  hasExpired: HasExpired,
): CheckCredential {
  return async ({ authorization, principal }) => {
    const authentication = await catchAll(
      () => authenticate(authorization),
      () => unavailable,
    );
    if (authentication.kind === "refused") {
      const { response, reason = null } = authentication;
      if (response.status < 500) return { kind: "ended", response, reason };
      const { credentialExpiresAt, keyExpiresAt = null } = principal;
      if (!hasExpired(credentialOf(principal), credentialExpiresAt ?? keyExpiresAt)) return { kind: "same", principal };
      const expired = credentialExpiresAt === undefined ? "key_expired" : "token_expired";
      return { kind: "ended", response: invalidKey, reason: expired };
    }
    const isSame = isDeepEqual(permissionsOf(authentication.principal), permissionsOf(principal));
    return { kind: isSame ? "same" : "changed", principal: authentication.principal };
  };
}

const unavailable: Authentication = refused(problemResponse("key_store_unavailable"));

/** A key that expires at another time has the same permissions until then. */
function permissionsOf({ keyExpiresAt: _expiry, ...permissions }: GatewayPrincipal): object {
  return permissions;
}

/** A request, and where to note why its credential was refused. */
interface CredentialedRequest extends MatchedEndpoint {
  readonly request: GatewayRequest;
  readonly state: Pick<RequestState, "refusalReason">;
}

/** A request whose body has arrived. */
interface CompleteRequest extends RequestExchange, MatchedEndpoint {
  readonly principal: GatewayPrincipal;
}

/**
 * How long decisions about a request stay valid, from its start, in milliseconds. A change can always come a moment after a decision, and nearly
 * every body arrives within this time, so that credential and device need no second check.
 */
const decisionValidMs = 1_000;

/** The current principal of the credential; absent: unchanged. */
type Decided = Partial<Pick<CompleteRequest, "principal">>;

const unchanged: Decided = {};

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
  async function decide(complete: Complete): Promise<Decided | Refused> {
    const decided = await authoriseAgain(checkCredential, complete, complete.principal);
    if (decided.kind === "refused") return decided;
    // Even if the permissions are the same: in shadow mode, they can hide other restrictions.
    const { principal } = decided;
    complete.state.principal = principal;
    await openRecord({ ...complete, principal });
    return { principal };
  }

  return (complete: Complete): MaybePromise<Decided | Refused> => {
    const { endpoint, caller, state } = complete;
    // A frame of a socket arrives as a whole, so its body is never late, and it has no credential that could be checked again.
    if (endpoint.body === null || caller !== undefined) return unchanged;
    return clock.monotonic() - state.startedAt < decisionValidMs ? unchanged : decide(complete);
  };
}

/** Authenticates the caller of a request again, and decides again whether it may use the endpoint. */
async function authoriseAgain(
  checkCredential: CheckCredential,
  { request, endpoint, params, state }: CredentialedRequest,
  principal: GatewayPrincipal,
): Promise<Exclude<CredentialState, { readonly kind: "ended" }> | Refused> {
  const credential = await checkCredential({ authorization: request.header("authorization"), principal });
  if (credential.kind === "ended") {
    state.refusalReason = credential.reason;
    return refused(credential.response);
  }
  const response = authoriseEndpoint(credential.principal, endpoint, params);
  return response === null ? credential : refused(response);
}

/**
 * Returns the `decideAgain` of a request. The embedded server checks input and device itself. `undefined` for a frame of a viewer, which is aborted
 * when its key has ended.
 */
export function decideBeforeWrite(
  { checkCredential }: { readonly checkCredential: CheckCredential },
  request: CredentialedRequest & Pick<CompleteRequest, "caller">,
): DecideAgain | undefined {
  return request.caller === undefined ? (last) => authoriseAgain(checkCredential, request, last) : undefined;
}

/** A request whose call has ended. */
interface CalledRequest extends CredentialedRequest {
  /** The caller, where it is known without a credential: its socket ends with the credential that opened it. */
  readonly caller?: GatewayPrincipal;
  readonly principal: GatewayPrincipal;
  readonly input: ValidRequest;
  readonly call: Pick<PreparedCall, "waitSeconds">;
}

/** Prepares the call of the same request with another principal or input. */
type PrepareAgain = (changed: Pick<CalledRequest, "principal" | "input">) => PreparedCall;

/**
 * Creates the function that returns the caller's response after a call. If the credential has ended or has other permissions, a read gets the
 * response of a new request, without a wait. A send was delivered, so it loses only the outcome of its turn.
 */
export function createRespondAfterWait({ checkCredential }: { readonly checkCredential: CheckCredential }) {
  async function respond(
    { request, state, endpoint, params, input, principal }: CalledRequest,
    response: PlainResponse,
    prepareAgain: PrepareAgain,
  ): Promise<PlainResponse> {
    const credential = await checkCredential({ authorization: request.header("authorization"), principal });
    if (credential.kind === "same") return response;
    if (endpoint.operation === "sendMessage") return withoutOutcome(response);
    if (credential.kind === "ended") {
      state.refusalReason = credential.reason;
      return credential.response;
    }
    const refusal = authoriseEndpoint(credential.principal, endpoint, params);
    return (
      refusal ?? prepareAgain({ principal: credential.principal, input: withoutWait(input) }).fetch(request.signal)
    );
  }

  return (called: CalledRequest, response: PlainResponse, prepareAgain: PrepareAgain): MaybePromise<PlainResponse> => {
    const mayHaveWaited = called.call.waitSeconds !== null && called.caller === undefined;
    return mayHaveWaited && response.status === 200 ? respond(called, response, prepareAgain) : response;
  };
}

function withoutWait(input: ValidRequest): ValidRequest {
  const { decoded } = input;
  if (decoded.operation !== "retrieveMessage") return input;
  return { ...input, decoded: { ...decoded, query: { ...decoded.query, waitSeconds: 0 } } };
}

/**
 * Frees the body of an accepted send that waits for the end of its turn, so that no key can fill the memory with bodies that were already sent. Every
 * step and call refers to this body, so it is emptied.
 */
export function forgetBody({ input, state }: Pick<CalledRequest, "input"> & { readonly state: RequestState }): void {
  const body: object = input.decoded.body ?? {};
  for (const name of Object.keys(body)) Reflect.deleteProperty(body, name);
  if (state.action !== null) state.action.decoded = null;
  state.releaseBody?.();
}

/** Returns the response to a send as if it had no preference `wait`. */
function withoutOutcome(response: PlainResponse): PlainResponse {
  const body = parseJsonObject(response.body);
  if (body === null || !("outcome" in body)) return response;
  const { outcome: _outcome, ...ordinary } = body;
  const { "preference-applied": _applied, ...headers } = response.headers;
  return { ...response, headers, body: JSON.stringify(ordinary) };
}
