/** Connects an MCP server to standard input and output, where each line is a JSON-RPC message. */
import process from "node:process";
import { Readable } from "node:stream";
import { CommandError } from "@letta-environments/command-line";
import type { McpServer } from "@modelcontextprotocol/server";
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { readMessages, type Refusal } from "./json-rpc-lines.ts";

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
    warn(`refused what the client sent (${code}): ${message}`);
    stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } })}\n`);
  }

  function fail(name: "input" | "output", verb: "read" | "written", error: NodeJS.ErrnoException): void {
    // A client that goes away is not a failure.
    if (error.code === "EPIPE") return;
    failures.push(new CommandError(`standard ${name} cannot be ${verb} (${error.code ?? error.name})`));
  }
}
