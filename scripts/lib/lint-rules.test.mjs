import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repositoryRoot } from "./repository.mjs";

/** Reads of platform globals, with the name that the linter reports. @type {readonly [source: string, name: string][]} */
const platformReads = [
  ["const now = Date.now();", "Date.now"],
  ["const now = Date?.now();", "Date.now"],
  ['const now = Date["now"]();', "Date.now"],
  ["const read = Date.now;", "Date.now"],
  ["const now = performance.now();", "performance.now"],
  ["const x = Math.random();", "Math.random"],
  ["setInterval(run, 1);", "setInterval"],
  ["globalThis.setInterval(run, 1);", "globalThis.setInterval"],
  ["self.setInterval(run, 1);", "self"],
  ["const home = process.env.HOME;", "process"],
  ["const { env } = process;", "process"],
  ["const where = isNode ? process : other;", "process"],
  ["Deno.serve(handler);", "Deno"],
  ["const cache = globalThis.caches.default;", "globalThis.caches"],
  ["const text = `at ${`${Date.now()}`}`;", "Date.now"],
  ["const half = size / 2; const t = Date.now() / 2;", "Date.now"],
];

const lookAlikes = [
  "// Date.now() and process.env",
  "const text = `Math.random() ${value} setInterval(x)`;",
  String.raw`const text = "a \" Date.now()";`,
  String.raw`const pattern = /["'\/[]]Date.now()/u;`,
  "const pattern = /[/'\"]/; const after = 'process.env';",
  "function f() { if (x) return /process.env/.test(y); }",
  "clock.now(); clock.Date.now();",
  "const row = { process: 1, Deno: 2 };",
  "interface Row { process: string; readonly Bun?: string }",
  "job.process(); class Job { process() { return 1; } }",
  "export const process_id = 1; const deno = Bunny;",
  "const quotient = a / b; const other = c / d; // Date.now()",
];

/** Folders and files in which the platform may be read. */
const exemptPlaces = [
  "packages/platform/src/node/index.ts",
  "packages/testkit/src/launch.ts",
  "packages/client/src/adapters/web-clock.ts",
  "packages/cli/src/bin.ts",
  "packages/schema/src/message.test.ts",
  "packages/schema/test/support.ts",
  "apps/proxy/src/runtimes/node/start.ts",
  "apps/proxy/src/host/node-server.ts",
];

/** Messages of the platform rules by fixture. @type {Map<string, string[]>} */
const messages = new Map();
let folder = "";

/** One run of the linter over all fixtures, in a copy of the repository's layout and configuration. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lint-rules-"));
  copyFileSync(join(repositoryRoot, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  const fixtures = [
    ...platformReads.map(([source], index) => [`packages/client/src/read-${index}.ts`, source]),
    ...lookAlikes.map((source, index) => [`packages/client/src/like-${index}.ts`, source]),
    ...exemptPlaces.map((path) => [path, "const now = Date.now(); process.exit();"]),
  ];
  for (const [path = "", source = ""] of fixtures) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), source);
  }
  const oxlint = join(repositoryRoot, "node_modules", ".bin", "oxlint");
  const output = await new Promise((resolve) => {
    execFile(oxlint, ["--format", "json"], { cwd: folder }, (_error, stdout) => resolve(stdout));
  });
  for (const { code, filename, message } of JSON.parse(String(output)).diagnostics) {
    if (/no-restricted-(?:globals|properties)/.test(code))
      messages.set(filename, [...(messages.get(filename) ?? []), message]);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("reads of platform globals", () => {
  test.each(platformReads.map(([source, name], index) => [source, name, index]))(
    "a read of a platform global is reported outside platform, adapters, runtimes, host and tests: %s",
    (_source, name, index) => {
      const found = messages.get(`packages/client/src/read-${index}.ts`) ?? [];
      expect(found).toHaveLength(1);
      expect(found[0]).toContain(`'${name}'`);
    },
  );
});

test.each(lookAlikes.map((source, index) => [source, index]))("a look-alike is not reported: %s", (_source, index) => {
  expect(messages.get(`packages/client/src/like-${index}.ts`)).toBeUndefined();
});

test.each(exemptPlaces)("the platform may be read in %s", (path) => {
  expect(messages.get(path)).toBeUndefined();
});
