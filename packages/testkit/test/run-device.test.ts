import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";

const entry = join(import.meta.dirname, "../src/run-device.ts");

test("the device gets only the CA and proxy variables that it needs to reach the gateway", async () => {
  const folder = await mkdtemp(join(tmpdir(), "run-device-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const network = { NODE_EXTRA_CA_CERTS: join(folder, "no-such-ca.pem"), https_proxy: "http://127.0.0.1:9" };
  const child = spawn(process.execPath, [entry, "--home", join(folder, "home")], {
    env: {
      PATH: process.env["PATH"] ?? "",
      LETTA_API_KEY: "lek_x",
      LETTA_BASE_URL: "https://127.0.0.1:9",
      ...network,
      OTHER: "secret",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGTERM"));
  await once(child.stdout, "data");
  // Until the program of the device runs, its process still has the environment of its parent.
  const environment = await vi.waitFor(
    async () => {
      const found = await environmentOf(await childOf(child.pid ?? 0));
      expect(found).toHaveProperty("IGNORE_SELF_HOSTED_LISTENER_ERROR");
      return found;
    },
    { timeout: 20_000 },
  );
  expect(environment).toMatchObject(network);
  expect(environment).not.toHaveProperty("OTHER");
}, 30_000);

/** Returns the id of the only child of a process. */
async function childOf(pid: number): Promise<string> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim();
  if (children === "") throw new Error("there is no child yet");
  return children.split(" ")[0] ?? "";
}

async function environmentOf(pid: string): Promise<Readonly<Record<string, string>>> {
  const entries = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0").filter((line) => line.includes("="));
  return Object.fromEntries(entries.map((line) => [line.split("=")[0] ?? "", line.slice(line.indexOf("=") + 1)]));
}

test.each([
  [["--nonsense"], "device: Unknown option '--nonsense'; --help shows the options\n"],
  [["--name"], "device: Option '--name <value>' argument missing; --help shows the options\n"],
])("the options %j are refused with one clear line and exit code 2, without a stack trace", (words, stderr) => {
  const run = spawnSync(process.execPath, [entry, ...words], { encoding: "utf8" });
  expect([run.status, run.stdout, run.stderr]).toEqual([2, "", stderr]);
});
