import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createFakeServer } from "../src/testing/index.ts";

const packageFolder = resolve(import.meta.dirname, "..");
const readme = await readFile(join(packageFolder, "README.md"), "utf8");
const samples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ""]) => code);

let folder = "";
const printed: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "client-readme-"));
  printed.length = 0;
  for (const method of ["log", "warn"] as const)
    vi.spyOn(console, method).mockImplementation((...values: unknown[]) => void printed.push(values.join(" ")));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs a sample as a module, with this package's sources in the place of the installed package. */
async function run(sample: string): Promise<void> {
  const { exports } = JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8"));
  const code = sample.replaceAll(/"@letta-environments\/client([^"]*)"/g, (_match, subpath: string) =>
    JSON.stringify(resolve(packageFolder, exports[`.${subpath}`])),
  );
  const file = join(folder, "sample.ts");
  await writeFile(file, code);
  await import(/* @vite-ignore */ file);
}

test.each(samples.map((sample, index) => [index + 1, sample] as const))(
  "sample %i of the README runs unchanged against a server that has its devices",
  async (_number, sample) => {
    const server = createFakeServer();
    for (const [deviceId, connectionName] of [
      ["8b0f4c1e-2f6d-4a53-9c0e-3d8f1b7a6e25", "my-laptop"],
      ["d-9", "build-box"],
    ] as const) {
      server.put({ deviceId, connectionName });
      server.connect(deviceId);
    }
    vi.stubGlobal("fetch", server.fetch);
    await run(sample);
    const sends = sample.includes("Run the tests.") ? 1 : 0;
    expect(server.taken).toHaveLength(sends);
    for (const [, expected] of sample.matchAll(/console\.log\(.*\); \/\/ (.*)/g)) expect(printed).toContain(expected);
  },
);

test("the first sample prints every device, the outcome and the message id", async () => {
  const server = createFakeServer();
  server.put({ deviceId: "d-1", connectionName: "build-box" });
  server.connect("d-1");
  vi.stubGlobal("fetch", server.fetch);
  await run(samples[0] ?? "");
  expect(printed).toEqual(["build-box d-1", expect.stringMatching(/^started [\d-]+$/)]);
});
