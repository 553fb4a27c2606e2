import type { Socket } from "node:net";
import type { GatewayRequest } from "../../../http/gateway-request.ts";
import type { AdmittedExchange } from "../admission.ts";
import { requestTarget } from "../request.ts";
import type { RecognisedRequest } from "./grammar.ts";

/** A request of the lane and the state of its response: what `NodeRequest` and `ServerResponse` are behind the HTTP server. */
export class LaneExchange implements GatewayRequest, AdmittedExchange {
  readonly method: string;
  readonly url: string;
  readonly path: string;
  readonly query: string;
  /** Whether the connection stays open behind the response. */
  shouldKeepAlive = true;
  /** Whether the response was passed to the socket. */
  isAnswered = false;
  readonly #fields: ReadonlyMap<string, string>;
  readonly #socket: Socket;
  readonly #listeners: (() => void)[] = [];
  #controller: AbortController | null = null;

  constructor({ method, target, fields }: RecognisedRequest, socket: Socket) {
    const { path, query } = requestTarget(target);
    this.method = method;
    this.url = target;
    this.path = path;
    this.query = query;
    this.#fields = fields.values;
    this.#socket = socket;
  }

  header(name: string): string | null {
    return this.#fields.get(name) ?? null;
  }

  readBody(): Promise<null> {
    return Promise.resolve(null);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#socket.destroyed && !this.isAnswered) this.#controller.abort();
    return this.#controller.signal;
  }

  get authority(): string {
    return `http://${this.header("host") ?? ""}`;
  }

  get clientAddress(): string | null {
    return this.#socket.remoteAddress ?? null;
  }

  on(_event: "close", listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Ends the exchange: the response is written, or the caller is gone. */
  close(): void {
    for (const listener of this.#listeners) listener();
    if (!this.isAnswered) this.#controller?.abort();
  }
}
