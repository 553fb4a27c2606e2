import type { PlainResponse } from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";

/** The administration listener. */
export interface AdminSettings {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly hostnames: readonly string[];
  /** `ADMIN_TOKEN`. Never shown. */
  readonly token: string;
}

/** Settings of the administration listener. */
export interface AdminListenerConfig {
  /** The operator's token. Never shown. */
  readonly token: string;
  /** Refuses a request whose `Host` is not a name of this listener, before any other check. */
  readonly guard: (request: GatewayRequest) => PlainResponse | null;
}
