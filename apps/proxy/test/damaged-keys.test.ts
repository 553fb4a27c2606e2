/** One damaged key record is not a key, its content is not shown, and other keys are not affected; and a file of keys that is lost. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock, launchProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createHostGuard } from "../src/admin/admission.ts";
import { createSqliteKeyStore } from "../src/adapters/sqlite/key-store.ts";
import type { ShownKey } from "../src/keys/key-view.ts";
import { administer, type AdminAnswer, type AdminCall } from "./support/administer.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, emptyUpstream, issueTestKey, testPepper } from "./support/test-proxy.ts";

vi.setConfig({ testTimeout: 60_000 });

const damage = `UPDATE keys SET record = replace(record, '"pepperId"', 'garbage "pepperId"')`;

describe("damaged records over HTTP", () => {
  const token = "an-operators-token-of-forty-characters-x";

  async function setUp() {
    const clock = createVirtualClock();
    const database = openSqlite(":memory:");
    const keyStore = createSqliteKeyStore(database, clock);
    const testProxy = createTestProxy(emptyUpstream, {
      ports: { clock, keyStore },
      config: { adminListener: { token, guard: createHostGuard([]) } },
    });
    const [damaged, good] = [await issueTestKey(keyStore, clock), await issueTestKey(keyStore, clock)];
    const administrator = await issueTestKey(keyStore, clock, { scopes: ["admin"] });
    database.exec(`${damage} WHERE id = '${damaged.record.id}'`);
    const ask = (call: AdminCall, key: string = token): Promise<AdminAnswer> =>
      administer(testProxy, key, { listener: true, headers: { host: "localhost" }, ...call });
    return { ...testProxy, damaged, good, administrator, ask };
  }

  test("the key of a damaged record is refused with 401, and other keys are accepted and listed", async () => {
    const { proxy, damaged, good, administrator, ask, events } = await setUp();
    expect((await proxy.handle(fakeRequest({ key: damaged.key }))).status).toBe(401);
    expect((await proxy.handle(fakeRequest({ key: good.key }))).status).toBe(200);
    const { keys } = (await ask({})).body as unknown as { keys: ShownKey[] };
    expect(keys.map(({ id }) => id).toSorted()).toEqual([good.record.id, administrator.record.id].toSorted());
    expect(JSON.stringify(events)).not.toContain(testPepper.id);
  });

  test("the operator cannot change a damaged record (key_damaged), but a revocation replaces it", async () => {
    const { damaged, ask } = await setUp();
    const path = `/${damaged.record.id}`;
    for (const call of [
      { method: "PATCH", path, body: { name: "n" } },
      { method: "PATCH", path, body: { disabled: true } },
      { method: "POST", path: `${path}/rotate` },
    ]) {
      const refused = await ask(call);
      expect([refused.status, refused.body.errorCode]).toEqual([409, "key_damaged"]);
      expect(refused.text).toContain(damaged.record.id);
      expect(refused.text).not.toMatch(new RegExp(`lek_|${damaged.record.secrets[0]?.digest}`));
    }
    const revoked = await ask({ method: "POST", path: `${path}/revoke` });
    expect(revoked.body).toMatchObject({ id: damaged.record.id, state: "revoked", scopes: [], secrets: [] });
    expect((await ask({ path })).body).toEqual(revoked.body);
    expect((await ask({ method: "PATCH", path, body: { name: "n" } })).body.errorCode).toBe("key_revoked");
  });

  test("an administering key gets 404 for a damaged record, because the record's tenant is unknown", async () => {
    const { damaged, administrator, ask } = await setUp();
    const path = `/${damaged.record.id}`;
    for (const call of [
      { path },
      { method: "PATCH", path, body: { disabled: true } },
      { method: "POST", path: `${path}/revoke` },
    ]) {
      expect((await ask(call, administrator.key)).body.errorCode).toBe("key_not_found");
    }
    expect((await ask({ method: "POST", path: `${path}/revoke` })).status).toBe(200);
    expect((await ask({ path }, administrator.key)).body.errorCode).toBe("key_not_found");
  });
});

describe("damaged records in a data directory", () => {
  let dataDir = "";
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "letta-proxy-"));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  interface CommandResult {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
  }
  async function run(...words: string[]): Promise<CommandResult> {
    try {
      return { code: 0, ...(await runLettaProxy([...words, "--data-dir", dataDir])) };
    } catch (error) {
      return error as CommandResult;
    }
  }
  async function createDamaged(): Promise<{ readonly id: string; readonly key: string }> {
    const key = (await run("keys", "create", "--name", "damaged")).stdout.trim();
    const database = openSqlite(join(dataDir, "proxy.sqlite"));
    database.exec(damage);
    database.close();
    return { id: key.slice(4, 16), key };
  }

  test("commands report the id of a damaged record and can revoke it, and none prints its content", async () => {
    const { id } = await createDamaged();
    const good = (await run("keys", "create", "--name", "good")).stdout.slice(4, 16);
    const warning = `letta-proxy: the stored record of the key ${id} is damaged: the key is not valid, and 'letta-proxy keys revoke ID' replaces the record\n`;
    const listed = await run("keys", "list");
    expect([listed.code, listed.stderr]).toEqual([0, warning]);
    expect(listed.stdout).toContain(good);
    expect(listed.stdout).not.toContain(id);
    expect(await run("config", "check")).toMatchObject({ code: 0, stderr: warning });
    for (const act of ["disable", "enable", "rotate"]) {
      const refused = await run("keys", act, id);
      expect([refused.code, refused.stdout]).toEqual([1, ""]);
      expect(refused.stderr).toBe(
        `letta-proxy: The stored record of the key ${id} is damaged; nothing was changed. 'letta-proxy keys revoke ID' replaces it.\n`,
      );
    }
    expect(await run("keys", "revoke", id)).toMatchObject({ code: 0, stdout: `Revoked ${id}\n`, stderr: "" });
    const [first] = JSON.parse((await run("keys", "list", "--json")).stdout) as ShownKey[];
    expect(first).toMatchObject({ id, state: "revoked" });
    expect((await run("audit", "verify")).code).toBe(0);
  });

  test("a gateway starts with a damaged record, and logs its id once", async () => {
    const { id, key } = await createDamaged();
    const proxy = await launchProxy({ dataDir });
    const good = await proxy.createKey({ scopes: ["list"] });
    const statusOf = async (bearer: string): Promise<number> =>
      (await fetch(`${proxy.url}/v1/environments`, { headers: { authorization: `Bearer ${bearer}` } })).status;
    expect([await statusOf(key), await statusOf(good), await statusOf(key)]).toEqual([401, 200, 401]);
    await proxy.process.stop();
    const output = proxy.process.output();
    expect(output.match(/"event":"key_record_damaged"/g)).toHaveLength(1);
    expect(output).toContain(`{"event":"key_record_damaged","keyId":"${id}"`);
    expect(output).not.toMatch(/digest|SyntaxError|garbage/);
  });

  test("a missing pepper is not created if the only record is damaged", async () => {
    await createDamaged();
    await rm(join(dataDir, "pepper"));
    expect((await run("keys", "create", "--name", "n")).stderr).toContain("pepper is missing");
    expect(await readdir(dataDir)).not.toContain("pepper");
  });

  test("a start without keys warns if the audit log names keys, until a key exists; a new gateway without keys does not warn", async () => {
    const start = async (createsKey = false): Promise<string> => {
      const proxy = await launchProxy({ dataDir });
      if (createsKey) await proxy.createKey({ scopes: ["list"] });
      await proxy.process.stop();
      return proxy.process.output();
    };
    for (const createsKey of [false, true, false]) expect(await start(createsKey)).not.toContain("keys_missing");
    await rm(join(dataDir, "proxy.sqlite"));
    expect(await start()).toContain('{"event":"keys_missing","level":"warn"');
    expect(await start(true)).toContain("keys_missing");
    expect(await start()).not.toContain("keys_missing");
  });
});
