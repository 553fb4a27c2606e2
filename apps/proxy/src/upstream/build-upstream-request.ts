import { buildPath, type Endpoint, type PlainHeaders, type Principal } from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { UpstreamCredential, UpstreamRequest } from "../ports.ts";
import type { UpstreamOptions } from "./settings.ts";

/** What a request for the upstream is made of. */
export interface UpstreamRequestParts {
  readonly endpoint: Endpoint;
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly body: Uint8Array | null;
  readonly principal: Principal;
  readonly requestId: string;
  /** With what the request authenticates; absent for nothing. */
  readonly credential?: UpstreamCredential | undefined;
}

/** Headers of the caller that go on, with the values that are let through. Everything else stays behind. */
const passedHeaders: readonly (readonly [name: string, allowed: RegExp])[] = [
  ["traceparent", /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[\x21-\x7e]{1,128})?$/],
  ["tracestate", /^[\x20-\x7e]{1,512}$/],
  ["idempotency-key", /^[\x20-\x7e]{1,256}$/],
];

/**
 * Makes the request that leaves the gateway, from nothing: an allowlist of headers, the upstream's credential in the place
 * of the caller's key, and a path built from ids that passed the allowlist.
 */
export function buildUpstreamRequest(
  request: GatewayRequest,
  parts: UpstreamRequestParts,
  config: UpstreamOptions,
): UpstreamRequest {
  return {
    method: parts.endpoint.method,
    path: buildPath(parts.endpoint, parts.params),
    query: parts.query,
    headers: upstreamHeaders(request, parts, config),
    body: parts.body,
    principal: parts.principal,
    authority: request.authority,
    ...(parts.credential !== undefined && { credential: parts.credential }),
  };
}

function upstreamHeaders(request: GatewayRequest, parts: UpstreamRequestParts, config: UpstreamOptions): PlainHeaders {
  const headers: Record<string, string> = {
    accept: "application/json",
    "user-agent": config.userAgent,
    "x-request-id": parts.requestId,
  };
  if (parts.body !== null) headers["content-type"] = "application/json";
  if (parts.credential !== undefined) headers["authorization"] = `Bearer ${parts.credential.value}`;
  for (const [name, allowed] of passedHeaders) {
    // A read is answered to others too: nothing of one caller's goes along but what traces it.
    if (parts.body === null && name === "idempotency-key") continue;
    const value = request.header(name);
    if (value !== null && allowed.test(value)) headers[name] = value;
  }
  return headers;
}
