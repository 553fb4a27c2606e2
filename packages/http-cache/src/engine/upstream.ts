import type { HeaderRecord } from "../fields/header-record.ts";

/** A body that has not been read yet, so that what is not stored can be streamed. */
export interface UnreadBody {
  /**
   * All of it; `null` when it is larger than that, and then the whole body can still be sent on. Rejects when the body breaks off.
   */
  read(maxBytes: number): Promise<Uint8Array | null>;
  /** Lets go of a body that nobody wants. */
  discard(): void;
}

/** An answer from upstream. Where bodies are always read whole, `Unread` is `never`. */
export interface UpstreamAnswer<Unread extends UnreadBody = never> {
  readonly status: number;
  readonly headers: HeaderRecord;
  readonly body: Uint8Array | Unread;
}

/** What is to be sent upstream. Everything else of the request is as it came. */
export interface ForwardedRequest {
  readonly method: string;
  /** The client's fields, with conditions of the cache in the place of the client's where something stored is validated. */
  readonly headers: HeaderRecord;
  /** The client's; absent for what happens after the answer. */
  readonly signal: AbortSignal | undefined;
}

/** Sends a request upstream and rejects when there is no answer. It may be called again, and after the client has its answer. */
export type Forward<Unread extends UnreadBody = never> = (request: ForwardedRequest) => Promise<UpstreamAnswer<Unread>>;
