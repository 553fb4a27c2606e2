/** Importing a built gateway has no effects. */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { builtArtefact } from "./built-artefact.ts";
import { runtimeProgram } from "./runtime-commands.ts";

const traps = join(import.meta.dirname, "global-scope-guard.mjs");

test.each([
  ["node", ["--import", traps]],
  ["bun", ["--preload", traps]],
  ["deno", ["run", "-A", "--no-config", "--no-lock", `--preload=${traps}`]],
] as const)(
  "the file %s.js starts no timer, uses no randomness and fetches nothing in global scope",
  (runtime, words) => {
    const args = [...words, builtArtefact(`${runtime}.js`), "--version"];
    expect(execFileSync(runtimeProgram(runtime), args, { encoding: "utf8" })).toMatch(/^\d+\.\d+\.\d+\n$/);
  },
);

test("no source file detects its runtime, because each build targets one", () => {
  const root = join(import.meta.dirname, "../../../..");
  const folders = [
    "apps/proxy/src",
    ...["platform", "schema", "environment-server", "http-cache"].map((name) => `packages/${name}/src`),
  ];
  const sniffing =
    /navigator\.userAgent|process\.versions\.bun|typeof (?:Deno|Bun)\b|globalThis\.(?:Deno|Bun)\b|getRuntimeKey/;
  const asking = folders
    .flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root }))
    .filter((path) => sniffing.test(readFileSync(join(root, path), "utf8")));
  expect(asking).toEqual([]);
});
