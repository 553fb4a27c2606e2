import { expect, test } from "vitest";
import { parseModule } from "./parse-module.mjs";
import {
  compareWithExceptions,
  findCycles,
  findFolderPairs,
  findStructureViolations,
  summariseLines,
} from "./structure.mjs";

/** `rule: key` of every violation in a set of modules. @param {Readonly<Record<string, string>>} sources by path */
const violations = (sources) =>
  findStructureViolations(Object.entries(sources).map(([path, source]) => parseModule(path, source))).map(
    ({ rule, key }) => `${rule}: ${key}`,
  );

/** A source of so many lines. @param {number} count */
const lines = (count) => "a;\n".repeat(count);

test("an import against the folder order is reported, type-only imports included", () => {
  expect(
    violations({
      "apps/proxy/src/auth/a.ts": 'import type { B } from "../admin/b.ts";',
      "apps/proxy/src/admin/b.ts": "export type B = 1;",
    }),
  ).toEqual(["folder order: apps/proxy/src: auth/ imports admin/"]);
  expect(violations({ "apps/proxy/src/admin/a.ts": 'import { b } from "../auth/jwt/b.ts";' })).toEqual([]);
});

test("a file with its own entry is ordered separately from its folder", () => {
  expect(
    violations({
      "apps/proxy/src/ports.ts": 'import type { KeyRecord } from "./keys/key-record.ts";',
      "apps/proxy/src/keys/verify.ts": 'import type { KeyStore } from "../ports.ts";',
    }),
  ).toEqual([]);
});

test("two folders that import each other are reported, even if a file with its own entry hides this from the order check", () => {
  expect(
    violations({
      "apps/proxy/src/keys/key-record.ts": 'import type { A } from "../lib/a.ts";',
      "apps/proxy/src/keys/verify.ts": 'import type { B } from "../telemetry/b.ts";',
      "apps/proxy/src/lib/a.ts": 'import type { C } from "../keys/verify.ts";',
    }),
  ).toContain("folder pairs: apps/proxy/src/keys <-> apps/proxy/src/lib");
});

test("a folder that is missing from the order is reported", () => {
  expect(violations({ "apps/proxy/src/newcomer/a.ts": "", "packages/command-line/src/newcomer/a.ts": "" })).toEqual([
    "folder order: apps/proxy/src/newcomer/",
    "folder order: packages/command-line/src",
  ]);
});

test("ports.ts imports no feature but the key record, and rate-limit no workspace package", () => {
  expect(
    violations({
      "apps/proxy/src/ports.ts": 'import type { RateLimiter } from "./rate-limit/limiter.ts";',
      "apps/proxy/src/rate-limit/limiter.ts": `
        import type { Clock } from "@letta-environments/platform";
        import { problem } from "@letta-environments/schema";
        import { a } from "../json.ts";
        import { b } from "./decide.ts";`,
    }),
  ).toEqual([
    "restricted imports: apps/proxy/src/rate-limit/ imports *.ts",
    "restricted imports: apps/proxy/src/rate-limit/ imports @letta-environments/platform",
    "restricted imports: apps/proxy/src/rate-limit/ imports @letta-environments/schema",
    "restricted imports: apps/proxy/src/ports.ts imports rate-limit/",
  ]);
});

test("files in an import cycle are reported, type-only and dynamic imports included", () => {
  expect(
    violations({
      "packages/schema/src/a.ts": 'import type { B } from "./b.ts";',
      "packages/schema/src/b.ts": 'export type { C } from "./c.ts";',
      "packages/schema/src/c.ts": 'const a = await import("./a.ts");',
      "packages/schema/src/d.ts": 'import "./a.ts";',
    }),
  ).toEqual(["a", "b", "c"].map((name) => `import cycles: packages/schema/src/${name}.ts`));
});

test("cycles that share no file are separate, and a file that imports itself is a cycle", () => {
  const graph = new Map([
    ["a", new Set(["b"])],
    ["b", new Set(["a", "c"])],
    ["c", new Set(["d"])],
    ["d", new Set(["c"])],
    ["e", new Set(["e", "a"])],
  ]);
  expect(findCycles(graph)).toEqual([["c", "d"], ["a", "b"], ["e"]]);
});

test("a file of 401 lines is reported, tests included and generated files excepted", () => {
  expect(
    violations({
      "packages/schema/src/a.ts": lines(400),
      "packages/schema/src/b.test.ts": lines(401),
      "packages/schema/src/c.gen.ts": lines(401),
    }),
  ).toEqual(["lines per file: packages/schema/src/b.test.ts"]);
});

