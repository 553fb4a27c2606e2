/**
 * Authenticates callers with one of three methods: a gateway key by its prefix, a JWT by its shape, and, where callers may send
 * their own upstream key, any other credential. A credential that starts like a gateway key, or like a token if tokens are
 * accepted, never leaves the gateway.
 */
import type { Principal } from "@letta-environments/schema";
import { keyPrefix } from "../keys/key-format.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { passThroughTenantPrefix } from "../lib/setting-rules.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { GatewayPorts, JwksFetch } from "../ports.ts";
import type { AdmitsTenant, ApprovalPolicies, CredentialKind, TenantSettings } from "../tenants/settings.ts";
import { type Authentication, createOperatorTokenCheck, readBearerToken, refuseInvalidKey } from "./authentication.ts";
import { createKeyAuthenticator } from "./gateway-key.ts";
import type { JwtSettings } from "./jwt-settings.ts";
import { createTokenAuthenticator, looksLikeJwt, startsLikeToken, type TokenAuthenticator } from "./jwt.ts";
import { createTenantGuard } from "./tenant-guard.ts";

/** An {@link Authentication} with the caller's own upstream key, where the caller sent one. */
export type CallerAuthentication = Authentication & { readonly passThroughKey?: string };

/** Authenticates callers by the `Authorization` header. */
export interface CallerAuthenticator {
  /** With `cachedOnly` nothing is looked up or verified: only credentials that were verified before are accepted. */
  authenticate(authorization: string | null, cachedOnly?: boolean): MaybePromise<CallerAuthentication>;
  /** Accepts gateway keys only. */
  authenticateKey(authorization: string | null, cachedOnly?: boolean): MaybePromise<Authentication>;
  /** Verifies a JWT with the issuer's known keys only; `null` for any other credential. */
  authenticateToken(authorization: string | null): MaybePromise<Authentication> | null;
  /** Applies the configuration of its tenant to a caller that was verified elsewhere. */
  applyTenant(authentication: Authentication, kind: CredentialKind): MaybePromise<Authentication>;
  /** Callers that send their own upstream key; `null` where none may. */
  readonly passThrough: PassThrough | null;
}

/** The ports that authenticate callers. */
export interface CallerPorts extends Pick<
  GatewayPorts,
  "clock" | "digests" | "hasExpired" | "keyStore" | "noteKeyUse" | "pepper" | "telemetry"
> {
  readonly fetchJwks?: JwksFetch;
  readonly tokenAuthenticatorFor?: ((settings: JwtSettings) => TokenAuthenticator) | undefined;
}

/** Which authentication methods are allowed. */
export interface CallerConfig {
  /** Accepted JWTs; `null`: none. */
  readonly jwt: JwtSettings | null;
  /** Whether callers may send their own upstream key. */
  readonly passThrough: boolean;
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** The policies that decide on requests for permission when nobody does; `null`: there are none. */
  readonly approvals: ApprovalPolicies | null;
  /** Whether a tenant may call the upstream; absent where every tenant may. */
  readonly admitsTenant?: AdmitsTenant | undefined;
  /** The operator's token; `null` if there is none. */
  readonly operatorToken: string | null;
}

