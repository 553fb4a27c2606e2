import type { RandomId } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";

/** A request as the pipeline sees it. Runtimes make one from what they have; nothing is read before it is asked for. */
export interface GatewayRequest {
  /** Upper-case method name. */
  readonly method: string;
  /** Pathname as it stood on the wire: percent-encoded, dot segments in place. */
  readonly path: string;
  /** Query as it stood on the wire, without `?`. */
  readonly query: string;
  /** Value of a header field by its lower-case name; several fields are joined by `, ` (RFC 9110 section 5.3). */
  header(name: string): string | null;
  /** Reads the body, once. `null`: there is none. `aborted`: the caller went away before its end. */
  readBody(limitBytes: number): Promise<Uint8Array | null | "too_large" | "aborted">;
  /** Aborts when the caller goes away before the answer is complete. */
  readonly signal: AbortSignal;
  /** Origin under which the caller reached the gateway, such as `http://127.0.0.1:8787`; `null` when it is not plain. */
  readonly authority: string | null;
  /** Address of the peer, for limits and logs; `null` when unknown. */
  readonly clientAddress: string | null;
}

const requestIdPattern = /^[A-Za-z0-9._-]{1,128}$/;

/** The id a request goes by: the caller's own `X-Request-Id` when it is safe to log and to send on, else a new one. */
export function resolveRequestId(presented: string | null, randomId: RandomId): string {
  return presented !== null && requestIdPattern.test(presented) ? presented : randomId("req");
}

/** What is recorded when the caller left before its answer. It has no body: nobody reads it. */
export const callerGone: PlainResponse = { status: 499, headers: {}, body: null };

const forwardingFields: ReadonlySet<string> = new Set(["x-forwarded-for", "forwarded"]);

/** The request as its peer sent it, for a listener that no trusted proxy stands before: what it says of others is not heard. */
export function ignoreForwardedHeaders(request: GatewayRequest): GatewayRequest {
  return {
    method: request.method,
    path: request.path,
    query: request.query,
    header: (name) => (forwardingFields.has(name) ? null : request.header(name)),
    readBody: (limitBytes) => request.readBody(limitBytes),
    get signal() {
      return request.signal;
    },
    authority: request.authority,
    clientAddress: request.clientAddress,
  };
}
