/**
 * Reads the lines of a client and passes on JSON-RPC messages. The SDK alone would drop other lines without an error response, and after a line that
 * is too long it would close the connection with all pending calls.
 */
import { parseJSONRPCMessage } from "@modelcontextprotocol/server";

/** The error object for a line that is not passed on (JSON-RPC 2.0 section 5.1). */
export interface Refusal {
  /** The id of the request, if it has one. */
  readonly id: string | number | null;
  readonly code: -32700 | -32600;
  readonly message: string;
}

const maxLineBytes = 10 * 2 ** 20;

/** Yields each message as a separate line, including the messages of a batch. Everything else except empty lines goes to `refuse`. */
export async function* readMessages(
  chunks: AsyncIterable<Uint8Array | string>,
  refuse: (refusal: Refusal) => void,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const line of splitLines(chunks)) {
    const value = line === null ? undefined : parse(line);
    if (line === null) refuse({ id: null, code: -32600, message: "a line is longer than 10 MiB" });
    else if (line.trim() === "") continue;
    else if (value === undefined) refuse({ id: null, code: -32700, message: "a line is not JSON" });
    else {
      for (const message of Array.isArray(value) && value.length > 0 ? value : [value]) {
        if (isMessage(message)) yield Buffer.from(`${JSON.stringify(message)}\n`);
        else refuse({ id: idOf(message), code: -32600, message: "a line is not a JSON-RPC message" });
      }
    }
  }
}

/** Yields the lines of a stream, and `null` for one that is too long. */
async function* splitLines(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<string | null, void, undefined> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let rest = Buffer.from(chunk);
    for (let end = rest.indexOf("\n"); end !== -1; end = rest.indexOf("\n")) {
      const isTooLong = length + end > maxLineBytes;
      yield isTooLong ? null : Buffer.concat([...parts, rest.subarray(0, end)]).toString();
      parts = [];
      length = 0;
      rest = rest.subarray(end + 1);
    }
    length += rest.length;
    if (length > maxLineBytes) parts = [];
    else parts.push(rest);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isMessage(value: unknown): boolean {
  try {
    parseJSONRPCMessage(value);
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns the id of an invalid request; `null` for a response, whose id names a request of the server and could be mistaken for one of the
 * client's.
 */
function idOf(value: unknown): string | number | null {
  const { id, result, error }: Partial<Record<string, unknown>> = Object(value);
  const isResponse = result !== undefined || error !== undefined;
  return !isResponse && (typeof id === "string" || typeof id === "number") ? id : null;
}
