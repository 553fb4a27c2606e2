/** Who may administer keys, and through which door. */
import { type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import type { AuthenticateRequest } from "../limits/authentication.ts";
import { readBearerToken } from "../auth/bearer-token.ts";
import { createIsOperatorToken } from "../auth/bearer-token.ts";
import { insufficientScope } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { GatewayPorts } from "../ports.ts";
import type { AdminListenerConfig } from "./settings.ts";
import type { RateLimitResult } from "../limits/response.ts";
import { type AuthorityVerdict, readKeyAuthority } from "./read-key-authority.ts";

/** Somebody who may ask, so far as is known before the body is read. */
export type AdminAdmission =
  | {
      readonly kind: "admitted";
      /** `null` for the operator, who is no key. */
      readonly principal: Principal | null;
      /** Read when the request is complete: a body can take a minute to arrive, and a key may end meanwhile. */
      readonly authority: () => Promise<AuthorityVerdict>;
    }
  | {
      readonly kind: "refused";
      readonly response: PlainResponse;
      /** What the limits say to a failed authentication. */
      readonly rateLimit?: RateLimitResult;
    };

/** A door to the administration. */
export interface AdminGate {
  /** Refuses what no program of an administrator sends, before anything else is looked at. */
  guard(request: GatewayRequest): PlainResponse | null;
  admit(request: GatewayRequest): Promise<AdminAdmission>;
}

type GatePorts = Pick<GatewayPorts, "clock" | "digests" | "keyStore" | "pepper">;

/** The doors that are open; `null` for one that is not. */
export interface AdminGates {
  readonly main: AdminGate | null;
  readonly listener: AdminGate | null;
}

/** Where keys are administered. */
export interface AdminConfig {
  readonly adminListener?: AdminListenerConfig | null;
  readonly operatorToken?: string | null;
}

/** How the doors tell who asks. */
export interface GateAuthentication {
  /** By every way into the gateway. */
  readonly authenticate: AuthenticateRequest;
  /** By gateway keys alone. */
  readonly authenticateKey: AuthenticateRequest;
}

/** Opens the door on the main listener, or the one on a listener of its own where there is one; never both. */
export function createAdminGates(
  ports: GatePorts,
  { authenticate, authenticateKey }: GateAuthentication,
  { adminListener = null, operatorToken = null }: AdminConfig,
): AdminGates {
  if (adminListener !== null) {
    const gate = withOperator(ports, createKeyGate(ports, authenticateKey), adminListener.token);
    const guard: AdminGate["guard"] = (request) => adminListener.guard(request) ?? gate.guard(request);
    return { main: null, listener: { ...gate, guard } };
  }
  if (operatorToken === null) return { main: createKeyGate(ports, authenticate), listener: null };
  // A token that is wrong counts as a failed authentication: nothing but gateway keys is looked at beside it.
  return { main: withOperator(ports, createKeyGate(ports, authenticateKey), operatorToken), listener: null };
}

/** The door on the main listener: gateway keys of scope `admin`. Tokens and callers' own upstream keys never have that scope. */
function createKeyGate(ports: GatePorts, authenticate: AuthenticateRequest): AdminGate {
  return {
    guard: refuseOrigin,
    async admit(request) {
      const authentication = await authenticate(request);
      if (authentication.kind === "refused") return authentication;
      const { principal } = authentication;
      if (!principal.scopes.has("admin")) return { kind: "refused", response: insufficientScope("admin") };
      return { kind: "admitted", principal, authority: () => readKeyAuthority(request.header("authorization"), ports) };
    },
  };
}

/** The operator's token beside gateway keys of scope `admin`. Nothing else is known there. */
function withOperator(ports: GatePorts, keyGate: AdminGate, operatorToken: string): AdminGate {
  const isOperator = createIsOperatorToken(ports, operatorToken);

  return {
    guard: keyGate.guard,
    async admit(request) {
      const credentials = readBearerToken(request.header("authorization"));
      if (credentials.kind !== "token" || !isOperator(credentials.token)) return keyGate.admit(request);
      return {
        kind: "admitted",
        principal: null,
        authority: () => Promise.resolve({ kind: "granted", authority: { kind: "operator" } }),
      };
    },
  };
}

function refuseOrigin(request: GatewayRequest): PlainResponse | null {
  return request.header("origin") === null ? null : fromPage;
}

const fromPage: PlainResponse = problemResponse("invalid_request", {
  status: 403,
  issues: [{ member: "origin", rule: "must be absent: keys are not administered from web pages" }],
});
