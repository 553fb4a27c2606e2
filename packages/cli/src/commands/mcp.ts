/**
 * `mcp`: offers the operations of this program as tools to an MCP client, which starts it and communicates with it over standard input and
 * output.
 */
import { misuse, printable } from "@letta-environments/command-line";
import type { CommandContext } from "../context.ts";
import { exitCodeOfSignal, exitCodes } from "../exit-code.ts";
import { readSettings } from "../settings.ts";

/** `letta-env mcp`. */
export async function mcpCommand({ host, option }: CommandContext): Promise<number> {
  const settings = await readSettings(host, option);
  if (host.stdin.isTerminal) {
    throw misuse(
      "'mcp' is started by an MCP client, with pipes instead of a terminal: add it to the client's configuration",
      [
        'Its command is "letta-env", its arguments are ["mcp"], and its environment has LETTA_BASE_URL and LETTA_API_KEY.',
      ],
    );
  }
  const { createMcpServer } = await import("../mcp/server.ts");
  const { default: manifest } = await import("../../package.json", { with: { type: "json" } });
  await host.serveMcp(
    () => createMcpServer({ host, settings }, manifest.version),
    (text) => void host.stderr.write(`letta-env: ${printable(text)}\n`).catch(() => undefined),
  );
  return host.interrupted.aborted ? exitCodeOfSignal(host.interrupted.reason) : exitCodes.done;
}
