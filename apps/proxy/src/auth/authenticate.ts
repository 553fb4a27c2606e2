/**
 * Who makes a request.
 *
 * A key that was verified before is found by the SHA-256 of what was presented, in a bounded map, without waiting. Any other
 * is parsed offline, then looked up and verified. Both answers are kept: good ones until a key changes anywhere
 * ({@link KeyStore.generation}), refusals for a few seconds at most. Expiry is judged by the clock on every request.
 */
import type { PlainResponse } from "@letta-environments/schema";
import type { ProxyPorts } from "../ports.ts";
import { readBearerToken } from "./bearer-token.ts";
import { createBoundedMap } from "./bounded-map.ts";
import type { GatewayPrincipal } from "./gateway-principal.ts";
import { hasKeyLength, parseKeyId } from "./key-format.ts";
import { invalidKey, missingKey } from "./key-refusals.ts";
import { type VerifiedKey, verifyKey } from "./verify-key.ts";

/** Verified keys kept in memory. */
const maxVerifiedKeys = 10_000;
/** Refused keys kept in memory, and for how long. */
const maxRefusedKeys = 10_000;
const refusalMs = 5_000;

/** The principal of a request, or the 401 that it gets. */
export type Authentication =
  | { readonly kind: "authenticated"; readonly principal: GatewayPrincipal }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** Judges the `Authorization` value of a request. */
export type Authenticate = (
  authorization: string | null,
  /** Nothing is looked up: only what was verified before is let in, and the answer is there at once. */
  onlyKnown?: boolean,
) => Authentication | Promise<Authentication>;

/** Creates an {@link Authenticate} with its own memory of keys. */
export function createAuthenticate(
  ports: Pick<ProxyPorts, "clock" | "digests" | "keyStore" | "noteKeyUse" | "pepper" | "telemetry">,
): Authenticate {
  const { clock, digests, keyStore, noteKeyUse, pepper, telemetry } = ports;
  const verified = createBoundedMap<VerifiedKey>(maxVerifiedKeys);
  const refusedUntil = createBoundedMap<number>(maxRefusedKeys);
  let generation = keyStore.generation();

  function forgetWhenKeysChanged(): void {
    const current = keyStore.generation();
    if (current === generation) return;
    generation = current;
    verified.clear();
    refusedUntil.clear();
  }

  function judge(key: VerifiedKey): Authentication {
    if (key.expiresAt !== null && clock.now() >= key.expiresAt) return refused();
    noteKeyUse?.(key.principal.keyId);
    return { kind: "authenticated", principal: key.principal };
  }

  async function lookUp(token: string, digest: string, id: string): Promise<Authentication> {
    const askedIn = generation;
    const record = await keyStore.find(id);
    const key = record === null ? null : verifyKey(token, record, pepper, digests);
    if (key?.kind === "unsupported") telemetry({ type: "key_unsupported", keyId: id, features: key.features });
    // What was read before a change must not be remembered after it.
    const current = askedIn === keyStore.generation();
    if (key?.kind !== "valid") {
      if (current) refusedUntil.set(digest, clock.now() + refusalMs);
      return refused();
    }
    if (current) verified.set(digest, key);
    return judge(key);
  }

  return (authorization, onlyKnown = false) => {
    const credentials = readBearerToken(authorization);
    if (credentials.kind !== "token") {
      return { kind: "refused", response: credentials.kind === "absent" ? missingKey() : invalidKey() };
    }
    const { token } = credentials;
    if (!hasKeyLength(token)) return refused();
    forgetWhenKeysChanged();
    const digest = digests.sha256(token);
    const known = verified.get(digest);
    if (known !== undefined) return judge(known);
    // What was verified once is well-formed: only what is new is looked at closely, still before any store.
    const id = parseKeyId(token);
    if (id === null) return refused();
    if (onlyKnown || clock.now() < (refusedUntil.get(digest) ?? 0)) return refused();
    return lookUp(token, digest, id);
  };
}

function refused(): Authentication {
  return { kind: "refused", response: invalidKey() };
}
