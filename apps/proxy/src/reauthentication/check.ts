/**
 * Checks whether the credential of a request is still valid after the request was authorised. A request that stays open, to follow events or
 * to wait for the end of a turn, shows its caller what happens later, so its `Authorization` is authenticated again.
 */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { type Authentication, type GatewayPrincipal, invalidKey } from "../auth/authentication.ts";
import { credentialOf } from "../keys/key-record.ts";
import { isDeepEqual } from "../lib/deep-equal.ts";
import { catchAll, type MaybePromise } from "../lib/steps.ts";
import type { HasExpired } from "../ports.ts";

/** The credential of an authorised request. */
export interface RequestCredential {
  /** `Authorization` of the request. */
  readonly authorization: string | null;
  /** The permissions that it was authorised with. */
  readonly principal: GatewayPrincipal;
}

/** The state of a credential that was valid before. */
export type CredentialState =
  /** It has the same permissions, or a change cannot be detected. The principal may expire at another time than before. */
  | { readonly kind: "same"; readonly principal: GatewayPrincipal }
  | { readonly kind: "changed"; readonly principal: GatewayPrincipal }
  /** It is refused with this response. The reason is for the log only. */
  | { readonly kind: "ended"; readonly response: PlainResponse; readonly reason: string | null };

/** Authenticates a credential again. Never rejects. */
export type CheckCredential = (credential: RequestCredential) => Promise<CredentialState>;

/** The check of the current configuration, which outlives a reload. Requests that began under an earlier configuration use it, too. */
export interface CurrentCheck {
  /** Absent before the first configuration. */
  check?: CheckCredential;
}

/** Installs `check` as the current one, and returns a function that always calls the current one. */
export function replaceCheck(current: CurrentCheck, check: CheckCredential): CheckCredential {
  current.check = check;
  return (credential) => (current.check ?? check)(credential);
}

/**
 * Creates a {@link CheckCredential}. An error of the authentication (5xx) neither ends a credential nor extends it: it counts as valid until its
 * known expiry.
 *
 * @param authenticate Authenticates an `Authorization` header.
 */
export function createCheckCredential(
  authenticate: (authorization: string | null) => MaybePromise<Authentication>,
  hasExpired: HasExpired,
): CheckCredential {
  return async ({ authorization, principal }) => {
    const authentication = await catchAll(
      () => authenticate(authorization),
      () => unavailable,
    );
    if (authentication.kind === "refused") {
      const { response, reason = null } = authentication;
      if (response.status < 500) return { kind: "ended", response, reason };
      const { credentialExpiresAt, keyExpiresAt = null } = principal;
      if (!hasExpired(credentialOf(principal), credentialExpiresAt ?? keyExpiresAt)) return { kind: "same", principal };
      const expired = credentialExpiresAt === undefined ? "key_expired" : "token_expired";
      return { kind: "ended", response: invalidKey, reason: expired };
    }
    const isSame = isDeepEqual(permissionsOf(authentication.principal), permissionsOf(principal));
    return { kind: isSame ? "same" : "changed", principal: authentication.principal };
  };
}

const unavailable: Authentication = { kind: "refused", response: problemResponse("key_store_unavailable") };

/** A key that expires at another time has the same permissions until then. */
function permissionsOf({ keyExpiresAt: _expiry, ...permissions }: GatewayPrincipal): object {
  return permissions;
}