test("a function of 81 lines is reported by its name, except in tests", () => {
  const source = `const short = () => {\n${lines(78)}};\nexport const long = () => {\n${lines(79)}};\nclass A {\n  run() {\n${lines(79)}}\n}`;
  expect(violations({ "packages/schema/src/a.ts": source, "packages/schema/src/a.test.ts": source })).toEqual([
    "lines per function: packages/schema/src/a.ts: long",
    "lines per function: packages/schema/src/a.ts: run",
  ]);
});

test("a folder with 16 source files is reported, not counting tests and subfolders", () => {
  const files = Array.from({ length: 15 }, (_, index) => [`packages/platform/src/node/a${index}.ts`, ""]);
  const allowed = {
    ...Object.fromEntries(files),
    "packages/platform/src/node/a.test.ts": "",
    "packages/platform/src/node/b/a.ts": "",
  };
  expect(violations(allowed)).toEqual([]);
  expect(violations({ ...allowed, "packages/platform/src/node/b.ts": "" })).toEqual([
    "files per folder: packages/platform/src/node",
  ]);
});

test("more than 12 files of at most 20 lines in the gateway are reported", () => {
  const files = Array.from({ length: 13 }, (_, index) => [`apps/proxy/src/auth/a${index}.ts`, lines(20)]);
  expect(violations(Object.fromEntries(files.slice(1)))).toEqual([]);
  expect(violations(Object.fromEntries(files))).toHaveLength(13);
  expect(violations(Object.fromEntries([...files.slice(1), ["apps/proxy/src/auth/b.ts", lines(21)]]))).toEqual([]);
});

test("a retired name is reported as an identifier and as a file name, not in a comment or a longer name", () => {
  expect(
    violations({
      "packages/schema/src/a.ts": "// by chance\nconst chances = row.chance; function judgeSend() {}",
      "packages/schema/src/stand-in.ts": "",
    }),
  ).toEqual([
    "retired names: packages/schema/src/a.ts: chance",
    "retired names: packages/schema/src/a.ts: judgeSend",
    "retired names: packages/schema/src/stand-in.ts: standIn",
  ]);
});

test("a docstring that begins with What or Who is reported, other comments are not", () => {
  expect(
    violations({
      "packages/schema/src/a.ts":
        "/** What a row says. */\nconst a = 1; /** A row. What else? */ const b = 2; // What a line",
      "packages/schema/src/b.ts": "/**\n * Who may read it.\n */\nconst a = 1; /* What */ const whatever = 2;",
    }),
  ).toEqual([
    "docstrings: packages/schema/src/a.ts: What a row says.",
    "docstrings: packages/schema/src/b.ts: Who may read it.",
  ]);
});

test("a listed exception is allowed, and reported once it no longer occurs", () => {
  const found = [{ rule: "sizes", key: "a.ts", detail: "is long" }];
  expect(compareWithExceptions(found, { sizes: ["a.ts"] })).toEqual([]);
  expect(compareWithExceptions(found, {})).toEqual(["sizes: a.ts: is long"]);
  expect(compareWithExceptions([], { sizes: ["a.ts"] })).toEqual([
    "sizes: a.ts: no longer occurs; remove it from structure-exceptions.json",
  ]);
});

test("folders that import each other are counted once, with their subfolders and files beside them", () => {
  const modules = Object.entries({
    "apps/proxy/src/auth/jwt/a.ts": 'import type { B } from "../../keys/b.ts"; import "../../ports.ts";',
    "apps/proxy/src/keys/b.ts": 'import "../auth/c.ts";',
    "apps/proxy/src/auth/c.ts": 'import "./jwt/a.ts";',
    "apps/proxy/src/ports.ts": 'import "./auth/c.ts"; import "./json.ts";',
    "apps/proxy/src/json.ts": 'import "./ports.ts";',
  }).map(([path, source]) => parseModule(path, source));
  expect(findFolderPairs(modules)).toEqual([
    "apps/proxy/src/auth <-> apps/proxy/src/keys",
    "apps/proxy/src/auth <-> apps/proxy/src/ports.ts",
  ]);
});

test("percentiles of file lengths are nearest-rank, and zero without files", () => {
  expect(summariseLines([4, 100, 3, 2])).toEqual({ files: 4, lines: 109, median: 3, p90: 100, max: 100, small: 3 });
  expect(summariseLines([])).toEqual({ files: 0, lines: 0, median: 0, p90: 0, max: 0, small: 0 });
});
