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
