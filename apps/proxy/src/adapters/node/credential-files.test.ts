import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVirtualClock } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { CredentialSource, TenantSettings } from "../../tenants/settings.ts";
import { watchCredentialFiles } from "./credential-files.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "credential-"));
  path = join(folder, "credential");
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(credential: CredentialSource | null = { kind: "file", path }) {
  const clock = createVirtualClock();
  const failures: unknown[] = [];
  const settings: TenantSettings = { credential, publicName: null, deviceIds: null, connectionNames: null };
  const credentialOf = watchCredentialFiles({
    tenants: new Map([["a", settings]]),
    defaultCredential: "sk-default",
    clock,
    onFailure: (tenant, cause) => void failures.push([tenant, String(cause)]),
  });
  return { clock, failures, credentialOf };
}

test("a tenant has its own credential, and every other one the default", () => {
  writeFileSync(path, "sk-a\n");
  expect([open().credentialOf("a"), open().credentialOf("b")]).toEqual(["sk-a", "sk-default"]);
  expect(open({ kind: "environment", variable: "A", value: "sk-env" }).credentialOf("a")).toBe("sk-env");
  expect(open(null).credentialOf("a")).toBe("sk-default");
});

test("a file that is written anew or replaced is in use within a second", async () => {
  writeFileSync(path, "sk-1");
  const { credentialOf, clock } = open();
  writeFileSync(path, "sk-second");
  expect(credentialOf("a")).toBe("sk-1");
  await clock.advance(1_000);
  expect(credentialOf("a")).toBe("sk-second");
  writeFileSync(`${path}.new`, "sk-three3");
  renameSync(`${path}.new`, path);
  await clock.advance(1_000);
  expect(credentialOf("a")).toBe("sk-three3");
});

test("a file that is gone or broken leaves the old credential in use and is reported once, without its text", async () => {
  writeFileSync(path, "sk-1");
  const { credentialOf, clock, failures } = open();
  writeFileSync(path, "sk 2\nsecret");
  for (let second = 0; second < 3; second++) {
    await clock.advance(1_000);
    expect(credentialOf("a")).toBe("sk-1");
  }
  expect(failures).toHaveLength(1);
  expect(JSON.stringify(failures)).not.toContain("secret");
  writeFileSync(path, "sk-better");
  await clock.advance(1_000);
  expect(credentialOf("a")).toBe("sk-better");
  rmSync(path);
  await clock.advance(1_000);
  expect(credentialOf("a")).toBe("sk-better");
  expect(failures).toHaveLength(2);
});

test.each([
  ["missing", null],
  ["empty", "\n"],
  ["of two lines", "sk-1\nsk-2"],
])("a file that is %s at the start is an error that shows no credential", (_what, text) => {
  if (text !== null) writeFileSync(path, text);
  expect(() => open()).toThrow(/credential (cannot be read|must hold one)/);
  expect(() => open()).not.toThrow(/sk-/);
});
