/** Keys and limits in one Valkey, shared by built gateways on different runtimes. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canLaunchValkey, type LaunchedValkey, launchProcess, launchValkey } from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { runBuilt } from "./run-built.ts";
import { gatewayCommand, type ServerRuntime } from "./runtime-commands.ts";
import { ask } from "./use-gateway.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const runtimes: readonly ServerRuntime[] = ["node", "bun", "deno"];
let folder = "";
let valkey: LaunchedValkey;
const stops: (() => Promise<unknown>)[] = [];

describe.skipIf(!canLaunchValkey())("gateways on Node, Bun and Deno with one Valkey", () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "letta-proxy-shared-"));
    valkey = await launchValkey({ password: "hunter2secret" });
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
    await valkey.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const env = (): Record<string, string> => ({
    HOME: folder,
    VALKEY_URL: valkey.url,
    KEY_PEPPER: "a pepper that all of them are given",
    PROXY_CONFIG: "shared.json",
  });

  async function start(runtime: ServerRuntime): Promise<string> {
    const [command, ...words] = gatewayCommand(runtime);
    const args = [...words, "start", "--port", "0", "--log", "json", "--data-dir", `data-${runtime}`];
    const gateway = launchProcess({ command, args, cwd: folder, env: env() });
    stops.push(() => gateway.stop());
    const [, url = ""] = await gateway.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
    return url;
  }

  test("gateways on Node, Bun and Deno that share a Valkey accept the same keys, share rate limits, and apply a revocation", async () => {
    const policies = { ten: { per: ["key"], limit: 10, windowMs: 600_000 } };
    // A busy machine must not make a gateway decide without Valkey, which it does after the deadline.
    await writeFile(join(folder, "shared.json"), JSON.stringify({ rateLimits: { deadlineMs: 5_000, policies } }));
    const words = ["keys", "create", "--name", "shared", "--scope", "list", "--data-dir", "data-cli"];
    const [limited, other] = [
      await runBuilt("bun", words, { folder, env: env() }),
      await runBuilt("deno", words, { folder, env: env() }),
    ];
    const key = limited.stdout.trim();
    const urls = await Promise.all(runtimes.map(start));
    const answers = await Promise.all(
      urls.flatMap((url) => Array.from({ length: 20 }, () => ask(url, "/v1/environments", { key }))),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(50);

    const shared = other.stdout.trim();
    const statusAt = async (url: string): Promise<number> =>
      (await ask(url, "/v1/environments", { key: shared })).status;
    expect(await Promise.all(urls.map(statusAt))).toEqual([200, 200, 200]);
    const revoke = ["keys", "revoke", shared.split("_")[1] ?? "", "--data-dir", "data-cli"];
    expect((await runBuilt("deno", revoke, { folder, env: env() })).code).toBe(0);
    await vi.waitFor(async () => expect(await Promise.all(urls.map(statusAt))).toEqual([401, 401, 401]), {
      timeout: 30_000,
      interval: 50,
    });
  });
});
