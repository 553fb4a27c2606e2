/** The audit log as an operator sees it: separate processes, kill -9, tampering with the file. */
import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { connectScriptedDevice, launchProxy, type LaunchedProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { AuditReport } from "../src/audit/verify.ts";

vi.setConfig({ testTimeout: 60_000 });

let dataDir = "";
const proxies: LaunchedProxy[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "letta-proxy-audit-"));
});

afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function run(
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    return { code: 0, ...(await runLettaProxy([...words, "--data-dir", dataDir], env)) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

async function start(): Promise<LaunchedProxy> {
  const proxy = await launchProxy({ dataDir, env: {} });
  proxies.push(proxy);
  return proxy;
}

function tamper(sql: string): void {
  const database = openSqlite(join(dataDir, "audit.sqlite"));
  database.exec(`DROP TRIGGER IF EXISTS audit_record_changed; DROP TRIGGER IF EXISTS audit_record_deleted; ${sql}`);
  database.close();
}

async function records(): Promise<Record<string, unknown>[]> {
  const { stdout } = await run(["audit", "list", "--json", "--limit", "1000"]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("a running gateway bounds the audit records of a repeatedly refused key, and the commands show how many were omitted", async () => {
  const proxy = await start();
  const lister = await proxy.createKey({ scopes: ["list"] });
  const headers = { authorization: `Bearer ${lister}`, "content-type": "application/json" };
  for (let count = 0; count < 200; count++) {
    const refused = await fetch(`${proxy.url}/v1/environments/c/messages`, { method: "POST", headers, body: "{}" });
    expect(refused.status).toBe(403);
    await refused.body?.cancel();
  }
  await proxy.stop();
  const listed = await records();
  const recorded = listed.filter(({ type }) => type === "send_refused").length;
  const omitted = listed.filter(({ type }) => type === "refusals_omitted");
  expect(recorded).toBeLessThan(200);
  expect(omitted.reduce((sum, record) => sum + Number(record["omitted"]), recorded)).toBe(200);
  expect((await run(["audit", "list", "--key", lister.slice(4, 16)])).stdout).toMatch(
    /refusals omitted .* omitted \d+/,
  );
  expect((await run(["audit", "verify"])).stdout).toContain(`${200 - recorded} refusals without a record`);
});

test("the audit log contains sends and changes by the command line, and is intact after kill -9", async () => {
  const proxy = await start();
  const caller = await proxy.createKey({ scopes: ["list", "read", "send"], more: ["--owner", "ci"] });
  const connect = await proxy.createKey({ scopes: ["connect"] });
  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: connect, deviceId: "device-1" });
  const send = (connectionId: string, id: string): Promise<Response> =>
    fetch(`${proxy.url}/v1/environments/${connectionId}/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${caller}`, "content-type": "application/json" },
      body: JSON.stringify({
        agentId: "agent-1",
        messages: [{ role: "user", content: "hello", client_message_id: id }],
      }),
    });
  for (const id of ["m1", "m1"]) expect((await send(device.connectionId, id)).status).toBe(200);
  expect((await send("conn-unknown", "m2")).status).toBe(404);
  const keyId = caller.slice(4, 16);
  await run(["keys", "revoke", keyId]);
  await run(["keys", "revoke", "unknown"]);
  await proxy.process.stop("SIGKILL");

  const listed = await records();
  const sends = listed.filter(({ type }) => String(type).startsWith("send_"));
  expect(sends).toMatchObject([
    { type: "send_started", keyId, owner: "ci", deviceId: "device-1", messageIds: ["m1"] },
    { type: "send_finished", status: 200, replayed: false },
    { type: "send_started", messageIds: ["m1"] },
    { type: "send_finished", status: 200, replayed: true },
    { type: "send_started", deviceId: null, messageIds: ["m2"] },
    { type: "send_finished", status: 404, code: "connection_not_found" },
  ]);
  const changes = listed.filter(({ type }) => type === "key_changed");
  expect(changes).toMatchObject([{ act: "created" }, { act: "created" }, { act: "revoked", keyId }]);
  expect(listed.filter(({ type }) => type === "key_change_abandoned")).toMatchObject([{ keyId: "unknown" }]);
  expect(JSON.stringify(listed)).not.toContain(caller);

  const verified = await run(["audit", "verify"]);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining("The audit log is intact") });
  expect((await run(["audit", "list", "--limit", "1"])).stdout).toMatch(/^TIME .*DETAILS\n\d{4}-.*writer closed\n$/);
  const filtered = async (...words: readonly string[]): Promise<string[]> =>
    (await run(["audit", "list", ...words])).stdout.trimEnd().split("\n").slice(1);
  expect(await filtered("--event", "send", "--outcome", "failed", "--since", "1h")).toEqual([
    expect.stringMatching(new RegExp(`send finished +failed +${keyId} .*connection_not_found`)),
  ]);
  expect(await filtered("--key", keyId, "--action", "revoked")).toEqual([expect.stringMatching(/key revoked +ok/)]);
  expect(await filtered("--device", "device-1", "--event", "send_finished")).toHaveLength(2);
  const none = ["audit", "list", "--until", "1h"];
  expect(await run(none)).toEqual({ code: 0, stdout: "", stderr: "No records match.\n" });
  expect(await run([...none, "--json"])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await run(["audit", "list", "--event", "sned"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("did you mean send?"),
  });
  expect(await run(["audit", "list", "--since", "soon"])).toMatchObject({ code: 2, stdout: "" });
});

