/** The request as the pipeline sees it, on every runtime. */
import type { RandomId } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";
import { neverAborted } from "../lib/deadline.ts";
import type { BodyLimits, UnreadBody } from "./body-memory.ts";

/** A request in the pipeline. Each host creates it from its own request type, and reads nothing before the pipeline does. */
export interface GatewayRequest {
  /** Upper-case method name. */
  readonly method: string;
  /** Path as it was on the wire: percent-encoded, with dot segments. */
  readonly path: string;
  /** Query as it was on the wire, without `?`. */
  readonly query: string;
  /** Value of a header field by its lower-case name; several fields are joined by `, ` (RFC 9110 section 5.3). */
  header(name: string): string | null;
  /** Reads the body, once. `null`: the request has no body. */
  readBody(limits: BodyLimits): Promise<Uint8Array | null | UnreadBody>;
  /** Aborts when the caller disconnects before the response is complete. */
  readonly signal: AbortSignal;
  /** Origin under which the caller reached the gateway, such as `http://127.0.0.1:8787`; `null` for an unusual `Host`. */
  readonly authority: string | null;
  /** Address of the peer, for limits and logs; `null` when unknown. */
  readonly clientAddress: string | null;
  /** Whether `Authorization` is from the cookie of the console's page, which counts only if it is a session. Hosts never set it. */
  readonly isFromCookie?: true;
}

/** Creates a request that no client has sent, with a JSON body if one is given. Nobody can abort it. */
export function makeRequest(
  { method, path, query, body }: Pick<GatewayRequest, "method" | "path" | "query"> & { readonly body?: unknown },
  header: GatewayRequest["header"] = () => null,
  clientAddress: string | null = null,
): GatewayRequest {
  const bytes = body === undefined ? null : new TextEncoder().encode(JSON.stringify(body));
  return {
    method,
    path,
    query,
    header: (name) => (name === "content-type" && bytes !== null ? "application/json" : header(name)),
    readBody: ({ maxBytes }) => Promise.resolve(bytes !== null && bytes.byteLength > maxBytes ? "too_large" : bytes),
    signal: neverAborted,
    authority: null,
    clientAddress,
  };
}

/**
 * Splits a request target (RFC 9112 section 3.2) into raw path and raw query. The host of an absolute target is ignored,
 * because the caller can write anything there.
 */
export function requestTarget(target: string): { readonly path: string; readonly query: string } {
  const origin = target.startsWith("/") ? target : target.replace(/^https?:\/\/[^/?#]*/i, "");
  const end = origin.indexOf("?");
  const path = end === -1 ? origin : origin.slice(0, end);
  return { path: path === "" ? "/" : path, query: end === -1 ? "" : origin.slice(end + 1) };
}

/** The path and the query as they were on the wire. */
export function targetOf({ path, query }: GatewayRequest): string {
  return query === "" ? path : `${path}?${query}`;
}

const requestIdPattern = /^[A-Za-z0-9._-]{1,128}$/;

/** Returns the id of a request: the caller's `X-Request-Id` if it is safe to log and to forward, else a new one. */
export function requestIdOf(request: Pick<GatewayRequest, "header">, randomId: RandomId): string {
  const presented = request.header("x-request-id");
  return presented !== null && requestIdPattern.test(presented) ? presented : randomId("req");
}

/** Recorded when the caller disconnected before the response. Nobody receives it. */
export const callerGone: PlainResponse = { status: 499, headers: {}, body: null };

const forwardingFields: ReadonlySet<string> = new Set(["x-forwarded-for", "forwarded"]);

/** Hides the forwarding headers, for a listener without trusted proxies in front: there the peer is always the client. */
export function ignoreForwardedHeaders(request: GatewayRequest): GatewayRequest {
  return withHeader(request, (name) => (forwardingFields.has(name) ? null : request.header(name)));
}

/** The same request with other header fields, and with another query where one is given. */
export function withHeader(
  request: GatewayRequest,
  header: GatewayRequest["header"],
  query: string = request.query,
): GatewayRequest {
  return {
    method: request.method,
    path: request.path,
    query,
    header,
    readBody: (limits) => request.readBody(limits),
    // Hosts create it when it is first read.
    get signal() {
      return request.signal;
    },
    authority: request.authority,
    clientAddress: request.clientAddress,
    ...(request.isFromCookie === true && { isFromCookie: true }),
  };
}

/**
 * Splits a raw query into the token and the rest, which may be logged and forwarded. Several tokens are joined into an invalid one,
 * because two readers could pick different ones.
 */
export function splitQuery(query: string): { readonly token: string | null; readonly rest: string } {
  if (!query.includes("oken") && !query.includes("%")) return { token: null, rest: query };
  const pairs = query.split("&");
  const isToken = (pair: string): boolean => new URLSearchParams(pair).has("token");
  const tokens = pairs.filter(isToken).map((pair) => new URLSearchParams(pair).get("token") ?? "");
  const rest = pairs.filter((pair) => !isToken(pair)).join("&");
  return { token: tokens.length === 0 ? null : tokens.join(", "), rest };
}

/** Whether a method reads a resource. */
export function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** Whether a method only reads (RFC 9110 section 9.2.1). */
export function isSafe(method: string): boolean {
  return isRead(method) || method === "OPTIONS";
}
