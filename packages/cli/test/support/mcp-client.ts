import process from "node:process";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { baseEnvironment } from "@letta-environments/testkit";
import { entry } from "./run-cli.ts";

/** The result of a tool call. */
export interface ToolResult {
  readonly isError: boolean;
  /** The text that a model reads. */
  readonly text: string;
  /** The structured output; empty for an error. */
  readonly output: Readonly<Record<string, unknown>>;
}

/** An MCP client of the official SDK, connected to `letta-env mcp` in its own process. */
export interface McpClient {
  readonly client: Client;
  call(name: string, input?: Readonly<Record<string, unknown>>): Promise<ToolResult>;
  close(): Promise<void>;
}

/** Starts the program and connects to it. */
export async function connectMcpClient(env: Readonly<Record<string, string>>): Promise<McpClient> {
  const client = new Client({ name: "test", version: "0.0.0" });
  const args = ["--disable-warning=ExperimentalWarning", entry, "mcp"];
  const transport = new StdioClientTransport({
    command: process.execPath,
    args,
    env: { ...baseEnvironment, ...env },
    stderr: "pipe",
  });
  await client.connect(transport);
  return {
    client,
    async call(name, input = {}) {
      const result = await client.callTool({ name, arguments: { ...input } });
      const [first] = result.content;
      return {
        isError: result.isError === true,
        text: first?.type === "text" ? first.text : "",
        output: { ...Object(result.structuredContent) },
      };
    },
    close: () => client.close(),
  };
}
