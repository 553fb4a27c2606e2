/** Connects an MCP server to standard input and output, where each line is a JSON-RPC message. */
import process from "node:process";
import type { McpServerFactory } from "@modelcontextprotocol/server";
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio";

/** Serves a client on the streams of this process. Resolves when it closes standard input, or when the signal is aborted. */
export async function serveMcpOnStdio(createServer: McpServerFactory, signal: AbortSignal): Promise<void> {
  const handle = serveStdio(createServer, { transport: new StdioServerTransport(process.stdin, process.stdout) });
  await new Promise<void>((resolve) => {
    const finish = (): void => resolve();
    process.stdin.once("end", finish).once("close", finish);
    signal.addEventListener("abort", finish, { once: true });
    if (signal.aborted || process.stdin.readableEnded || process.stdin.destroyed) finish();
  });
  await handle.close();
}