test("audit verify detects edits, a truncated log and a contradicted report, and exits with 1", async () => {
  for (const name of ["a", "b", "c"]) await run(["keys", "create", "--name", name]);
  const report = join(dataDir, "report.json");
  const { stdout } = await run(["audit", "verify", "--json"]);
  await writeFile(report, stdout);
  const { chains } = JSON.parse(stdout) as AuditReport;
  expect(chains).toMatchObject([{ closed: true }, { closed: true }, { closed: true }]);
  await run(["keys", "create", "--name", "d"]);
  expect((await run(["audit", "verify", "--against", report])).code).toBe(0);

  tamper("UPDATE audit_records SET text = replace(text, '\"c\"', '\"x\"')");
  const edited = await run(["audit", "verify", "--against", report]);
  expect(edited).toMatchObject({ code: 1, stdout: expect.stringContaining("differs from the one that was written") });

  tamper(`DELETE FROM audit_records WHERE writer = '${chains[0]?.writer}' AND sequence > 2`);
  expect((await run(["audit", "verify"])).stdout).toContain("missing at the end");
  expect((await run(["audit", "verify", "--against", report])).stdout).toContain("earlier report");

  await writeFile(report, "{}");
  expect(await run(["audit", "verify", "--against", report])).toMatchObject({ code: 1, stdout: "" });
  await rm(report);
  expect(await run(["audit", "verify", "--against", report])).toMatchObject({
    code: 1,
    stderr: `letta-proxy: --against ${report} cannot be read: there is no such file\n`,
  });
});

test("audit verify reports a log that was emptied or replaced", async () => {
  await run(["keys", "create", "--name", "a"]);
  tamper("DELETE FROM audit_records; DELETE FROM audit_heads; DELETE FROM audit_directory");
  expect((await run(["audit", "verify"])).code).toBe(1);
  tamper("INSERT INTO audit_records VALUES ('x', 1152921504606846976, '{}', 'x')");
  expect(await run(["audit", "verify"])).toMatchObject({ code: 1, stdout: expect.stringContaining("NOT intact") });
  await writeFile(join(dataDir, "audit.sqlite"), "no database at all, but long enough to be looked at".repeat(100));
  const ruined = await run(["audit", "verify"]);
  expect([ruined.code, ruined.stderr.includes("    at ")]).toEqual([1, false]);
});

