import type { Socket } from "node:net";
import { atTurnEnd } from "@letta-environments/platform/node";
import type { PlainResponse } from "@letta-environments/schema";
import type { Pipeline } from "../../../pipeline.ts";
import { LaneExchange } from "./exchange.ts";
import { type LaneFields, recognise } from "./grammar.ts";
import type { ResponseText } from "./response-text.ts";

/** Options that the connections of a lane share. */
export interface ConnectionOptions {
  readonly pipeline: Pick<Pipeline, "handle">;
  /** Counts a request, or returns the response that refuses it. */
  readonly admit: (exchange: LaneExchange) => PlainResponse | null;
  readonly toText: (response: PlainResponse, exchange: LaneExchange) => ReturnType<ResponseText>;
  /** Receives the connection, and the bytes that were not recognised. The lane reads no more of it. */
  readonly handOver: (socket: Socket, unread: Buffer) => void;
}

/** A connection that the lane has not handed over. */
export interface LaneConnection {
  /** Whether a request is in progress, or its response not written. */
  isBusy(): boolean;
  /** How many requests were answered or are in progress. */
  requests(): number;
}

/** Chunks whose fields are remembered for the next request. A longer one would be kept in memory with them. */
const maxRememberedLength = 4_096;

/** Answers the requests of a connection in order, one at a time. Reading pauses while bytes wait behind a request in progress. */
export function answerReads(socket: Socket, options: ConnectionOptions): LaneConnection {
  const { pipeline, admit, toText, handOver } = options;
  const writer = createTurnWriter(socket);
  let known: LaneFields | null = null;
  let current: LaneExchange | null = null;
  let isHalfClosed = false;
  let requests = 0;

  function read(chunk: Buffer): void {
    if (current !== null) return putBack(chunk);
    const text = chunk.toString("latin1");
    for (let start = 0; start < text.length;) {
      const recognised = recognise(text, start, known);
      if (recognised === null) return leave(chunk.subarray(start));
      start = recognised.end;
      if (text.length <= maxRememberedLength) known = recognised.fields;
      requests += 1;
      const exchange = (current = new LaneExchange(recognised, socket));
      const response = admit(exchange) ?? pipeline.handle(exchange);
      if (response instanceof Promise) void response.then((late) => respond(exchange, late) && proceed());
      else if (respond(exchange, response)) continue;
      return start < text.length ? putBack(chunk.subarray(start)) : undefined;
    }
  }

  /** Returns whether the next request may follow at once. */
  function respond(exchange: LaneExchange, response: PlainResponse): boolean {
    if (socket.destroyed) return false;
    const isWritten = writer.write(toText(response, exchange));
    exchange.isAnswered = true;
    if (!exchange.shouldKeepAlive) socket.off("data", read).destroySoon();
    else if (isWritten) return endExchange();
    return false;
  }

  function endExchange(): true {
    const ended = current;
    current = null;
    ended?.close();
    return true;
  }

  /** Leaves bytes to be read behind the present request. The stream must have them: otherwise it would end before them. */
  function putBack(chunk: Buffer): void {
    socket.pause().unshift(chunk);
  }

  function proceed(): void {
    if (isHalfClosed) socket.end();
    else socket.resume();
  }

  function onDrain(): void {
    if (current?.isAnswered === true && endExchange()) proceed();
  }

  function onEnd(): void {
    isHalfClosed = true;
    if (current === null) socket.end();
  }

  function destroy(): void {
    socket.destroy();
  }

  function leave(unread: Buffer): void {
    // What the HTTP server writes on Bun would come before it, or instead of it.
    writer.flush();
    socket.off("data", read).off("drain", onDrain).off("end", onEnd).off("close", endExchange);
    handOver(socket, unread);
    socket.off("error", destroy);
  }

  socket.on("data", read).on("drain", onDrain).on("end", onEnd).on("close", endExchange).on("error", destroy);
  return { isBusy: () => current !== null, requests: () => requests };
}

/** Writes responses at the end of the turn of the event loop, in one system call. `write` returns false when the socket is full. */
function createTurnWriter(socket: Socket) {
  let isCorked = false;

  function flush(): void {
    if (isCorked) socket.uncork();
    isCorked = false;
  }

  return {
    flush,
    write(text: ReturnType<ResponseText>): boolean {
      if (!isCorked) {
        isCorked = true;
        socket.cork();
        atTurnEnd(flush);
      }
      if (typeof text === "string") return socket.write(text, "latin1");
      const [head, body] = text;
      socket.write(head, "latin1");
      return socket.write(body);
    },
  };
}
