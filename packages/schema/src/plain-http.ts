/** Header fields as a plain record. Names are lower-case; one value per name. */
export type PlainHeaders = Readonly<Record<string, string>>;

/** An HTTP request as plain data, so that services and pipelines need no `Request` object. */
export interface PlainRequest {
  /** Upper-case method name. */
  readonly method: string;
  /** Pathname as received: percent-encoded, never decoded, without query. */
  readonly path: string;
  /** Query as received, without the leading `?`; empty when there is none. */
  readonly query: string;
  readonly headers: PlainHeaders;
  readonly body: Uint8Array | null;
}

/** An HTTP response as plain data; only a runtime turns it into a `Response` or a header block. */
export interface PlainResponse {
  readonly status: number;
  readonly headers: PlainHeaders;
  readonly body: Uint8Array | string | null;
}

/** A JSON response that no cache in front of the service may store. */
export function jsonResponse(status: number, value: unknown, headers: PlainHeaders = {}): PlainResponse {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "private, no-store", ...headers },
    body: JSON.stringify(value),
  };
}
