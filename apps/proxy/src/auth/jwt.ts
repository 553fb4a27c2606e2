import { type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { isSameValue } from "../lib/same-value.ts";
import type { GatewayPorts, JwksFetch } from "../ports.ts";
import { invalidKey } from "./authentication.ts";
import type { Authentication } from "./gateway-key.ts";
import { createJwksCache, type KeySet } from "./jwks.ts";
import { principalOfClaims, readClaims } from "./jwt-claims.ts";
import type { JwtSettings } from "./jwt-settings.ts";
import type { TokenVerdict, VerifyToken } from "./jwt-verify.ts";

/**
 * Who bears a signed token (RFC 7519).
 *
 * A token that was verified before is found by its SHA-256 in a bounded map, without waiting, until it expires or the keys of
 * its issuer change. A key id that is not in the key set makes the set be read again, at most once in a cooldown.
 */

/** Verified tokens kept in memory. */
const maxVerifiedTokens = 10_000;

interface VerifiedToken {
  readonly principal: Principal;
  readonly expiresAt: number;
  readonly version: number;
}

/** Judges a token. */
export type AuthenticateToken = (
  token: string,
  /** Nothing is verified: only a token that was before is let in. */
  onlyKnown?: boolean,
) => Authentication | Promise<Authentication>;

/** Creates an {@link AuthenticateToken}. The library that verifies is loaded with the first token. */
export function createAuthenticateToken(
  ports: Pick<GatewayPorts, "clock" | "digests" | "telemetry"> & { readonly fetchJwks: JwksFetch },
  settings: JwtSettings,
): AuthenticateToken {
  const { clock, digests } = ports;
  const keySets = createJwksCache(ports, settings);
  const verified = createBoundedMap<VerifiedToken>(maxVerifiedTokens);
  let verifier: Promise<VerifyToken> | null = null;

  function loadVerifier(): Promise<VerifyToken> {
    verifier ??= import("./jwt-verify.ts").then(({ createVerifyToken }) => createVerifyToken(settings));
    return verifier;
  }

  async function verify(token: string, digest: string, known: KeySet | null): Promise<Authentication> {
    let keySet = known ?? (await keySets.refreshed());
    if (keySet === null) return refused(issuerUnavailable(keySets.retryAfterMs()));
    const verifyToken = await loadVerifier();
    let verdict: TokenVerdict = await verifyToken(token, keySet);
    if (verdict.kind === "unknown_key") {
      const newer = await keySets.refreshed();
      if (newer !== null && newer.version !== keySet.version) {
        keySet = newer;
        verdict = await verifyToken(token, newer);
      }
    }
    const read = verdict.kind === "signed" ? readClaims(verdict.token, settings, clock.now()) : null;
    const principal = read === null ? null : principalOfClaims(read.claims, settings, digests);
    if (read === null || principal === null) return refused(invalidKey());
    verified.set(digest, { principal, expiresAt: read.expiresAt, version: keySet.version });
    return { kind: "authenticated", principal };
  }

  return (token, onlyKnown = false) => {
    if (token.length > settings.maxTokenBytes) return refused(invalidKey());
    const digest = digests.sha256(token);
    const keySet = keySets.current();
    const known = verified.get(digest);
    if (known !== undefined && known.version === keySet?.version) {
      if (clock.now() < known.expiresAt) return { kind: "authenticated", principal: known.principal };
      verified.delete(digest);
      return refused(invalidKey());
    }
    return onlyKnown ? refused(invalidKey()) : verify(token, digest, keySet);
  };
}

function refused(response: PlainResponse): Authentication {
  return { kind: "refused", response };
}

function issuerUnavailable(retryAfterMs: number): PlainResponse {
  return problemResponse("issuer_unavailable", { retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1_000)) });
}

/**
 * Keeps what judges tokens for as long as their settings say the same, so that a gateway that takes another's place knows its keys: an issuer that is
 * away for now is not needed by a reload of something else.
 */
export function keepTokenWay(
  open: (settings: JwtSettings) => AuthenticateToken,
): (settings: JwtSettings) => AuthenticateToken {
  let kept: { readonly settings: JwtSettings; readonly way: AuthenticateToken } | null = null;
  return (settings) => {
    if (kept === null || !isSameValue(kept.settings, settings)) kept = { settings, way: open(settings) };
    return kept.way;
  };
}
