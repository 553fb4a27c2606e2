/** The configuration in docs/mcp.md starts a server that an MCP client can use. */
import { readFile, rm, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { baseEnvironment } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { launchGateway } from "../support/gateway.ts";

const repository = resolve(import.meta.dirname, "../../../..");

interface Configuration {
  readonly mcpServers: Readonly<
    Record<string, { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> }>
  >;
}

test("the configuration in docs/mcp.md works with the folder, the key file and the address filled in", async () => {
  const gateway = await launchGateway();
  onTestFinished(() => gateway.proxy.stop());
  const folder = await mkdtemp(join(tmpdir(), "letta-env-mcp-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const keyFile = join(folder, "key");
  await writeFile(keyFile, gateway.callerKey, { mode: 0o600 });
  const text = await readFile(join(repository, "docs/mcp.md"), "utf8");
  const [, json = ""] = /^```json\n(.*?)^```$/ms.exec(text) ?? [];
  const filled = json
    .replace("CLONE", repository)
    .replace("KEY_FILE", keyFile)
    .replace("http://127.0.0.1:8787", gateway.proxy.url);
  const { args, env } = Object.values((JSON.parse(filled) as Configuration).mcpServers)[0] ?? { args: [], env: {} };
  const client = new Client({ name: "test", version: "0.0.0" });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [...args],
    env: { ...baseEnvironment, ...env },
  });
  await client.connect(transport);
  onTestFinished(() => client.close());
  const { tools } = await client.listTools();
  for (const { name } of tools) expect(text).toContain(`| \`${name}\` |`);
  const { structuredContent } = await client.callTool({ name: "list_devices", arguments: {} });
  expect(structuredContent).toEqual({ devices: [], hasMore: false });
});
