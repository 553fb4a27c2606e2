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
  /** Refuses, before anything else is looked at, what does not call it by a name of its own. */
  readonly guard: (request: GatewayRequest) => PlainResponse | null;
}
