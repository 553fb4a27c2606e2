/** HTTP messages and WebSockets without a runtime's own types, so that services and pipelines run on every runtime. */

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

/** Thrown to refuse a change, of a device or a key, before anything was changed. `response` is the refusal. */
export class ChangeRefusedError extends Error {
  override readonly name: string = "ChangeRefusedError";
  readonly response: PlainResponse;

  constructor(response: PlainResponse, options?: { readonly cause?: unknown }) {
    super("the change was refused", options);
    this.response = response;
  }
}

/** An open WebSocket, as a runtime provides it. */
export interface PlainSocket {
  /** Sends a text frame. Throws only when none of it was written, for example because the socket is closing. */
  send(text: string): void;
  /** Starts the closing handshake (RFC 6455 section 7.1.2). */
  close(code: number, reason: string): void;
  /** Drops the connection without a closing handshake. */
  terminate(): void;
}

/** Receives the events of a {@link PlainSocket} from the runtime. */
export interface PlainSocketListener {
  /** Largest frame that the runtime may accept now, in bytes. It must close the socket with 1009 for a larger one. */
  readonly maxFrameBytes: number;
  /** Text frames with more bytes need not be decoded: report them with {@link onLongText} or, if it is absent, with {@link onOtherFrame}. */
  readonly maxTextBytes: number;
  /** A text frame arrived. */
  onMessage(text: string): void;
  /**
   * A long text arrived.
   *
   * @param start about its first 8,192 bytes, which identify it
   * @param end about its last 8,192 bytes
   */
  onLongText?(byteLength: number, start: string, end: string): void;
  /**
   * A frame arrived that is not handed over: a ping, a pong, binary data, or a long text. Returns whether the runtime may respond
   * to it.
   */
  onOtherFrame(byteLength: number): boolean;
  /**
   * The socket is closed and no more events follow. 1005: closed without a code. 1006: dropped without a close frame.
   *
   * @param limit in words, the limit for which the runtime closed the socket
   */
  onClose(code: number, limit?: string): void;
}

/** A request that is refused, with the response to it. */
export interface Refused {
  readonly kind: "refused";
  readonly response: PlainResponse;
}

/** Refuses a request with a response. */
export function refused(response: PlainResponse): Refused {
  return { kind: "refused", response };
}

/** Whose memory is used: a key of a tenant. */
export interface MemoryOwner {
  readonly tenant: string;
  readonly keyId: string;
}

/** Decision on an upgrade request. A refusal is its HTTP response. */
export type UpgradeDecision =
  | Refused
  | {
      readonly kind: "accepted";
      /** Sockets with the same owner share a limit on the memory that the runtime uses for them. */
      readonly owner: MemoryOwner;
      /** Bytes that may wait to be sent on this socket, if fewer than on the socket of a device. */
      readonly maxWaitingBytes?: number;
      /** Call it after the handshake. */
      attach(socket: PlainSocket): PlainSocketListener;
    };

/** Builds a JSON response that shared caches and browsers must not store. */
export function jsonResponse(status: number, value: unknown, headers: PlainHeaders = {}): PlainResponse {
  return jsonTextResponse(status, JSON.stringify(value), headers);
}

/** Like {@link jsonResponse}, for a value that is already JSON. */
export function jsonTextResponse(status: number, text: string, headers: PlainHeaders = {}): PlainResponse {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "private, no-store", ...headers },
    body: text,
  };
}
