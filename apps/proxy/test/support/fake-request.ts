import type { GatewayRequest } from "../../src/http/gateway-request.ts";

/** The parts of a fake request. Default: a list request without a body. */
export interface FakeRequest {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | null;
  /** Called when the body is read. It arrives when the result resolves; default: at once. */
  readonly awaitBody?: () => Promise<unknown>;
  readonly signal?: AbortSignal;
}

/** A {@link GatewayRequest} without a server. */
export function fakeRequest(options: FakeRequest = {}): GatewayRequest {
  const { method = "GET", path = "/v1/environments", query = "", key, signal = new AbortController().signal } = options;
  const headers: Readonly<Record<string, string>> = {
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
    ...options.headers,
  };
  const body = typeof options.body === "string" ? new TextEncoder().encode(options.body) : (options.body ?? null);
  return {
    method,
    path,
    query,
    header: (name) => headers[name] ?? null,
    async readBody({ maxBytes }) {
      await options.awaitBody?.();
      return body !== null && body.byteLength > maxBytes ? "too_large" : body;
    },
    signal,
    authority: "http://127.0.0.1:8787",
    clientAddress: "127.0.0.1",
  };
}
