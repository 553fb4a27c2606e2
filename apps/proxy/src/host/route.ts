import type { GatewayRequest } from "../http/gateway-request.ts";
import type { GatewayResponse } from "../http/response.ts";
import type { MaybePromise } from "../lib/steps.ts";

/** A route outside the API. It never calls the upstream. */
export interface HostRoute {
  readonly path: string;
  /** `none`: everyone may call it, without a key. `pipeline`: the pipeline authenticates. */
  readonly authentication: "none" | "pipeline";
  readonly respond: (request: GatewayRequest) => MaybePromise<GatewayResponse>;
}
