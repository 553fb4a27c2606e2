/** Connects an MCP server to standard input and output, where each line is a JSON-RPC message. */
import process from "node:process";
import { Readable } from "node:stream";
import { CommandError } from "@letta-environments/command-line";
import { type McpServer, parseJSONRPCMessage } from "@modelcontextprotocol/server";
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio";

/** Error texts of the SDK can contain a whole message of the client. */
const maxWarningLength = 300;

/**
 * Serves a client on the streams of this process. Resolves when the client closes its end of one of them, or when the signal is aborted.
 * Rejects with a `CommandError` if a stream breaks.
 *
 * @param warn receives what the client is not told: refused messages, and messages that the protocol ignores
 */
export async function serveMcpOnStdio(
  createServer: () => McpServer,
  signal: AbortSignal,
  warn: (text: string) => void,
): Promise<void> {
  const { stdin, stdout } = process;
  const failures: CommandError[] = [];
  const input = Readable.from(readMessages(stdin, refuse)).on("error", (error) => fail("input", "read", error));
  stdout.on("error", (error) => fail("output", "written", error));
  // The length of the lines is already limited.
  const transport = new StdioServerTransport(input, stdout, { maxBufferSize: Number.POSITIVE_INFINITY });
  let isOpen = true;
  const report = ({ message }: Error): void => {
    if (isOpen) warn(message.slice(0, maxWarningLength));
  };
  const handle = serveStdio(
    () => {
      const server = createServer();
      server.server.onerror = report;
      return server;
    },
    { transport, onerror: report },
  );
  // Failures of the streams are reported once, at the end.
  transport.onerror = () => undefined;
  await new Promise<void>((resolve) => {
    const { onclose } = transport;
    transport.onclose = () => {
      isOpen = false;
      onclose?.();
      resolve();
    };
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  await handle.close();
  const [failure] = failures;
  if (failure !== undefined && !signal.aborted) throw failure;

  function refuse({ id, code, message }: Refusal): void {
    warn(`refused a message from the client (${code}): ${message}`);
    stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } })}\n`);
  }

  function fail(name: "input" | "output", verb: "read" | "written", error: NodeJS.ErrnoException): void {
    // A client that goes away is not a failure.
    if (error.code === "EPIPE") return;
    failures.push(new CommandError(`standard ${name} cannot be ${verb} (${error.code ?? error.name})`));
  }
}

/** The error object for a line that is not passed on (JSON-RPC 2.0 section 5.1). */
interface Refusal {
  /** The id of the request, if it has one. */
  readonly id: string | number | null;
  readonly code: -32700 | -32600;
  readonly message: string;
}

const maxLineBytes = 10 * 2 ** 20;

/**
 * Yields each message as a separate line, including the messages of a batch. Everything else except empty lines goes to `refuse`. The SDK alone would
 * drop such lines without an error response, and after a line that is too long it would close the connection with all pending calls.
 */
async function* readMessages(
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
