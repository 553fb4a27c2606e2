/** `letta-env` on Bun and Deno: the same program, the same answers. */
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { connectScriptedDevice } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { runCli } from "./support/run-cli.ts";

const folderOf = (name: string): string => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
// The programs in node_modules/.bin are wrappers that outlive a signal.
const runtimes = [
  ["Bun", [join(folderOf("bun"), "bin", "bun.exe"), "run"]],
  ["Deno", [join(folderOf("deno"), "deno"), "run", "--no-lock", "--allow-env", "--allow-net", "--allow-read"]],
] as const;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await launchGateway();
});
afterAll(async () => {
  await gateway?.proxy.stop();
});

describe.each(runtimes)("%s", (name, [command, ...args]) => {
  const run = (words: readonly string[], input?: string) =>
    runCli(words, {
      env: { ...gateway.env, HOME: gateway.proxy.dataDir },
      runtime: [command, ...args],
      ...(input !== undefined && { input }),
    });

  test("the command lists, sends from standard input, and fails with the same codes", async () => {
    const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
    const device = await connectScriptedDevice({ ...options, deviceId: `on-${name}` });
    const listed = await run(["list", "--online"]);
    expect([listed.code, listed.stderr]).toEqual([0, ""]);
    expect(listed.stdout).toContain(`on-${name}\t`);
    const sent = await run(["send", `on-${name}`, "--agent", "a1", "--message-id", `m-${name}`], "from a pipe\n");
    expect(sent).toEqual({ code: 0, stdout: `started\tm-${name}\ton-${name}\n`, stderr: "" });
    expect(JSON.stringify(device.received.frames.findLast(({ type }) => type === "input"))).toContain('"from a pipe"');
    expect((await run(["get", "nobody"])).code).toBe(6);
    expect((await run(["list", "--onlin"])).code).toBe(2);
    await device.close();
  });
});
