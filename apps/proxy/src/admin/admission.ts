/**
 * Admission to the administration of keys: which credentials are accepted on which listener, and the authority that each one
 * gives. A gateway key of scope `admin` administers its own tenant; the operator's token administers every tenant.
 */
import { type PlainResponse, type Principal, problemResponse, refused, type Refused } from "@letta-environments/schema";
import type { AuthenticateRequest, RequestAuthentication } from "../limits/authentication.ts";
import { createOperatorTokenCheck, insufficientScope, invalidKey, readBearerToken } from "../auth/authentication.ts";
import { parseKeyId } from "../keys/key-format.ts";
import { verifyKey } from "../auth/gateway-key.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { credentialOf, endOf, type KeyActor, type KeyRecord } from "../keys/key-record.ts";
import type { GatewayPorts } from "../ports.ts";

/** The authority under which keys are administered. */
export type AdminAuthority =
  /** The operator of the gateway: every key of every tenant. */
  | { readonly kind: "operator" }
  | {
      readonly kind: "key";
      /** The stored record when the operation begins. */
      readonly record: KeyRecord;
      /**
       * When the presented secret expires, in epoch milliseconds; `null` when it does not. The old secret of a rotation expires
       * before the key does.
       */
      readonly endsAt: number | null;
      /** Whether a rotation has replaced the presented secret, which is valid only until the overlap ends. */
      readonly isReplaced: boolean;
    };

/** Whether an authority may know that a key exists: keys of other tenants do not exist for it. */
export function mayKnowKey(authority: AdminAuthority, { tenant }: Pick<KeyRecord, "tenant">): boolean {
  return authority.kind === "operator" || authority.record.tenant === tenant;
}

/** Returns the tenant of a new key for which the request names none. */
export function tenantOf(authority: AdminAuthority): string {
  return authority.kind === "operator" ? "default" : authority.record.tenant;
}

/** Returns the actor that the audit log records for a change. */
export function actorOf(authority: AdminAuthority): KeyActor {
  if (authority.kind === "operator") return { kind: "admin-listener" };
  return { kind: "key", keyId: authority.record.id, tenant: authority.record.tenant };
}

/** The result of reading an authority. */
export type AuthorityResult = { readonly kind: "granted"; readonly authority: AdminAuthority } | Refused;

/** The result of an {@link AdminGuard}, as far as it is known before the body is read. */
export type AdminAdmission =
  | {
      readonly kind: "admitted";
      /** `null` for the operator, who has no key. */
      readonly principal: Principal | null;
      /** Reads the authority once the request is complete: a body can take a minute to arrive, and a key may end meanwhile. */
      readonly authority: () => Promise<AuthorityResult>;
    }
  | (Extract<RequestAuthentication, Refused> & {
      /** The valid key that may not administer; for the log only. */
      readonly principal?: Principal;
    });

/** Guards the administration on one listener. */
export interface AdminGuard {
  /** Refuses a request that cannot come from an administration client, before anything else is checked; else `null`. */
  refuse(request: GatewayRequest): PlainResponse | null;
  admit(request: GatewayRequest): Promise<AdminAdmission>;
}

/** The guard of each listener; `null` where keys are not administered. */
export interface AdminGuards {
  readonly main: AdminGuard | null;
  readonly listener: AdminGuard | null;
}

/** How guards authenticate requests. */
export interface GuardAuthentication {
  /** By every authentication method of the gateway. */
  readonly authenticate: AuthenticateRequest;
  /** By gateway keys alone. */
  readonly authenticateKey: AuthenticateRequest;
}

/** Where keys are administered. */
export interface AdminConfig {
  /** The separate listener for the administration; absent or `null`: the main listener serves it, for keys of scope `admin`. */
  readonly adminListener?: {
    /** The operator's token. Never shown. */
    readonly token: string;
    /** Refuses a request whose `Host` is not a name of this listener, before any other check. */
    readonly guard: (request: GatewayRequest) => PlainResponse | null;
  } | null;
  /**
   * The operator's token for the administration on the main listener, for platforms with a single listener; absent or `null`: only keys of
   * scope `admin` administer there. Ignored if `adminListener` is set. Never shown.
   */
  readonly operatorToken?: string | null;
}

type GuardPorts = Pick<GatewayPorts, "digests" | "hasExpired" | "keyStore" | "pepper">;

