import { buildPath, type Endpoint } from "@letta-environments/schema";
import type { UpstreamRequest } from "../ports.ts";

/** A read of the gateway's own on behalf of a request: with its credential, but with neither its body nor its idempotency key. */
export function readRequest(
  request: UpstreamRequest,
  endpoint: Endpoint,
  params: Readonly<Record<string, string>>,
  query: string = "",
): UpstreamRequest {
  const { "content-type": _contentType, "idempotency-key": _idempotencyKey, ...headers } = request.headers;
  return { ...request, method: endpoint.method, path: buildPath(endpoint, params), query, headers, body: null };
}
