import { createEnvironmentServer } from "../src/index.ts";
import { openSqlite, sha256Hex } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { anyone } from "./support/harness.ts";

const document = { text: '{"openapi":"3.1.1"}', entityTag: '"v1"' };

function ask(method: string, headers: Readonly<Record<string, string>>, openApi?: () => Promise<typeof document>) {
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock: createVirtualClock(),
    sha256: sha256Hex,
    randomId: (prefix) => `${prefix}-1`,
    podId: "pod-1",
    publicUrl: null,
    ...(openApi !== undefined && { openApi }),
  });
  const principal = { ...anyone, scopes: new Set<never>() };
  return server.handle({ method, path: "/openapi.json", query: "", headers, body: null }, principal, {
    authority: null,
  });
}

test("/openapi.json needs no scope and supports conditional requests", async () => {
  const source = () => Promise.resolve(document);
  expect(await ask("GET", {}, source)).toMatchObject({ status: 200, body: document.text });
  expect(await ask("HEAD", {}, source)).toMatchObject({ status: 200, body: null });
  expect(await ask("GET", { "if-none-match": '"v1"' }, source)).toMatchObject({ status: 304, body: null });
  expect(await ask("POST", {}, source)).toMatchObject({ status: 405 });
});

test("/openapi.json is 404 without a description, and 500 when it cannot be read", async () => {
  expect((await ask("GET", {})).status).toBe(404);
  expect((await ask("GET", {}, () => Promise.reject(new Error("no file")))).status).toBe(500);
});
