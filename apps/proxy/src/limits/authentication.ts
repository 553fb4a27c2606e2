/**
 * Counts failed authentication by client address, so that credentials cannot be guessed at speed. An address that exceeds its limit is
 * blocked until the limit allows one more attempt: callers get 429 in place of 401. Credentials that this process has already verified
 * are still accepted. A token from that address never triggers a read of the issuer's keys, and no other credential is forwarded.
 *
 * There are two exceptions to the limit. First, well-formed gateway keys are still verified for a blocked address: many callers can share an address,
 * and one that sends wrong keys must not lock out the others. This ends after a few wrong secrets for the same key id from that address. A secret has
 * 256 random bits, so these attempts do not help to guess one. Tokens are verified too, with the issuer's known keys, until many wrong ones have come: a
 * signature cannot be guessed either, and the limit bounds the work. Concurrent verifications are counted afterwards, so that a valid credential is not
 * refused because many of its requests arrive at the same time.
 *
 * Second, a token is refused but not counted if the issuer may have just added its key. The number of such exempt failures per address is limited.
 */
import type { Clock } from "@letta-environments/platform";
import { type PlainResponse, refused } from "@letta-environments/schema";
import type { CallerAuthenticator, CallerAuthentication } from "../auth/caller.ts";
import { invalidKey, missingKey, readBearerToken } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { parseKeyId } from "../keys/key-format.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { mapMaybe, type MaybePromise } from "../lib/steps.ts";
import { createChecks } from "../rate-limit/checks.ts";
import { mostConstrained } from "../rate-limit/decide.ts";
import type { RateLimiter } from "../rate-limit/limiter.ts";
import type { RateLimitRule } from "../rate-limit/policy.ts";
import type { RateLimitDecision, RateLimitOutcome } from "../rate-limit/store.ts";
import { type RateLimitResult, unleased } from "./response.ts";
import type { LimitedRoute } from "./settings.ts";

/** The limits on failed authentication. */
export interface FailureLimits {
  /** Returns the address that the client is counted by, see `client-address.ts`. */
  addressOf(request: GatewayRequest): string | null;
  /** Returns the refusal for a blocked address, or `null` if the address is not blocked. */
  blockOf(address: string | null): RateLimitResult | null;
  /** Counts in the metrics a request that this block refused. It is not charged. */
  noteBlocked(block: RateLimitResult): void;
  /** Counts a failure. A refusal replaces the 401. */
  countFailure(address: string | null): MaybePromise<RateLimitResult>;
  /** Exceptions to this limit. */
  readonly exemptions: FailureExemptions;
}

