/** A caller that sends one request after the other on its own connection, and sees how each ends. */
import { connect, type Socket } from "node:net";
import { parseJsonObject } from "../../src/lib/json.ts";

/** How a request ended. `closed`: the connection ended before a complete response. `silent`: nothing came in time. */
export type CallOutcome =
  | { readonly kind: "closed" | "silent" }
  | { readonly kind: "response"; readonly status: number; readonly contentType: string; readonly body: string };

/** A request of a caller. */
export interface RawCall {
  readonly method: "GET" | "POST";
  readonly target: string;
  readonly key: string;
  /** Names the call on both hops. */
  readonly requestId: string;
  readonly body?: object;
}

/**
 * Opens a connection, sends the requests one after the other until one has no response, and returns the last outcome. The caller
 * waits for the last response as long as it wants, and for the others as long as the gateway may take.
 */
export async function call(
  port: number,
  calls: readonly RawCall[],
  timeoutMs: number,
  lastTimeoutMs: number = timeoutMs,
): Promise<CallOutcome> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => socket.destroy());
  await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
  let outcome: CallOutcome = { kind: "closed" };
  for (const next of calls) {
    outcome = await exchange(socket, formatRequest(next), next === calls.at(-1) ? lastTimeoutMs : timeoutMs);
    if (outcome.kind !== "response") break;
  }
  socket.destroy();
  return outcome;
}

function formatRequest({ method, target, key, requestId, body }: RawCall): string {
  const text = body === undefined ? "" : JSON.stringify(body);
  const content =
    body === undefined ? "" : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`;
  return `${method} ${target} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer ${key}\r\nx-request-id: ${requestId}\r\n${content}\r\n${text}`;
}

function exchange(socket: Socket, request: string, timeoutMs: number): Promise<CallOutcome> {
  return new Promise((resolve) => {
    let received = "";
    const end = (outcome: CallOutcome): void => {
      clearTimeout(timer);
      socket.off("data", onData).off("close", onClose).off("end", onClose);
      resolve(outcome);
    };
    const onData = (bytes: Buffer): void => {
      received += bytes.toString("latin1");
      const response = parse(received);
      if (response !== null) end(response);
    };
    const onClose = (): void => end({ kind: "closed" });
    const timer = setTimeout(() => end({ kind: "silent" }), timeoutMs);
    socket.on("data", onData).on("close", onClose).on("end", onClose);
    if (socket.destroyed) onClose();
    else socket.write(request);
  });
}

/** A complete response with a length or chunks; `null` before its end. */
function parse(text: string): CallOutcome | null {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return null;
  const head = text.slice(0, headEnd);
  const rest = text.slice(headEnd + 4);
  const status = Number(head.split(" ")[1]);
  const contentType = /^content-type: *(.*)$/im.exec(head)?.[1] ?? "";
  if (/^transfer-encoding: *chunked/im.test(head)) {
    if (!rest.endsWith("0\r\n\r\n")) return null;
    const body = rest.replaceAll(/(^|\r\n)[0-9a-f]+\r\n/gi, "");
    return { kind: "response", status, contentType, body };
  }
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  return rest.length < length ? null : { kind: "response", status, contentType, body: rest.slice(0, length) };
}

/** The `errorCode` of a typed outcome; `success` for 200, `null` for a response that is neither. */
export function codeOf(outcome: CallOutcome): string | null {
  if (outcome.kind !== "response") return outcome.kind;
  if (outcome.status === 200 && parseJsonObject(outcome.body) !== null) return "success";
  if (!outcome.contentType.startsWith("application/problem+json")) return null;
  const code = parseJsonObject(outcome.body)?.["errorCode"];
  return typeof code === "string" ? code : null;
}
