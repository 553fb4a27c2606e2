/** A request of Node's HTTP server in the form that the gateway handles. Which heads are refused is decided in `request-head.ts`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type BodyLimits, UnfinishedBody, type UnreadBody } from "../../http/body-memory.ts";
import { type GatewayRequest, requestTarget } from "../../http/gateway-request.ts";

const validHost = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/**
 * Node's request as a {@link GatewayRequest}. Path, query and headers are as they were on the wire: no dot segment is resolved and no
 * second header field is dropped. Members that most requests do not need are computed when they are read.
 */
export class NodeRequest implements GatewayRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse | Duplex;
  #signal: AbortSignal | undefined;

  /**
   * @param outgoing the response, or the socket of an upgrade: the caller has disconnected when it closes too early
   * @param prefix beginning of the target that is not part of the request's path
   */
  constructor(incoming: IncomingMessage, outgoing: ServerResponse | Duplex, prefix = "") {
    const { path, query } = requestTarget(incoming.url ?? "");
    this.method = incoming.method ?? "";
    this.path = path.slice(prefix.length);
    this.query = query;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  header(name: string): string | null {
    return joinedHeader(this.#incoming.rawHeaders, name);
  }

  readBody(limits: BodyLimits): Promise<Uint8Array | null | UnreadBody> {
    return readIncomingBody(this.#incoming, limits, () => this.#sendContinue());
  }

  /** Sends `100 Continue` to a client that waits for it (RFC 9110 section 10.1.1). HTTP/1.0 has no such response. */
  #sendContinue(): void {
    const { headers, httpVersionMinor } = this.#incoming;
    if (headers.expect === undefined || httpVersionMinor === 0) return;
    if ("writeContinue" in this.#outgoing) this.#outgoing.writeContinue();
  }

  get signal(): AbortSignal {
    return (this.#signal ??= unfinishedSignal(this.#outgoing));
  }

  get authority(): string | null {
    const host = this.header("host") ?? "";
    return validHost.test(host) ? `http://${host}` : null;
  }

  get clientAddress(): string | null {
    return this.#incoming.socket.remoteAddress ?? null;
  }
}

/**
 * Joins all fields of a name, with a comma (RFC 9110 section 5.3), but those of `Cookie` with a semicolon (RFC 9113 section 8.2.3). Node's own
 * `headers` keeps only the first of two `Authorization` fields.
 */
export function joinedHeader(rawHeaders: readonly string[], name: string): string | null {
  let joined: string | null = null;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const rawName = rawHeaders[index] ?? "";
    if (rawName.length !== name.length || rawName.toLowerCase() !== name) continue;
    const value = rawHeaders[index + 1] ?? "";
    joined = joined === null ? value : joined + (name === "cookie" ? "; " : ", ") + value;
  }
  return joined;
}

/** Aborts when the connection closes before the response is complete. */
function unfinishedSignal(outgoing: ServerResponse | Duplex): AbortSignal {
  const controller = new AbortController();
  const abortIfUnfinished = (): void => {
    if (!outgoing.writableFinished) controller.abort();
  };
  if (outgoing.closed || outgoing.destroyed) abortIfUnfinished();
  else outgoing.once("close", abortIfUnfinished);
  return controller.signal;
}

/** Marks a request whose body the HTTP server has refused. */
const refused: unique symbol = Symbol("refused body");
type RefusedRequest = IncomingMessage & { [refused]?: "late" | "malformed" };

/** Notes why the server has refused the body of a request. Its reader gets the reason when the connection closes. */
export function refuseBody(incoming: RefusedRequest, reason: "late" | "malformed"): void {
  incoming[refused] = reason;
}

/**
 * Reads a body up to its limits. A body whose `Content-Length` exceeds the limit is not read. The server drains what is left
 * unread.
 *
 * @param sendContinue called before the body is awaited
 */
function readIncomingBody(
  incoming: RefusedRequest,
  { maxBytes, memory }: BodyLimits,
  sendContinue: () => void,
): Promise<Uint8Array | null | UnreadBody> {
  const declaredBytes = Number(incoming.headers["content-length"] ?? 0);
  if (declaredBytes > maxBytes) return Promise.resolve("too_large");
  if (incoming.destroyed && !incoming.readableEnded) return Promise.resolve(incoming[refused] ?? "aborted");
  sendContinue();
  return new Promise((resolve) => {
    let chunks: Uint8Array[] = [];
    let length = 0;
    const unfinished = new UnfinishedBody(memory, () => finish("no_room"));
    const finish = (result: Uint8Array | null | UnreadBody): void => {
      incoming.off("data", onData).off("end", onEnd).off("close", onClose);
      unfinished.end();
      // The error listener stays, and keeps this scope alive.
      chunks = [];
      resolve(result);
    };
    const onData = (chunk: Uint8Array): void => {
      length += chunk.byteLength;
      if (length > maxBytes) return finish("too_large");
      chunks.push(chunk);
      unfinished.received(chunk.byteLength);
    };
    const onEnd = (): void => finish(length === 0 ? null : Buffer.concat(chunks, length));
    const onClose = (): void => finish(incoming[refused] ?? "aborted");
    // An aborted request also emits an error, which ends the process if nobody listens.
    incoming.on("error", onClose).on("data", onData).on("end", onEnd).on("close", onClose);
  });
}
