/**
 * Sessions as the gateway handles them: a request with the session's secret as its key, the principal, and the description that the page receives.
 */
import { jsonResponse, type PlainResponse, type Principal } from "@letta-environments/schema";
import { type GatewayPrincipal, invalidKey } from "../auth/authentication.ts";
import type { BodyBudget } from "../http/body-memory.ts";
import { type GatewayRequest, withHeader } from "../http/gateway-request.ts";
import type { AuthenticateRequest } from "../limits/authentication.ts";
import { limitRequest, type RequestLimits } from "../limits/request-limits.ts";
import type { RateLimitRequestState } from "../limits/response.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { GatewayPorts, KeyStoreFor, RandomBytes } from "../ports.ts";
import { credentialIdOf, type KeyRecord } from "../keys/key-record.ts";

/** The facts that a request records for the log and the limits. */
export interface SessionRequestState extends RateLimitRequestState {
  readonly requestId: string;
  operation: string | null;
  principal: Principal | null;
}

export interface SessionRequest {
  readonly request: GatewayRequest;
  readonly state: SessionRequestState;
}

/** The authentication of the gateway, and its limits. */
export interface SessionFeatures {
  /** Accepts gateway keys alone. */
  readonly authenticateKey: AuthenticateRequest;
  /** Accepts gateway keys only, and counts failures as failed sign-ins. */
  readonly authenticateSignIn: AuthenticateRequest;
  readonly limits: RequestLimits | null;
  /** `null` where unfinished bodies are not counted. */
  readonly bodyMemory: BodyBudget | null;
}

/** Charges a request to the limits of its route. Returns the refusal, or `null` if the request may pass. */
export function limitSession(
  exchange: SessionRequest,
  principal: GatewayPrincipal,
  { limits }: SessionFeatures,
  route: "signIn" | "administerKeys",
): MaybePromise<PlainResponse | null> {
  exchange.state.principal = principal;
  return limitRequest(limits, exchange, principal, route);
}

export interface ConsoleSessionPorts extends Pick<
  GatewayPorts,
  "clock" | "digests" | "keyStore" | "pepper" | "telemetry"
> {
  readonly keyStoreFor: KeyStoreFor;
  readonly randomBytes: RandomBytes;
}

/** The facts about the gateway that the page shows, and the public URL that counts as its origin. */
export interface ConsoleConfig {
  readonly publicUrl: string | null;
  readonly version: string;
  /** Whether devices connect to this gateway. */
  readonly servesDevices: boolean;
  /**
   * Whether this gateway may have events, requests for permission, control of conversations, figures, explanations and the search of the audit
   * log; `false` where the page need not request them.
   */
  readonly servesExtensions: boolean;
  /** Whether this listener serves the administration. */
  readonly isAdministered: boolean;
  /** The version of Letta Code that invited devices run. */
  readonly deviceVersion: string;
}

/** The request with the secret as its key (`null`: without a key), and without the members that only browsers send. */
export function withSecret(request: GatewayRequest, secret: string | null): GatewayRequest {
  return withHeader(request, (name) => {
    if (name === "authorization") return secret === null ? null : `Bearer ${secret}`;
    return name === "origin" || name === "cookie" ? null : request.header(name);
  });
}

/** A session that was just opened. */
export interface OpenedSession {
  /** The secret for the cookie. */
  readonly secret: string;
  readonly credentialId: string;
  readonly record: KeyRecord;
}

/** The principal of a new session, as far as the log needs it. */
export function principalOf({ record, credentialId }: OpenedSession): GatewayPrincipal {
  const { id, tenant, owner, deviceIds, connectionNames, agentIds, maxMode, shared } = record;
  const scopes = new Set(record.scopes);
  return { tenant, keyId: id, credentialId, owner, scopes, deviceIds, connectionNames, agentIds, maxMode, shared };
}

/** The request of a page with the secret of its cookie, which counts only if it is a session; `null`: the cookie does not count. */
export function withCookie(request: GatewayRequest, secret: string | null): GatewayRequest {
  return Object.assign(withSecret(request, secret), { isFromCookie: true } as const);
}

/** The description of a session for the page: the key, its permissions and its expiry. */
export function showSession(
  record: KeyRecord | null,
  credentialId: string | null | undefined,
  gateway: ConsoleConfig,
  status = 200,
): PlainResponse {
  if (record === null) return invalidKey;
  const secret = record.secrets.find((candidate) => credentialIdOf(candidate) === credentialId);
  return jsonResponse(status, {
    keyId: record.id,
    keyName: record.name,
    tenant: record.tenant,
    scopes: record.scopes,
    maxMode: record.maxMode,
    expiresAt: secret?.expiresAt ?? null,
    gateway,
  });
}
