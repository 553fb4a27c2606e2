/**
 * The tokens that authenticated the open sockets. A token has no record that could be read again, so its principal is kept as long
 * as one of its sockets is open. When the settings for tokens change, all are forgotten: their sockets are closed, and devices and
 * viewers reconnect under the new settings.
 */
import type { Principal } from "@letta-environments/schema";
import { isDeepEqual } from "../lib/deep-equal.ts";
import { credentialOf } from "./key-record.ts";

/** The members of a principal or of the holder of a socket that name the credential of a socket. */
export type SocketCredential = Pick<Principal, "keyId" | "credentialId">;

/** A principal that was authenticated by a token. */
export type TokenPrincipal = Principal & Required<Pick<Principal, "credentialExpiresAt">>;

/** The principals of the open sockets that were authenticated with a token. */
export interface SocketTokens {
  /**
   * Returns a function that remembers the principal of a token as it was before the configuration was applied. Call it when the
   * socket opens. It does nothing when the principal was authenticated by a key, or when the settings changed during the handshake.
   */
  prepare(principal: Principal): () => void;
  find(holder: SocketCredential): TokenPrincipal | undefined;
  /** Forgets every token after a change of the settings, and returns whether there was one. */
  forgetAfterChange(): boolean;
  /** Forgets the tokens without a socket. */
  retain(holders: readonly SocketCredential[]): void;
}

/**
 * Creates {@link SocketTokens}.
 *
 * @param tokenSettings Compared by value; `null`: tokens are not accepted.
 * @param asAuthenticated Returns a caller with the permissions that its credential alone gives. Default: unchanged.
 */
export function createSocketTokens(
  tokenSettings: () => object | null,
  asAuthenticated: (principal: Principal) => Principal = (principal) => principal,
): SocketTokens {
  const tokens = new Map<string, TokenPrincipal>();
  let settings = tokenSettings();
  return {
    prepare(principal) {
      const before = tokenSettings();
      const token = asAuthenticated(principal);
      return () => {
        if (isTokenPrincipal(token) && isDeepEqual(before, tokenSettings())) tokens.set(credentialOf(token), token);
      };
    },
    find: (holder) => tokens.get(credentialOf(holder)),
    forgetAfterChange() {
      const current = tokenSettings();
      // A reload of other settings gives an equal value.
      const isChanged = current !== settings && !isDeepEqual(current, settings);
      settings = current;
      if (isChanged) tokens.clear();
      return isChanged;
    },
    retain(holders) {
      const credentials = new Set(holders.map(credentialOf));
      for (const credential of tokens.keys()) if (!credentials.has(credential)) tokens.delete(credential);
    },
  };
}

function isTokenPrincipal(principal: Principal): principal is TokenPrincipal {
  return principal.credentialExpiresAt !== undefined;
}
