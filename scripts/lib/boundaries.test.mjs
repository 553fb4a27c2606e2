import { describe, expect, test } from "vitest";
import { findBoundaryViolations } from "./boundaries.mjs";

/** The violations of one module. @param {string} path @param {string} source */
const violations = (path, source) => findBoundaryViolations([{ path, source }]);

describe("allowed imports pass", () => {
  test.each([
    ["packages/client/src/client.ts", 'import { endpoints } from "@letta-environments/schema";'],
    ["packages/environment-server/src/server.ts", 'import type { Clock } from "@letta-environments/platform";'],
    ["packages/environment-server/src/server.ts", 'export * from "./rows.ts";\nexport type { Row } from "./rows.ts";'],
    [
      "packages/platform/src/node/sqlite.ts",
      'import { DatabaseSync } from "node:sqlite";\nsetInterval(() => Date.now(), 1);',
    ],
    ["packages/platform/src/bun/index.ts", 'import { Database } from "bun:sqlite";'],
    ["packages/schema/src/message.test.ts", 'import { readFileSync } from "node:fs";\nprocess.cwd();'],
    ["packages/client/test/send.test.ts", 'import { launchProxy } from "@letta-environments/testkit";'],
    [
      "apps/proxy/src/runtimes/node.ts",
      'import { createServer } from "node:http";\nimport { memory } from "../adapters/memory.ts";',
    ],
    [
      "apps/proxy/src/runtimes/node.ts",
      'import { createEnvironmentServer } from "@letta-environments/environment-server";',
    ],
    ["apps/proxy/src/adapters/undici.ts", 'const { Pool } = await import("undici");'],
    ["packages/client/src/adapters/web-clock.ts", "export const now = () => Date.now();"],
    ["apps/proxy/src/adapters/memory.test.ts", 'import { memory } from "./memory.ts";'],
    ["apps/proxy/src/app.ts", 'import type { UpgradeDecision } from "@letta-environments/environment-server";'],
    ["packages/schema/vitest.config.ts", 'import { sharedConfig } from "../../vitest.shared.ts";'],
    ["packages/cli/src/bin.ts", 'import process from "node:process";\nimport { host } from "./adapters/node-host.ts";'],
    ["packages/cli/src/adapters/node-host.ts", 'import { open } from "node:fs/promises";'],
    ["scripts/anything.mjs", 'import "node:fs"; process.exit();'],
  ])("%s: %s", (path, source) => {
    expect(violations(path, source)).toEqual([]);
  });
});

describe("forbidden imports are reported", () => {
  test.each([
    ["packages/schema/src/a.ts", 'import { x } from "@letta-environments/client";', "may not import"],
    ["packages/platform/src/a.ts", 'import type { X } from "@letta-environments/schema";', "may not import"],
    ["packages/client/src/a.ts", 'export { x } from "@letta-environments/platform/node";', "may not import"],
    ["packages/client/src/a.ts", 'import { x } from "@letta-environments/testkit";', "testkit is for tests"],
    ["packages/client/src/a.ts", 'import { x } from "@letta-environments/client";', "imports itself"],
    ["packages/newcomer/src/a.ts", 'import { x } from "@letta-environments/schema";', "not in the table"],
    ["packages/testkit/src/a.ts", 'import { x } from "@letta-environments/proxy";', "nothing imports an app"],
    ["packages/client/src/a.test.ts", 'import { x } from "../../../apps/proxy/src/app.ts";', "reaches outside"],
    ["packages/client/src/a.ts", 'import { x } from "../../schema/src/index.ts";', "reaches outside"],
    ["packages/client/src/a.ts", 'import { x } from "./b";', "no file extension"],
    ["packages/client/src/a.ts", 'import { x } from "./b.test.ts";', "source imports a test"],
    ["packages/client/src/a.ts", 'import { x } from "node:fs";', "touch the platform"],
    ["packages/client/src/a.test.ts", 'import { x } from "fs/promises";', "with node:"],
    ["packages/client/src/a.ts", 'const x = await import("node:crypto");', "touch the platform"],
    ["packages/client/src/a.ts", "const x = await import(`node:crypto`);", "touch the platform"],
    ["packages/client/src/a.ts", 'type X = import("node:fs").Stats;', "touch the platform"],
    ["packages/client/src/a.ts", 'const x = require("node:fs");', "touch the platform"],
    ["packages/client/src/adapters/a.ts", 'import { x } from "node:fs";', "touch the platform"],
    ["packages/environment-server/src/a.ts", 'import { WebSocket } from "ws";', "touch the platform"],
    ["packages/cli/src/run-command.ts", 'import { x } from "node:fs";', "touch the platform"],
    [
      "packages/cli/src/run-command.ts",
      'import { host } from "./adapters/node-host.ts";',
      "only bin.ts imports adapters",
    ],
    ["packages/cli/src/run-command.ts", 'import { x } from "@letta-environments/platform";', "may not import"],
    ["apps/proxy/src/app.ts", 'import { memory } from "./adapters/memory.ts";', "only runtimes import adapters"],
    ["apps/proxy/src/adapters/a.ts", 'import { main } from "../runtimes/node.ts";', "only runtimes import runtimes"],
    ["apps/proxy/src/app.ts", 'import "@letta-environments/environment-server";', "compose the environment server"],
    ["apps/proxy/src/auth/a.ts", 'import {\n  a,\n  b as from,\n} from "node:crypto";', "touch the platform"],
  ])("%s: %s", (path, source, reason) => {
    const found = violations(path, source);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(reason);
  });
});