interface Block {
  readonly outcome: RateLimitOutcome;
  /** Monotonic milliseconds. */
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** Blocked addresses that are remembered. */
const maxBlocks = 10_000;

/** Creates {@link FailureLimits} from the rules for failures of a route. */
export function createFailureLimits(
  limiter: RateLimiter,
  { route, rules }: { readonly route: LimitedRoute; readonly rules: readonly RateLimitRule[] },
  addressOf: FailureLimits["addressOf"],
  clock: Pick<Clock, "monotonic">,
): FailureLimits {
  const checksOf = createChecks(rules);
  const blocks = createBoundedMap<Block>(maxBlocks);
  return {
    addressOf,
    exemptions: createFailureExemptions(clock),
    blockOf(address) {
      const block = blocks.get(address ?? "");
      if (block === undefined) return null;
      const nowMs = clock.monotonic();
      if (nowMs < block.untilMs) return unleased(afterWaiting(block.outcome, Math.floor(nowMs - block.sinceMs)));
      blocks.delete(address ?? "");
      return null;
    },
    noteBlocked: ({ outcome }) => limiter.noteRepeated?.(outcome),
    countFailure(address) {
      const checks = checksOf({ address, route, key: null, tenant: null, device: null });
      return mapMaybe(limiter.take(checks, { probe: false, leaseId: null }), (outcome) => {
        const retryAfterMs = outcome.constrained?.retryAfterMs ?? null;
        if (!outcome.admitted && retryAfterMs !== null) {
          const sinceMs = clock.monotonic();
          blocks.set(address ?? "", { outcome, sinceMs, untilMs: sinceMs + retryAfterMs });
        }
        return unleased(outcome);
      });
    },
  };
}

/** Returns the refusal with its wait reduced by the time that has passed, without another check. */
function afterWaiting(outcome: RateLimitOutcome, waitedMs: number): RateLimitOutcome {
  const decisions = outcome.decisions.map((decision): RateLimitDecision => {
    const { allowed, resetMs, retryAfterMs } = decision;
    const leftMs = allowed || retryAfterMs === null ? retryAfterMs : Math.max(1, retryAfterMs - waitedMs);
    return { ...decision, resetMs: Math.max(0, resetMs - waitedMs), retryAfterMs: leftMs };
  });
  return { ...outcome, decisions, constrained: mostConstrained(decisions) };
}

/** Wrong secrets for one key id from one blocked address, and the period in which they count, in milliseconds. */
const maxGuesses = 5;
const periodMs = 60_000;

/** How many wrong tokens of a blocked address are verified, and how many failures of one address stay uncounted, per period. */
const maxWrongTokens = 100;
const maxUncounted = 100;

/** Entries that are remembered: pairs of address and key id, and addresses. */
const maxTallies = 10_000;

/** Exceptions to the limit. */
interface FailureExemptions {
  /** Whether a key with this id, or (`null`) a token, may be verified for a blocked address. */
  mayVerify(address: string | null, keyId: string | null): boolean;
  /** Counts a wrong secret for a key id, or a wrong token, that came from a blocked address. */
  countWrong(address: string | null, keyId: string | null): void;
  /** Whether a failure with possibly valid credentials stays uncounted for an address. Each call uses up one. */
  allowsUncounted(address: string | null): boolean;
}

interface Tally {
  readonly count: number;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

function createFailureExemptions(clock: Pick<Clock, "monotonic">): FailureExemptions {
  const tallies = createBoundedMap<Tally>(maxTallies);
  const find = (key: string): Tally => {
    const tally = tallies.get(key);
    return tally === undefined || clock.monotonic() >= tally.untilMs
      ? { count: 0, untilMs: clock.monotonic() + periodMs }
      : tally;
  };
  const add = (key: string): number => {
    const { count, untilMs } = find(key);
    tallies.set(key, { count: count + 1, untilMs });
    return count;
  };
  return {
    mayVerify: (address, keyId) => find(`${address} ${keyId}`).count < (keyId === null ? maxWrongTokens : maxGuesses),
    countWrong: (address, keyId) => void add(`${address} ${keyId}`),
    // An address alone cannot equal a pair, because no address contains a space.
    allowsUncounted: (address) => add(`${address}`) < maxUncounted,
  };
}

/** The caller of a request or, after a failure, also how the failure was counted. */
export type RequestAuthentication = CallerAuthentication & { readonly rateLimit?: RateLimitResult };

/** Authenticates the caller of a request. */
export type AuthenticateRequest = (request: GatewayRequest) => MaybePromise<RequestAuthentication>;

type Authenticate = CallerAuthenticator["authenticate"];

/** Accepts only the secrets of sessions. An ordinary key could be planted in the cookie, and would outlive every session. */
function sessionsOnly(authenticate: Authenticate): Authenticate {
  return (authorization, cachedOnly) =>
    mapMaybe(authenticate(authorization, cachedOnly), (authentication) =>
      authentication.kind === "refused" || authentication.principal.isSession === true
        ? authentication
        : refused(missingKey),
    );
}

type AuthenticatedCallers = Pick<CallerAuthenticator, "authenticate"> &
  Partial<Pick<CallerAuthenticator, "authenticateToken">>;

/** Creates an {@link AuthenticateRequest} that counts failures by address, and refuses blocked addresses. */
export function createAuthenticateRequest(
  { authenticate, authenticateToken = () => null }: AuthenticatedCallers,
  limits: FailureLimits | null,
): AuthenticateRequest {
  const fromCookie = sessionsOnly(authenticate);
  const authenticatorOf = (request: GatewayRequest): Authenticate =>
    request.isFromCookie === true ? fromCookie : authenticate;
  if (limits === null) return (request) => authenticatorOf(request)(request.header("authorization"));
  const { addressOf, blockOf, countFailure, exemptions, noteBlocked } = limits;

  function authenticateBlocked(
    request: GatewayRequest,
    address: string | null,
    block: RateLimitResult,
  ): MaybePromise<RequestAuthentication> {
    const refuseBlocked = (reason: string | undefined): RequestAuthentication => {
      noteBlocked(block);
      return refuse(block, invalidKey, reason);
    };
    const authorization = request.header("authorization");
    const known = authenticatorOf(request)(authorization, true);
    if (!(known instanceof Promise) && known.kind === "authenticated") return known;
    const credentials = readBearerToken(authorization);
    const keyId = credentials.kind === "token" ? parseKeyId(credentials.token) : null;
    if (!exemptions.mayVerify(address, keyId)) return refuseBlocked("address_blocked");
    const tokenOf = (): ReturnType<typeof authenticateToken> =>
      request.isFromCookie === true ? null : authenticateToken(authorization);
    const verifying = keyId === null ? tokenOf() : authenticatorOf(request)(authorization);
    if (verifying === null) return refuseBlocked("address_blocked");
    return mapMaybe(verifying, (authentication) => {
      if (authentication.kind === "authenticated" || authentication.response.status !== 401) return authentication;
      const { reason, isUncounted = false } = authentication;
      if (!isUncounted) exemptions.countWrong(address, keyId);
      return refuseBlocked(reason);
    });
  }

  return (request) => {
    const address = addressOf(request);
    const block = blockOf(address);
    if (block !== null) return authenticateBlocked(request, address, block);
    const authenticating = authenticatorOf(request)(request.header("authorization"));
    return mapMaybe(authenticating, (authentication): MaybePromise<RequestAuthentication> => {
      if (authentication.kind === "authenticated" || authentication.response.status !== 401) return authentication;
      const { response, reason, isUncounted = false } = authentication;
      if (isUncounted && exemptions.allowsUncounted(address)) return authentication;
      return mapMaybe(countFailure(address), (result) => refuse(result, response, reason));
    });
  };
}

/** Refuses with the response of the limits or, if they allow the failure, with that of the authentication. */
function refuse(
  rateLimit: RateLimitResult,
  response: PlainResponse,
  reason: string | undefined,
): RequestAuthentication {
  return {
    kind: "refused",
    response: rateLimit.refusal ?? response,
    rateLimit,
    ...(reason !== undefined && { reason }),
  };
}
