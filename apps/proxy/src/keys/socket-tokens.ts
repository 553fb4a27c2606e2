/**
 * The tokens with which open device sockets were authenticated. A token has no record that could be read again, so its principal
 * is kept for as long as a socket of it is open. When the settings for tokens change, all are forgotten: their sockets are closed
 * then, and the devices register again under the new settings.
 */
import { allowsDevice, type DeviceAllowlist, type Principal } from "@letta-environments/schema";
import { isSameValue } from "../lib/same-value.ts";
import { credentialOf } from "./key-record.ts";

/** The members of a principal or a connected device that name the credential of a socket. */
export type SocketCredential = Pick<Principal, "keyId" | "credentialId">;

/** A principal that was authenticated by a token. */
export type TokenPrincipal = Principal & Required<Pick<Principal, "credentialExpiresAt">>;

/** The principals of the open device sockets that were authenticated with a token. */
export interface SocketTokens {
  /**
   * Returns a function that remembers the principal of a token, to be called when its socket opens. It does nothing when the
   * principal was authenticated by a key, or when the settings changed during the handshake.
   */
  prepare(principal: Principal): () => void;
  find(device: SocketCredential): TokenPrincipal | undefined;
  /** Forgets every token after a change of the settings, and returns whether there was one. */
  forgetAfterChange(): boolean;
  /** Forgets the tokens without a socket. */
  retain(devices: readonly SocketCredential[]): void;
}

/** Creates {@link SocketTokens}. `tokenSettings` are compared by value; `null`: tokens are not accepted. */
export function createSocketTokens(tokenSettings: () => object | null): SocketTokens {
  const tokens = new Map<string, TokenPrincipal>();
  let settings = tokenSettings();
  return {
    prepare(principal) {
      const before = tokenSettings();
      return () => {
        if (isTokenPrincipal(principal) && isSameValue(before, tokenSettings())) {
          tokens.set(credentialOf(principal), principal);
        }
      };
    },
    find: (device) => tokens.get(credentialOf(device)),
    forgetAfterChange() {
      const current = tokenSettings();
      // A reload of other settings gives an equal value.
      const isChanged = current !== settings && !isSameValue(current, settings);
      settings = current;
      if (isChanged) tokens.clear();
      return isChanged;
    },
    retain(devices) {
      const credentials = new Set(devices.map(credentialOf));
      for (const credential of tokens.keys()) if (!credentials.has(credential)) tokens.delete(credential);
    },
  };
}

/** Whether the socket of a token may stay open: until the token expires, and while its tenant may connect the device. */
export function allowsTokenSocket(
  token: TokenPrincipal,
  tenantDevices: DeviceAllowlist | undefined,
  device: { readonly deviceId: string; readonly connectionName: string },
  nowMs: number,
): boolean {
  return (
    nowMs < token.credentialExpiresAt &&
    allowsDevice({ ...token, deviceTags: null, tenantDevices: tenantDevices ?? null }, device)
  );
}

function isTokenPrincipal(principal: Principal): principal is TokenPrincipal {
  return principal.credentialExpiresAt !== undefined;
}