/** Creates the guard of the administration listener if there is one, otherwise that of the main listener. Never both. */
export function createAdminGuards(
  ports: GuardPorts,
  { authenticate, authenticateKey }: GuardAuthentication,
  { adminListener = null, operatorToken = null }: AdminConfig,
): AdminGuards {
  if (adminListener !== null) {
    const guard = withOperator(ports, createKeyGuard(ports, authenticateKey), adminListener.token);
    const refuse: AdminGuard["refuse"] = (request) => adminListener.guard(request) ?? guard.refuse(request);
    return { main: null, listener: { ...guard, refuse } };
  }
  if (operatorToken === null) return { main: createKeyGuard(ports, authenticate), listener: null };
  // A wrong operator token counts as a failed authentication, so only gateway keys are accepted in addition to it.
  return { main: withOperator(ports, createKeyGuard(ports, authenticateKey), operatorToken), listener: null };
}

/** Accepts gateway keys of scope `admin`. JWTs and callers' own upstream keys never have that scope. */
function createKeyGuard(ports: GuardPorts, authenticate: AuthenticateRequest): AdminGuard {
  return {
    refuse: (request) => (request.header("origin") === null ? null : fromWebPage),
    async admit(request) {
      const authentication = await authenticate(request);
      if (authentication.kind === "refused") return authentication;
      const { principal } = authentication;
      if (!principal.scopes.has("admin")) return { kind: "refused", response: insufficientScope("admin"), principal };
      return { kind: "admitted", principal, authority: () => readKeyAuthority(request.header("authorization"), ports) };
    },
  };
}

/** Accepts the operator's token in addition to the keys that a guard accepts. */
function withOperator(ports: GuardPorts, keyGuard: AdminGuard, operatorToken: string): AdminGuard {
  const isOperator = createOperatorTokenCheck(ports, operatorToken);
  return {
    refuse: keyGuard.refuse,
    async admit(request) {
      const credentials = readBearerToken(request.isFromCookie === true ? null : request.header("authorization"));
      if (credentials.kind !== "token" || !isOperator(credentials.token)) return keyGuard.admit(request);
      return {
        kind: "admitted",
        principal: null,
        authority: () => Promise.resolve({ kind: "granted", authority: { kind: "operator" } }),
      };
    },
  };
}

/**
 * Reads the authority of a gateway key from the store and ignores every cached verification: a key that was revoked, disabled,
 * rotated or restricted a moment ago can administer nothing. Only gateway keys are accepted.
 */
async function readKeyAuthority(
  authorization: string | null,
  { digests, hasExpired, keyStore, pepper }: GuardPorts,
): Promise<AuthorityResult> {
  const credentials = readBearerToken(authorization);
  const token = credentials.kind === "token" ? credentials.token : "";
  const id = parseKeyId(token);
  const record = id === null ? null : await keyStore.find(id);
  const verified = record === null ? null : verifyKey(token, record, pepper, digests);
  if (record === null || verified?.kind !== "valid") return refused(invalidKey);
  const { principal, expiresAt, isReplaced } = verified;
  if (hasExpired(credentialOf(principal), expiresAt)) return refused(invalidKey);
  if (!record.scopes.includes("admin")) return refused(insufficientScope("admin"));
  return {
    kind: "granted",
    authority: { kind: "key", record, endsAt: principal.isSession === true ? endOf(record) : expiresAt, isReplaced },
  };
}

const fromWebPage: PlainResponse = problemResponse("invalid_request", {
  status: 403,
  issues: [{ member: "origin", rule: "must be absent: keys are not administered from web pages" }],
});

/**
 * Creates a function that refuses requests whose `Host` is not this listener's own: an IP address, `localhost`, or one of the
 * given names. A web page that points its own name at this address (DNS rebinding) sends that name.
 */
export function createHostGuard(hostnames: readonly string[]): (request: GatewayRequest) => PlainResponse | null {
  const known: ReadonlySet<string> = new Set(["localhost", ...hostnames.map((name) => name.toLowerCase())]);
  const misdirected = problemResponse("invalid_request", {
    status: 421,
    issues: [{ member: "host", rule: "must be an address, localhost, or a name of the administration listener" }],
  });
  return (request) => {
    const match = hostPattern.exec(request.header("host") ?? "");
    if (match === null) return misdirected;
    const [, name] = match;
    return name === undefined || ipv4Pattern.test(name) || known.has(name.toLowerCase()) ? null : misdirected;
  };
}

const hostPattern = /^(?:([A-Za-z0-9.-]+)|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;
const ipv4Pattern = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;
