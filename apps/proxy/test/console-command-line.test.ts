import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProcess, launchProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

let dataDir = "";
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "console-cli-"));
  await runLettaProxy(["keys", "create", "--name", "n", "--data-dir", dataDir]);
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

async function link(...options: readonly string[]): Promise<string> {
  return (await runLettaProxy(["console", "link", "--data-dir", dataDir, ...options])).stdout;
}

test("console link prints one link whose secret is in the fragment, and its key has the requested scopes", async () => {
  expect(await link("--gateway", "https://gateway.example/")).toMatch(
    /^https:\/\/gateway\.example\/console\/#link=lek_\w{62}\n$/,
  );
  const printed = await link("--scope", "list", "--scope", "list", "--tenant", "acme");
  expect(printed).toMatch(/^http:\/\/127\.0\.0\.1:8787\/console\/#link=lek_/);
  const id = printed.split("_")[1] ?? "";
  const { stdout } = await runLettaProxy(["keys", "show", id, "--json", "--data-dir", dataDir]);
  expect(JSON.parse(stdout)).toMatchObject({
    name: "console",
    tenant: "acme",
    scopes: ["list"],
    state: "active",
    secrets: [],
  });
  const records = await runLettaProxy(["audit", "list", "--event", "key_changed", "--data-dir", dataDir, "--json"]);
  expect(records.stdout).toContain(id);
  expect(records.stdout).not.toContain(printed.split("=")[1]?.trim());
});

test("a wrong option of console link is one line that names it", async () => {
  await expect(link("--scope", "everything")).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("scope"),
  });
  await expect(link("--tenant", "a b")).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/--tenant must be/),
  });
  await expect(link("--gateway", "ftp://x")).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--gateway"),
  });
});

test("the console is off with the JSON log until it is enabled, and no link is printed then", async () => {
  const off = await launchProxy();
  const on = await launchProxy({ args: ["--console"] });
  try {
    const status = async (url: string): Promise<number> => (await fetch(`${url}/console/`)).status;
    expect([await status(off.url), await status(on.url)]).toEqual([404, 200]);
    const session = async (url: string): Promise<number> => (await fetch(`${url}/console/session`)).status;
    // Without the headers of its own page the session of the other one is closed.
    expect([await session(off.url), await session(on.url)]).toEqual([404, 403]);
    expect(on.process.output()).not.toContain("#link=");
  } finally {
    await Promise.all([off.stop(), on.stop()]);
  }
});

test("the first start on loopback prints a link, and a later one says how to print another", async () => {
  const entry = join(import.meta.dirname, "../src/runtimes/node.ts");
  const start = () =>
    launchProcess({
      command: process.execPath,
      args: [entry, "start", "--port", "0", "--data-dir", join(dataDir, "first")],
      // Commands are printed as this folder runs them.
      cwd: join(import.meta.dirname, "../../.."),
    });
  const first = start();
  await first.waitForOutput(/\/console\/#link=lek_\w{62}/);
  await first.stop();
  const later = start();
  await later.waitForOutput(/letta-proxy.* console link/);
  await later.stop();
  expect(later.output()).not.toContain("#link=");
});
