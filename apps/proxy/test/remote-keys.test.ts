/** `letta-proxy keys ... --url`: keys of a gateway elsewhere, by its administration. */
import { createFakeUpstream, type LaunchedProxy, launchProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";

// Each test starts several processes, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let proxy: LaunchedProxy;
let adminKey: string;

beforeAll(async () => {
  proxy = await launchProxy();
  adminKey = await proxy.createKey({ scopes: ["admin"] });
}, 60_000);
afterAll(() => proxy?.stop());

function keys(...words: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return runLettaProxy(["keys", ...words, "--url", proxy.url], { ADMIN_TOKEN: adminKey });
}

function statusOf(key: string): Promise<number> {
  return fetch(`${proxy.url}/v1/environments`, { headers: { authorization: `Bearer ${key}` } }).then(
    ({ status }) => status,
  );
}

test("the commands create, list, disable, enable, rotate, update, show and revoke a key at a remote gateway", async () => {
  const key = (await keys("create", "--name", "far", "--scope", "list")).stdout.trim();
  const id = key.split("_")[1] ?? "";
  expect(await statusOf(key)).toBe(200);
  expect((await keys("list")).stdout).toMatch(new RegExp(`${id} +far +default +list .* active`));
  expect((await keys("disable", id)).stdout).toBe(`Disabled ${id}\n`);
  expect(await statusOf(key)).toBe(401);
  await keys("enable", id);
  const rotated = (await keys("rotate", id, "--overlap", "0s")).stdout.trim();
  expect([await statusOf(key), await statusOf(rotated)]).toEqual([401, 200]);
  const update = ["update", id, "--name", "near", "--device-name", "lab-*", "--expires", "2w"];
  expect(await keys(...update)).toEqual({ stdout: `Updated ${id}\n`, stderr: "" });
  expect((await keys("show", id)).stdout).toContain("only those with a name like lab-*\n");
  expect(JSON.parse((await keys("show", id, "--json")).stdout)).toMatchObject({ id, connectionNames: ["lab-*"] });
  await keys("update", id, "--clear", "device-name", "--name", "far");
  await keys("revoke", id);
  expect(await statusOf(rotated)).toBe(401);
  const listed = JSON.parse((await keys("list", "--json")).stdout) as readonly Record<string, unknown>[];
  expect(listed.find((one) => one["id"] === id)).toMatchObject({
    name: "far",
    state: "revoked",
    connectionNames: null,
  });
});

test("a refusal of a remote gateway names the rule, and contains no token and no key", async () => {
  const wrong = "lek_wrong-token-of-somebody";
  const failed = runLettaProxy(["keys", "list", "--url", proxy.url], { ADMIN_TOKEN: wrong });
  await expect(failed).rejects.toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(
      /^letta-proxy: the gateway responded with 401: it does not accept ADMIN_TOKEN: [^[{]* \(authorization must [^[{]*\)\n$/,
    ),
  });
  await expect(failed).rejects.not.toMatchObject({ stderr: expect.stringContaining(wrong) });
  await expect(keys("show", "unknown")).rejects.toMatchObject({
    stderr: expect.stringContaining("responded with 404"),
  });
  const tenant = keys("create", "--name", "x", "--tenant", "another");
  await expect(tenant).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("administering key") });
});

test("a refusal whose message repeats the broken rule has it once", async () => {
  const errors = [{ member: "name", rule: "must be short" }];
  const strange = await createFakeUpstream((_request, response) => {
    response.writeHead(400, { "content-type": "application/problem+json" });
    response.end(JSON.stringify({ message: "name must be short.", errors }));
  });
  onTestFinished(() => strange.close());
  await expect(runLettaProxy(["keys", "list", "--url", strange.url], { ADMIN_TOKEN: adminKey })).rejects.toMatchObject({
    stderr: "letta-proxy: the gateway responded with 400: name must be short\n",
  });
});

test("only strings from another server's error are printed, on the line of the failure", async () => {
  const errors = [{ member: "na\u001b[2Jme", rule: "must\nbe short" }, { member: 5 }, null];
  const strange = await createFakeUpstream((_request, response) => {
    response.writeHead(400, { "content-type": "application/problem+json" });
    response.end(JSON.stringify({ message: "It is wrong\nhere.", errors }));
  });
  onTestFinished(() => strange.close());
  await expect(runLettaProxy(["keys", "list", "--url", strange.url], { ADMIN_TOKEN: adminKey })).rejects.toMatchObject({
    stderr:
      String.raw`letta-proxy: the gateway responded with 400: It is wrong\u000ahere (na\u001b[2Jme must\u000abe short)` +
      "\n",
  });
});

test("no request is sent without a token, with a data directory, or with http: to another host", async () => {
  const nowhere = ["keys", "list", "--url"];
  await expect(runLettaProxy([...nowhere, proxy.url])).rejects.toMatchObject({ code: 1 });
  const env = { ADMIN_TOKEN: adminKey };
  await expect(runLettaProxy([...nowhere, proxy.url, "--data-dir", "d"], env)).rejects.toMatchObject({ code: 2 });
  await expect(runLettaProxy([...nowhere, "http://gateway.example"], env)).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--url must be https: (http: is for loopback)\n"),
  });
});

test("a remote gateway that cannot be reached is reported with its URL and the reason", async () => {
  const closed = await createFakeUpstream(() => undefined);
  await closed.close();
  await expect(runLettaProxy(["keys", "list", "--url", closed.url], { ADMIN_TOKEN: adminKey })).rejects.toMatchObject({
    code: 1,
    stderr: `letta-proxy: the gateway at ${closed.url} did not respond (ECONNREFUSED)\n`,
  });
});
