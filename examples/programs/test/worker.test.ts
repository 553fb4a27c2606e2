/** The Worker in workerd, in front of a real gateway. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestHarness } from "wrangler";
import { type GatewayWithDevice, launchGatewayWithDevice } from "./support.ts";

let gateway: GatewayWithDevice;
let folder: string | undefined;
let worker: ReturnType<typeof createTestHarness>;

beforeAll(async () => {
  gateway = await launchGatewayWithDevice();
  folder = await mkdtemp(join(tmpdir(), "letta-worker-"));
  const entry = resolve(import.meta.dirname, "../src/worker.ts");
  await build({ entryPoints: [entry], bundle: true, format: "esm", outfile: join(folder, "worker.mjs") });
  const config = {
    ...{ name: "example", main: "worker.mjs", compatibility_date: "2026-11-01", send_metrics: false },
    vars: { LETTA_BASE_URL: gateway.url, LETTA_API_KEY: gateway.apiKey },
  };
  await writeFile(join(folder, "wrangler.json"), JSON.stringify(config));
  Object.assign(process.env, {
    DO_NOT_TRACK: "1",
    WRANGLER_SEND_METRICS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  });
  worker = createTestHarness({ root: folder, workers: [{ configPath: "./wrangler.json" }] });
  await worker.listen();
}, 60_000);
afterAll(async () => {
  await worker?.close();
  await gateway?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

test("the Worker lists online devices, sends a task, and passes on error codes", async () => {
  const listed = await worker.fetch("/devices");
  expect(await listed.json()).toEqual(["laptop"]);
  const send = (device: string) =>
    worker.fetch("/tasks", {
      method: "POST",
      body: JSON.stringify({ device, agentId: "agent-1", task: "from a Worker" }),
    });
  const sent = await send("laptop");
  expect([sent.status, await sent.json()]).toMatchObject([202, { outcome: "started" }]);
  expect(gateway.messages()).toContain("from a Worker");
  const refused = await send("nobody");
  expect(await refused.json()).toMatchObject({ error: "environment_not_found" });
}, 60_000);
