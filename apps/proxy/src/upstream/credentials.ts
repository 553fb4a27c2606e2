import type { Principal } from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { GatewayPorts } from "../ports.ts";
import type { CredentialOf } from "../tenants/settings.ts";
import type { ChooseCredential } from "./upstream.ts";

/**
 * Creates a {@link ChooseCredential} for a remote server: the caller's own key if the caller sent one, otherwise the tenant's credential. When the upstream
 * refuses a caller's own key, the refusal is reported with the caller's address.
 */
export function createChooseCredential(
  { telemetry }: Pick<GatewayPorts, "telemetry">,
  credentialOf: CredentialOf,
  {
    onRefused,
    onAccepted,
  }: {
    readonly onRefused: (ownCredential: string, principal: Principal, request: GatewayRequest) => void;
    readonly onAccepted: (ownCredential: string) => void;
  },
): ChooseCredential {
  return ({ request, requestId, principal, ownCredential }) => {
    if (ownCredential === null) {
      const value = credentialOf(principal.tenant);
      return value === null ? undefined : { value };
    }
    return {
      value: ownCredential,
      onCallerAccepted: () => onAccepted(ownCredential),
      onCallerRefused(status) {
        onRefused(ownCredential, principal, request);
        const { keyId } = principal;
        telemetry({ type: "pass_through_refused", requestId, status, keyId, clientAddress: request.clientAddress });
      },
    };
  };
}