/** Creates a {@link CallerAuthenticator} for the methods that the configuration allows. */
export function createCallerAuthenticator(ports: CallerPorts, config: CallerConfig): CallerAuthenticator {
  const applyTenant = createTenantGuard(config);
  const authenticateKey = createKeyAuthenticator(ports);
  const authenticateToken = openTokenAuthenticator(ports, config);
  const passThrough = config.passThrough ? createPassThrough(ports) : null;
  const isOperatorToken =
    config.operatorToken === null ? () => false : createOperatorTokenCheck(ports, config.operatorToken);

  function byKey(authorization: string | null, cachedOnly = false): MaybePromise<Authentication> {
    return applyTenant(authenticateKey(authorization, cachedOnly), "key");
  }

  return {
    authenticate(authorization, cachedOnly = false) {
      if (authenticateToken === null && passThrough === null) return byKey(authorization, cachedOnly);
      const credentials = readBearerToken(authorization);
      if (credentials.kind !== "token" || startsLikeKey(credentials.token)) return byKey(authorization, cachedOnly);
      const { token } = credentials;
      if (authenticateToken !== null && startsLikeToken(token)) {
        return looksLikeJwt(token)
          ? applyTenant(authenticateToken(token, cachedOnly ? "verified_tokens" : "issuer"), "token")
          : refuseInvalidKey("token_malformed");
      }
      if (passThrough === null) return authenticateKey(authorization, cachedOnly);
      // The operator's token could be sent here by mistake.
      if (isOperatorToken(token) || (cachedOnly && !passThrough.knows(token))) return refuseInvalidKey("not_verified");
      return { kind: "authenticated", principal: passThrough.principalOf(token), passThroughKey: token };
    },
    authenticateKey: byKey,
    authenticateToken(authorization) {
      const credentials = readBearerToken(authorization);
      if (authenticateToken === null || credentials.kind !== "token" || !looksLikeJwt(credentials.token)) return null;
      return applyTenant(authenticateToken(credentials.token, "known_keys"), "token");
    },
    applyTenant,
    passThrough,
  };
}

/** Whether a credential is meant as a gateway key, even if a program has changed its case. */
function startsLikeKey(token: string): boolean {
  return token.slice(0, keyPrefix.length).toLowerCase() === keyPrefix;
}

function openTokenAuthenticator(ports: CallerPorts, { jwt }: CallerConfig): TokenAuthenticator | null {
  if (jwt === null) return null;
  if (ports.tokenAuthenticatorFor !== undefined) return ports.tokenAuthenticatorFor(jwt);
  if (ports.fetchJwks === undefined) throw new TypeError("tokens need the port fetchJwks");
  return createTokenAuthenticator({ ...ports, fetchJwks: ports.fetchJwks }, jwt);
}

/** Own keys that are remembered: as callers, and separately as accepted ones. */
const maxCallers = 10_000;

/** Callers that send their own upstream key. The upstream decides whether such a key is valid. */
export interface PassThrough {
  principalOf(key: string): Principal;
  /** Whether the upstream has accepted the key and not refused it since. */
  knows(key: string): boolean;
  /** Remembers that the upstream has accepted a key. */
  confirm(key: string): void;
  /** Forgets that the upstream has accepted a key. */
  forget(key: string): void;
}

/**
 * Creates a {@link PassThrough}. Tenant and key id are a digest under the pepper: two keys never share a tenant, and neither
 * logs nor ids help to guess a key. Accepted keys have a separate map, which made-up keys cannot fill.
 */
export function createPassThrough({ digests, pepper }: Pick<GatewayPorts, "digests" | "pepper">): PassThrough {
  const principals = createBoundedMap<Principal>(maxCallers);
  const accepted = createBoundedMap<true>(maxCallers);
  return {
    principalOf: (key) =>
      principals.getOrCreate(digests.sha256(key), () =>
        createPrincipal(digests.hmacSha256(pepper.secret, `passthrough\n${key}`)),
      ),
    knows: (key) => accepted.get(digests.sha256(key)) === true,
    confirm: (key) => accepted.set(digests.sha256(key), true),
    forget: (key) => accepted.delete(digests.sha256(key)),
  };
}

function createPrincipal(digest: string): Principal {
  const tenant = `${passThroughTenantPrefix}${digest.slice(0, 32)}`;
  return {
    tenant,
    keyId: tenant,
    owner: "passthrough",
    // The upstream decides what its own key may do and see.
    scopes: new Set(["list", "read", "send", "approve", "details"]),
    deviceIds: null,
    connectionNames: null,
    agentIds: null,
    maxMode: null,
    shared: false,
  };
}
