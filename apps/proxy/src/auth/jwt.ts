/**
 * Authenticates JWTs (RFC 7519) of the configured issuer.
 *
 * A token that was verified before is found in a bounded map by its SHA-256, synchronously, until it expires or the issuer's
 * keys change. A key id that is not in the JWKS, a key that cannot be used, or a signature that the keys do not verify triggers a reload of the JWKS,
 * at most once per cooldown.
 */
import { type Principal, problemResponse, refused } from "@letta-environments/schema";
import { credentialOf } from "../keys/key-record.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { isDeepEqual } from "../lib/deep-equal.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { GatewayPorts, JwksFetch } from "../ports.ts";
import { type Authentication, refuseInvalidKey } from "./authentication.ts";
import { createJwksCache, type Freshness, type KeySet } from "./jwks.ts";
import { principalOfClaims } from "./jwt-claims.ts";
import type { JwtSettings } from "./jwt-settings.ts";
import type { VerifyToken } from "./jwt-verify.ts";

/** Verified tokens kept in memory. */
const maxVerifiedTokens = 10_000;

interface VerifiedToken {
  readonly principal: Principal;
  readonly expiresAt: number;
  readonly version: number;
}

/**
 * How far a token may be checked: with the issuer's keys, which are fetched if they are unknown; with its known keys only; or only
 * against the tokens that were verified before.
 */
export type TokenSource = "issuer" | "known_keys" | "verified_tokens";

/** Authenticates a token. */
export type TokenAuthenticator = (token: string, source?: TokenSource) => MaybePromise<Authentication>;

const jwtPattern = /^e[w-z0-9_-][A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** Whether a credential has the shape of a JWT (RFC 7515 section 7.1): a JSON header and two more parts. */
export function looksLikeJwt(credential: string): boolean {
  return jwtPattern.test(credential);
}

/**
 * Whether a credential starts like a token of any kind, with an encoded JSON object and at least two dots: a JWT, a JWE (five parts), or
 * a JWT that a program has damaged.
 */
export function startsLikeToken(credential: string): boolean {
  return /^e[w-z0-9_-][^.]*\.[^.]*\./.test(credential);
}

/** Creates a {@link TokenAuthenticator}. `jose` is loaded with the first token. */
export function createTokenAuthenticator(
  ports: Pick<GatewayPorts, "clock" | "digests" | "hasExpired" | "telemetry"> & { readonly fetchJwks: JwksFetch },
  settings: JwtSettings,
): TokenAuthenticator {
  const { clock, digests, hasExpired } = ports;
  const keySets = createJwksCache(ports, settings);
  const verified = createBoundedMap<VerifiedToken>(maxVerifiedTokens);
  let verifier: VerifyToken | null = null;

  /** Keeps no promise: on Workers, that of a request that has ended never settles. */
  async function loadVerifier(): Promise<VerifyToken> {
    if (verifier !== null) return verifier;
    const { createVerifyToken } = await import("./jwt-verify.ts");
    return (verifier ??= createVerifyToken(settings));
  }

  async function verify(
    token: string,
    digest: string,
    known: KeySet | null,
    mayReadKeys: boolean,
  ): Promise<Authentication> {
    let { keySet, freshness }: { keySet: KeySet | null; freshness: Freshness | null } =
      known === null ? await keySets.reload() : { keySet: known, freshness: null };
    if (keySet === null) return issuerUnavailable(keySets.retryAfterMs());
    const verifyToken = await loadVerifier();
    let result = await verifyToken(token, keySet, clock.now());
    if (result.kind === "unknown_key" && freshness === null && mayReadKeys) {
      const newer = await keySets.reload();
      ({ freshness } = newer);
      if (newer.keySet !== null && newer.keySet.version !== keySet.version) {
        keySet = newer.keySet;
        result = await verifyToken(token, keySet, clock.now());
      }
    }
    if (result.kind === "unknown_key") return refuseUnknownKey(result.reason, freshness, keySets.retryAfterMs());
    if (result.kind === "invalid") return refuseInvalidKey(result.reason);
    const { expiresAt } = result;
    const claimed = principalOfClaims(result.claims, settings, digests);
    if ("invalidClaim" in claimed) return refuseInvalidKey(`token_claim_${claimed.invalidClaim}`);
    // Anybody can spell a signature in other ways, and change an ECDSA signature itself, but not what was signed.
    const credentialId = digests.sha256(token.slice(0, token.lastIndexOf("."))).slice(0, 16);
    // A renewed token has the same key id, so a device socket is identified by the token that opened it.
    const principal = { ...claimed, credentialId, credentialExpiresAt: expiresAt };
    // A token stays expired once it was seen expired, so expired ones are remembered too.
    if (hasExpired(credentialOf(principal), expiresAt) || result.kind === "expired")
      return refuseInvalidKey("token_expired");
    verified.set(digest, { principal, expiresAt, version: keySet.version });
    return { kind: "authenticated", principal };
  }

  return (token, source = "issuer") => {
    if (token.length > settings.maxTokenBytes) return refuseInvalidKey("token_too_long");
    const digest = digests.sha256(token);
    const keySet = keySets.current();
    const known = verified.get(digest);
    if (known !== undefined && known.version === keySet?.version) {
      if (!hasExpired(credentialOf(known.principal), known.expiresAt))
        return { kind: "authenticated", principal: known.principal };
      verified.delete(digest);
      return refuseInvalidKey("token_expired");
    }
    if (source === "verified_tokens") return refuseInvalidKey("not_verified");
    if (source === "known_keys" && keySet === null) return refuseUncounted("address_blocked");
    return verify(token, digest, keySet, source === "issuer");
  };
}

/**
 * Keeps one {@link TokenAuthenticator} for as long as its settings stay equal. When a reload of other settings recreates the
 * gateway, the JWKS is kept, so the issuer may be unavailable at that time.
 */
export function reuseTokenAuthenticator(
  open: (settings: JwtSettings) => TokenAuthenticator,
): (settings: JwtSettings) => TokenAuthenticator {
  let current: { readonly settings: JwtSettings; readonly authenticator: TokenAuthenticator } | null = null;
  return (settings) => {
    if (current === null || !isDeepEqual(current.settings, settings)) {
      current = { settings, authenticator: open(settings) };
    }
    return current.authenticator;
  };
}

/**
 * Refuses a token whose key is not in the key set or cannot be used, or that no key in it verifies. The key may be new: if the issuer was unavailable,
 * a token with an unknown key id was not checked. Unless the keys were just read, the refusal may stay uncounted for the address. A blocked address,
 * for which no keys are fetched (`null`), is charged for each token whose key was known.
 */
function refuseUnknownKey(reason: string, freshness: Freshness | null, retryAfterMs: number): Authentication {
  if (freshness === "failed" && reason === "token_key_unknown") return issuerUnavailable(retryAfterMs);
  const isCounted = freshness === "read" || (freshness === null && reason !== "token_key_unknown");
  return isCounted ? refuseInvalidKey(reason) : refuseUncounted(reason);
}

function refuseUncounted(reason: string): Authentication {
  return { ...refuseInvalidKey(reason), isUncounted: true };
}

function issuerUnavailable(retryAfterMs: number): Authentication {
  const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterMs / 1_000));
  return refused(problemResponse("issuer_unavailable", { retryAfterSeconds }));
}
