import type { Principal } from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { GatewayPorts, UpstreamCredential } from "../ports.ts";
import type { UpstreamOptions } from "./settings.ts";

/** With what a request authenticates at the upstream; `undefined` for nothing. */
export type CredentialChoice = (
  request: GatewayRequest,
  requestId: string,
  principal: Principal,
  ownCredential: string | null,
) => UpstreamCredential | undefined;

/**
 * Creates a {@link CredentialChoice}: the caller's own key where they brought one, else the tenant's credential. When the
 * upstream refuses a caller's own key, what is remembered of it is dropped and the refusal is reported with their address.
 */
export function createCredentialChoice(
  ports: Pick<GatewayPorts, "telemetry">,
  { upstream }: Pick<UpstreamOptions, "upstream">,
  {
    onRefused,
    onAccepted,
  }: {
    readonly onRefused: (ownCredential: string, principal: Principal, request: GatewayRequest) => void;
    readonly onAccepted: (ownCredential: string) => void;
  },
): CredentialChoice {
  if (upstream.kind === "embedded") return () => undefined;
  return (request, requestId, principal, ownCredential) => {
    if (ownCredential === null) {
      const value = upstream.credentialOf(principal.tenant);
      return value === null ? undefined : { value };
    }
    return {
      value: ownCredential,
      onCallerAccepted: () => onAccepted(ownCredential),
      onCallerRefused(status) {
        onRefused(ownCredential, principal, request);
        ports.telemetry({
          type: "pass_through_refused",
          requestId,
          status,
          keyId: principal.keyId,
          clientAddress: request.clientAddress,
        });
      },
    };
  };
}