test("audit verify never reports a missing log as intact", async () => {
  await run(["keys", "create", "--name", "a"]);
  await rm(join(dataDir, "audit.sqlite"));
  expect(await run(["audit", "verify"])).toMatchObject({ code: 1, stderr: expect.stringContaining("no audit log") });
  expect(existsSync(join(dataDir, "audit.sqlite"))).toBe(false);
  await run(["keys", "create", "--name", "b"]);
  expect(await run(["audit", "list", "--limit", "0"])).toMatchObject({ code: 2, stdout: "" });
});

test("audit verify reports a pepper that has sealed nothing, and when it may be the wrong one, and audit prune refuses it", async () => {
  await run(["keys", "create", "--name", "a"]);
  const before = await records();
  const other = { KEY_PEPPER: "another pepper, for nothing here" };
  const verified = await run(["audit", "verify"], other);
  expect(verified).toMatchObject({ code: 1, stdout: expect.stringContaining("NOT intact") });
  expect(verified.stderr).toContain("KEY_PEPPER may be the wrong one");
  const { stdout } = await run(["audit", "verify", "--json"], other);
  expect((JSON.parse(stdout) as AuditReport).findings).toMatchObject([
    { fault: "head_forged" },
    { fault: "directory_forged" },
  ]);
  const refused = await run(["audit", "prune", "--before", "1d"], other);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain("KEY_PEPPER is not the pepper of this log");
  expect(await records()).toEqual(before);
  expect(await run(["audit", "verify"])).toMatchObject({ code: 0, stderr: "" });

  await writeFile(join(dataDir, "pepper"), new Uint8Array(32));
  const { code, stderr } = await run(["audit", "verify"]);
  expect([code, stderr]).toEqual([1, expect.stringContaining(`${join(dataDir, "pepper")} may be the wrong one`)]);
});

test("audit verify reports a log whose seals claim a different pepper from the keys as tampered with, also against an earlier report", async () => {
  const report = join(dataDir, "report.json");
  for (const name of ["a", "b"]) await run(["keys", "create", "--name", name]);
  // With a byte order mark, as PowerShell may write it.
  await writeFile(report, `\ufeff${(await run(["audit", "verify", "--json"])).stdout}`);
  tamper(`
    UPDATE audit_heads SET pepper_id = '0000000000000000'; UPDATE audit_directory SET pepper_id = '0000000000000000';
    UPDATE audit_records SET text = replace(text, '"b"', '"x"')`);
  const verified = await run(["audit", "verify"]);
  expect(verified).toMatchObject({ code: 1, stdout: expect.stringContaining("NOT intact") });
  expect(verified.stderr).toContain("was changed or replaced");
  const faults = async (...words: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await run(["audit", "verify", "--json", ...words]);
    return (JSON.parse(stdout) as AuditReport).findings.map(({ fault }) => fault);
  };
  expect(new Set(await faults())).toEqual(new Set(["head_forged", "directory_forged", "record_edited"]));

  await rm(join(dataDir, "audit.sqlite"));
  const other = await mkdtemp(join(tmpdir(), "letta-proxy-audit-"));
  await runLettaProxy(["keys", "create", "--name", "a", "--data-dir", other], { KEY_PEPPER: "other".repeat(9) });
  await rename(join(other, "audit.sqlite"), join(dataDir, "audit.sqlite"));
  await rm(other, { recursive: true, force: true });
  expect(await faults("--against", report)).toContain("report_contradicted");
});

test("the old pepper verifies its chains after a change of the pepper, and only the new one prunes", async () => {
  const [old, next] = [{ KEY_PEPPER: "one".repeat(11) }, { KEY_PEPPER: "two".repeat(11) }];
  await run(["keys", "create", "--name", "a"], old);
  await rm(join(dataDir, "proxy.sqlite"));
  await run(["keys", "create", "--name", "b"], next);
  for (const pepper of [old, next]) {
    expect((await run(["audit", "verify"], pepper)).stdout).toContain("sealed with this pepper");
  }
  expect((await run(["audit", "prune", "--before", "1d"], old)).stderr).toContain("not the pepper of this log");
  // The first chain is not one of this pepper, so it stays.
  expect((await run(["audit", "prune", "--before", "1d"], next)).stderr).toContain("it was left alone");
});
