/** `@letta-environments/proxy/server`: programs that contain the gateway with its devices, as the guide and the example write them. */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { blocksOf, readDocument, repository } from "../../apps/proxy/test/docs/document.ts";
import { createClient } from "../../packages/client/src/index.ts";
import { launchProcess } from "../../packages/testkit/src/process.ts";
import { connectScriptedDevice } from "../../packages/testkit/src/scripted-device.ts";
import { createProject } from "../support/project.ts";
import { bun, deno, nodes } from "../support/tools.ts";

const everything = createProject(inject("everything"), inject("installation"));
const permissions = ["--allow-net", "--allow-env", "--allow-sys", "--allow-read", "--allow-write"];

/** Sends a message to a device of a gateway, and returns what the device received. */
async function sendToDevice(baseUrl: string, deviceKey: string, callerKey: string): Promise<string> {
  const device = await connectScriptedDevice({ baseUrl, apiKey: deviceKey, deviceId: "d-1", connectionName: "laptop" });
  onTestFinished(() => device.terminate());
  const { environments } = createClient({ baseUrl, apiKey: callerKey });
  const body = { agentId: "agent-1", messages: [{ role: "user" as const, content: "Run the tests." }] };
  await environments.sendToDevice({ name: "laptop" }, body);
  return JSON.stringify(device.received.frames);
}

test.each([
  ["Node.js", nodes.current, []],
  ["Bun", bun, []],
  ["Deno", deno, ["run", "--no-prompt", "--cached-only", "--no-lock", ...permissions]],
])("the first program of the guide serves a device and a caller on %s", async (name, command, words) => {
  const [{ code } = { code: "" }] = blocksOf(readDocument("docs/deploy/program.md"));
  const file = `guide-${name}.mjs`;
  everything.write({ [file]: code });
  const env = { PORT: "0", DATA_DIR: join(everything.folder, `data-of-guide-${name}`) };
  const args = [...words, file];
  const running = launchProcess({ command, args, cwd: everything.folder, env: everything.environment({ env }) });
  onTestFinished(() => void running.stop());
  const [, url = "", deviceKey = "", callerKey = ""] = await running.waitForOutput(
    /^(http:\S+)$[^]*?^(lek_\w+)$[^]*?^(lek_\w+)$/m,
    60_000,
  );
  expect(await sendToDevice(url, deviceKey, callerKey)).toContain("Run the tests.");
});

test("the example serves its own routes and, below a path, the gateway with its devices", async () => {
  const project = createProject(join(inject("everything"), "../embedded"), inject("installation"));
  await project.install("@letta-environments/proxy", "@hono/node-server@2.1.9");
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const publicUrl = `http://127.0.0.1:${port}`;
  project.write({
    "embedded-gateway.mts": readFileSync(join(repository, "examples/programs/src/embedded-gateway.ts"), "utf8"),
    "main.mts": `
      import { startService } from "./embedded-gateway.mts";
      const { keys, stop } = await startService({ publicUrl: "${publicUrl}", port: ${port}, dataDir: "data" });
      console.log(JSON.stringify(keys));
      process.once("SIGTERM", () => void stop().then(() => console.log("stopped")));`,
  });
  const running = launchProcess({
    command: nodes.current,
    args: ["--disable-warning=ExperimentalWarning", "main.mts"],
    cwd: project.folder,
    env: project.environment(),
  });
  onTestFinished(() => void running.stop());
  const [, caller = "", device = ""] = await running.waitForOutput(/"caller":"(lek_\w+)","device":"(lek_\w+)"/, 60_000);
  expect(await (await fetch(`${publicUrl}/hello`)).text()).toBe("hello");
  expect(await sendToDevice(`${publicUrl}/letta`, device, caller)).toContain("Run the tests.");
  // The device's socket ends with the gateway, so the program ends by itself.
  await running.stop();
  expect(running.output()).toContain("stopped");
});