describe("platform globals are reported outside platform, adapters, runtimes and tests", () => {
  test.each([
    ["const now = Date.now();", "Date.now"],
    ["const now = Date?.now();", "Date.now"],
    ['const now = Date["now"]();', "Date.now"],
    ["const read = Date.now;", "Date.now"],
    ["const now = new Date();", "new Date()"],
    ["const now = new Date;", "new Date()"],
    ["const x = Math.random();", "Math.random"],
    ["setInterval(run, 1);", "setInterval"],
    ["globalThis.setInterval(run, 1);", "globalThis.setInterval"],
    ["const home = process.env.HOME;", "process"],
    ["const { env } = process;", "process"],
    ["const where = isNode ? process : other;", "process"],
    ["Deno.serve(handler);", "Deno"],
    ["const cache = globalThis.caches.default;", "globalThis.caches"],
    ["const text = `at ${`${Date.now()}`}`;", "Date.now"],
    ["const half = size / 2; const t = Date.now() / 2;", "Date.now"],
  ])("%s", (source, name) => {
    const found = violations("packages/client/src/a.ts", source);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`: ${name} (`);
  });
});

describe("look-alikes are not reported", () => {
  test.each([
    "// Date.now() and process.env",
    "/* import x from 'node:fs' */",
    "const text = \"import 'node:fs'; Date.now()\";",
    "const text = `Math.random() ${value} setInterval(x)`;",
    String.raw`const text = "a \" Date.now()";`,
    String.raw`const pattern = /["'\/[]]Date.now()/u;`,
    "const pattern = /[/'\"]/; const after = 'process.env';",
    "if (x) return /process.env/.test(y);",
    "clock.now(); clock.Date.now();",
    "const row = { process: 1, Deno: 2 };",
    "interface Row { process: string; readonly Bun?: string }",
    "job.process(); class Job { process() { return 1; } }",
    "const date = new Date(epochMs);",
    "const from = 'node:fs';",
    "const { import: value } = options; value.from;",
    "export const process_id = 1; const deno = Bunny;",
    "const quotient = a / b; const other = c / d; // Date.now()",
    "const url = import.meta.url;",
    "export { a };\nconst from = 'node:fs';",
  ])("%s", (source) => {
    expect(violations("packages/client/src/a.ts", source)).toEqual([]);
  });
});

test("a violation names the line it stands on, past comments and templates", () => {
  const source = "/* one\ntwo */\nconst a = `x\n${b}\n`;\n\nimport 'node:fs';\n";
  expect(violations("packages/client/src/a.ts", source)[0]).toMatch(/^packages\/client\/src\/a\.ts:7: /);
});
