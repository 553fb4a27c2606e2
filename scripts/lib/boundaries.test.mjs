import { describe, expect, test } from "vitest";
import { findBoundaryViolations } from "./boundaries.mjs";
import { parseModule } from "./parse-module.mjs";

/** The violations of one module. @param {string} path @param {string} source */
const violations = (path, source) => findBoundaryViolations(parseModule(path, source));

describe("allowed imports", () => {
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
    ["apps/proxy/src/host/node-server.ts", 'import { createServer } from "node:http";'],
    ["apps/proxy/src/adapters/undici.ts", 'const { Pool } = await import("undici");'],
    ["packages/client/src/adapters/web-clock.ts", "export const now = () => Date.now();"],
    ["apps/proxy/src/adapters/memory.test.ts", 'import { memory } from "./memory.ts";'],
    ["apps/proxy/src/app.ts", 'import type { ConnectedDevice } from "@letta-environments/environment-server";'],
    ["packages/schema/vitest.config.ts", 'import { sharedConfig } from "../../vitest.shared.ts";'],
    ["packages/cli/src/bin.ts", 'import process from "node:process";\nimport { host } from "./adapters/node-host.ts";'],
    ["packages/cli/src/adapters/node-host.ts", 'import { open } from "node:fs/promises";'],
    ["scripts/anything.mjs", 'import "node:fs"; process.exit();'],
  ])("an allowed import passes: %s: %s", (path, source) => {
    expect(violations(path, source)).toEqual([]);
  });
});

describe("forbidden imports", () => {
  test.each([
    ["packages/schema/src/a.ts", 'import { x } from "@letta-environments/client";', "may not import"],
    ["packages/platform/src/a.ts", 'import type { X } from "@letta-environments/schema";', "may not import"],
    ["packages/client/src/a.ts", 'export { x } from "@letta-environments/platform/node";', "may not import"],
    ["packages/client/src/a.ts", 'import { x } from "@letta-environments/testkit";', "testkit is for tests"],
    ["packages/client/src/a.ts", 'import { x } from "@letta-environments/client";', "may not import itself"],
    ["packages/newcomer/src/a.ts", 'import { x } from "@letta-environments/schema";', "not in packageImports"],
    ["packages/testkit/src/a.ts", 'import { x } from "@letta-environments/proxy";', "nothing imports an app"],
    ["packages/client/src/a.test.ts", 'import { x } from "../../../apps/proxy/src/app.ts";', "leaves its package"],
    ["packages/client/src/a.ts", 'import { x } from "../../schema/src/index.ts";', "leaves its package"],
    ["packages/client/src/a.ts", 'import { x } from "./b";', "no file extension"],
    ["packages/client/src/a.ts", 'import { x } from "./b.test.ts";', "may not import a test"],
    ["packages/client/src/a.ts", 'import { x } from "node:fs";', "may use the platform"],
    ["packages/client/src/a.test.ts", 'import { x } from "fs/promises";', "with node:"],
    ["packages/client/src/a.ts", 'const x = await import("node:crypto");', "may use the platform"],
    ["packages/client/src/a.ts", "const x = await import(`node:crypto`);", "may use the platform"],
    ["packages/client/src/a.ts", 'type X = import("node:fs").Stats;', "may use the platform"],
    ["packages/client/src/a.ts", 'const x = require("node:fs");', "may use the platform"],
    ["packages/client/src/adapters/a.ts", 'import { x } from "node:fs";', "may use the platform"],
    ["packages/environment-server/src/a.ts", 'import { WebSocket } from "ws";', "may use the platform"],
    ["packages/cli/src/run-command.ts", 'import { x } from "node:fs";', "may use the platform"],
    [
      "packages/cli/src/run-command.ts",
      'import { host } from "./adapters/node-host.ts";',
      "only bin.ts may import adapters",
    ],
    ["packages/cli/src/run-command.ts", 'import { x } from "@letta-environments/platform";', "may not import"],
    ["apps/proxy/src/app.ts", 'import { memory } from "./adapters/memory.ts";', "only runtimes may import adapters"],
    [
      "apps/proxy/src/adapters/a.ts",
      'import { main } from "../runtimes/node.ts";',
      "only runtimes may import runtimes",
    ],
    ["apps/proxy/src/app.ts", 'import "@letta-environments/environment-server";', "may compose the environment server"],
    [
      "apps/proxy/src/host/a.ts",
      'import { memory } from "../adapters/memory.ts";',
      "only runtimes may import adapters",
    ],
    ["packages/client/src/a.ts", 'export type { x } from "node:fs";', "may use the platform"],
    ["apps/proxy/src/auth/a.ts", 'import {\n  a,\n  b as from,\n} from "node:crypto";', "may use the platform"],
  ])("a forbidden import is reported: %s: %s", (path, source, reason) => {
    const found = violations(path, source);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(reason);
  });
});

test.each(["const now = new Date();", "const now = new Date;"])("reading the clock is reported: %s", (source) => {
  expect(violations("packages/client/src/a.ts", source)[0]).toContain(": new Date() (");
  expect(violations("packages/client/src/adapters/a.ts", source)).toEqual([]);
  expect(violations("packages/client/src/a.test.ts", source)).toEqual([]);
});

describe("text that only looks like an import or a clock read", () => {
  test.each([
    "// new Date()",
    "/* import x from 'node:fs' */",
    "const text = \"import 'node:fs'; new Date()\";",
    "const date = new Date(epochMs);",
    "const from = 'node:fs';",
    "const { import: value } = options; value.from;",
    "const url = import.meta.url;",
    "export { a };\nconst from = 'node:fs';",
  ])("text that only looks like an import or a clock read is not reported: %s", (source) => {
    expect(violations("packages/client/src/a.ts", source)).toEqual([]);
  });
});

test("a violation names its line, past comments and templates", () => {
  const source = "/* one\ntwo */\nconst a = `x\n${b}\n`;\n\nimport 'node:fs';\n";
  expect(violations("packages/client/src/a.ts", source)[0]).toMatch(/^packages\/client\/src\/a\.ts:7: /);
});
