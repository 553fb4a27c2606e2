import { keyPrefix } from "../keys/key-format.ts";
import type { GatewayPorts, JwksFetch } from "../ports.ts";
import type { AdmitsTenant, TenantSettings } from "../tenants/settings.ts";
import { invalidKey } from "./authentication.ts";
import { createIsOperatorToken, readBearerToken } from "./bearer-token.ts";
import { type Authentication, createAuthenticate } from "./gateway-key.ts";
import type { JwtSettings } from "./jwt-settings.ts";
import { type AuthenticateToken, createAuthenticateToken } from "./jwt.ts";
import { createPassThrough } from "./pass-through.ts";
import { createTenantGate } from "./tenant-guard.ts";

/**
 * Sends a credential to whoever can judge it: a gateway key by its prefix, a signed token by its shape, and, where callers may
 * bring their own, anything else to the upstream. What begins like a gateway key never leaves the gateway.
 */

/** Who calls, and the upstream key that they brought along, if any. */
export type CallerAuthentication = Authentication & { readonly ownCredential?: string };

/** Judges callers. */
export interface AuthenticateCaller {
  /** With `onlyKnown` nothing is looked up or verified: only who was before is let in. */
  authenticate(authorization: string | null, onlyKnown?: boolean): CallerAuthentication | Promise<CallerAuthentication>;
  /** The same by gateway keys alone: nothing else is one, and nothing else is looked at. */
  authenticateKey(authorization: string | null, onlyKnown?: boolean): Authentication | Promise<Authentication>;
  /** Drops what is remembered of a caller's own upstream key. */
  forget(ownCredential: string): void;
  /** Remembers that the upstream has accepted a caller's own key. */
  confirm(ownCredential: string): void;
}

/** The ports that authenticate callers. */
export interface CallerPorts extends Pick<
  GatewayPorts,
  "clock" | "digests" | "keyStore" | "noteKeyUse" | "pepper" | "telemetry"
> {
  readonly fetchJwks?: JwksFetch;
  readonly tokenAuthenticatorFor?: ((settings: JwtSettings) => AuthenticateToken) | undefined;
}

/** Which authentication methods are open. */
export interface CallerConfig {
  /** Accepted JWTs; `null`: none. */
  readonly jwt: JwtSettings | null;
  /** Whether callers may send their own upstream key. */
  readonly passThrough: boolean;
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** Whether a tenant may call the upstream; absent where every tenant may. */
  readonly admitsTenant?: AdmitsTenant | undefined;
  /** The operator's token, which must never be forwarded as a caller's own key; `null`: there is none. */
  readonly operatorToken: string | null;
}

/** Creates an {@link AuthenticateCaller} from the ways in that the configuration opens. */
export function createAuthenticateCaller(ports: CallerPorts, config: CallerConfig): AuthenticateCaller {
  const gate = createTenantGate(config);
  const authenticateKey = createAuthenticate(ports);
  const authenticateToken = createTokenAuthenticator(ports, config);
  const passThrough = config.passThrough ? createPassThrough(ports) : null;

  // Sent to the wrong port by mistake, it must not leave the gateway as somebody's own key.
  const { operatorToken } = config;
  const isOperatorToken =
    passThrough === null || operatorToken === null ? null : createIsOperatorToken(ports, operatorToken);

  function byKey(authorization: string | null, onlyKnown = false): Authentication | Promise<Authentication> {
    return gate.admit(authenticateKey(authorization, onlyKnown), "key");
  }

  function judge(
    authorization: string | null,
    onlyKnown = false,
  ): CallerAuthentication | Promise<CallerAuthentication> {
    if (authenticateToken === null && passThrough === null) return byKey(authorization, onlyKnown);
    const credentials = readBearerToken(authorization);
    if (credentials.kind !== "token" || credentials.token.startsWith(keyPrefix)) {
      return byKey(authorization, onlyKnown);
    }
    const { token } = credentials;
    if (authenticateToken !== null && looksLikeToken(token))
      return gate.admit(authenticateToken(token, onlyKnown), "token");
    if (passThrough === null) return authenticateKey(authorization, onlyKnown);
    if (isOperatorToken?.(token) === true || (onlyKnown && !passThrough.knows(token))) {
      return { kind: "refused", response: invalidKey() };
    }
    return { kind: "authenticated", principal: passThrough.principalOf(token), ownCredential: token };
  }

  return {
    authenticate: judge,
    authenticateKey: byKey,
    forget: (key) => passThrough?.forget(key),
    confirm: (key) => passThrough?.confirm(key),
  };
}

function createTokenAuthenticator(ports: CallerPorts, { jwt }: CallerConfig): AuthenticateToken | null {
  if (jwt === null) return null;
  if (ports.tokenAuthenticatorFor !== undefined) return ports.tokenAuthenticatorFor(jwt);
  if (ports.fetchJwks === undefined) throw new TypeError("tokens need the port fetchJwks");
  return createAuthenticateToken({ ...ports, fetchJwks: ports.fetchJwks }, jwt);
}

const tokenPattern = /^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** Whether a credential has the shape of a signed token (RFC 7515 section 7.1): a JSON header and two more parts. */
export function looksLikeToken(credential: string): boolean {
  return tokenPattern.test(credential);
}
