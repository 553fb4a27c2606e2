/** HTTP messages as plain data, so that services and pipelines do not depend on a runtime's `Request` and `Response`. */

/** Header fields as a plain record. Names are lower-case; one value per name. */
export type PlainHeaders = Readonly<Record<string, string>>;

/** An HTTP request. */
export interface PlainRequest {
  /** Upper-case method name. */
  readonly method: string;
  /** Pathname as received: percent-encoded, never decoded, without query. */
  readonly path: string;
  /** Query as received, without the leading `?`; empty when the URL has none. */
  readonly query: string;
  readonly headers: PlainHeaders;
  readonly body: Uint8Array | null;
}

/** An HTTP response. The runtime converts it to a `Response` or writes it to a socket. */
export interface PlainResponse {
  readonly status: number;
  readonly headers: PlainHeaders;
  readonly body: Uint8Array | string | null;
}

/** Builds a JSON response that shared caches and browsers must not store. */
export function jsonResponse(status: number, value: unknown, headers: PlainHeaders = {}): PlainResponse {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "private, no-store", ...headers },
    body: JSON.stringify(value),
  };
}
