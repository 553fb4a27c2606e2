/** `letta-proxy explain` as an operator runs it: against the data directory, and against a running gateway. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProxy, type LaunchedProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

vi.setConfig({ testTimeout: 60_000 });

let folder = "";
let proxy: LaunchedProxy;
let keyId = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-proxy-explain-"));
  proxy = await launchProxy();
  keyId = (await proxy.createKey({ scopes: ["read"] })).slice(4, 16);
}, 60_000);

afterAll(async () => {
  await proxy.stop();
  await rm(folder, { recursive: true });
});

async function explain(
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  try {
    return { code: 0, ...(await runLettaProxy(["explain", ...words], env)) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

test("explain without --url decides from stored data, and says what only the running gateway knows", async () => {
  const stored = ["--data-dir", proxy.dataDir];
  const refused = await explain([keyId, "GET", "/v1/environments", ...stored]);
  expect(refused).toMatchObject({ code: 0, stderr: "" });
  expect(refused.stdout).toContain("[-] authorise the endpoint: insufficient_scope");
  expect(refused.stdout).toContain("The response would be 403 insufficient_scope. Nothing was sent.");
  const handedOn = await explain([keyId, "get", "/v1/environments/d-1", ...stored]);
  expect(handedOn.stdout).toContain("only the running gateway knows; ask it with --url");
  expect(handedOn.stdout).toContain(
    "[?] apply the rate limits (unknown): what remains of gateway-requests is not known; ask the running gateway with --url",
  );
  expect(handedOn.stdout).not.toMatch(/\bleft\b/);
  const messagesOf = await explain([keyId, "GET", "/v1/environments/c-1/messages", ...stored]);
  expect(messagesOf.stdout).toContain("[?] read the devices (unknown): only the running gateway knows");
  const connectKey = await proxy.createKey({ scopes: ["connect"] });
  const registered = await fetch(`${proxy.url}/v1/environments/register`, {
    ...{ method: "POST", headers: { authorization: `Bearer ${connectKey}`, "content-type": "application/json" } },
    body: JSON.stringify({ deviceId: "d-2", connectionName: "d-2" }),
  });
  const { connectionId } = (await registered.json()) as { connectionId: string };
  const sender = (await proxy.createKey({ scopes: ["send", "view"] })).slice(4, 16);
  const body = join(folder, "hello.json");
  const messages = [{ role: "user", content: "hello", client_message_id: "m-1" }];
  await writeFile(body, JSON.stringify({ agentId: "agent-1", messages }));
  for (const [method, path, ...more] of [
    ["POST", "messages", "--body", body],
    ["GET", "status/ws"],
  ] as const) {
    const words = [sender, method, `/v1/environments/${connectionId}/${path}`, ...more];
    const found = await explain([...words, ...stored]);
    expect(found.stdout).toContain("[+] find the device: device d-2");
    expect(found.stdout).toContain("[?] reach the device (unknown): only the running gateway knows");
  }
  const json = await explain([keyId, "GET", "/v1/environments/d-1", "--json", ...stored]);
  expect(JSON.parse(json.stdout)).toMatchObject({ limits: [] });
});

test("explain with --url asks the running gateway, with a key of scope admin", async () => {
  const admin = await proxy.createKey({ scopes: ["admin"] });
  const url = ["--url", proxy.url, "--json"];
  const { stdout } = await explain([keyId, "GET", "/v1/environments/d-1", ...url], { ADMIN_TOKEN: admin });
  expect(JSON.parse(stdout)).toMatchObject({ keyId, verdict: { status: 404, errorCode: "environment_not_found" } });
  const caller = await proxy.createKey({ scopes: ["read"] });
  expect(await explain([keyId, "GET", "/v1/environments", ...url], { ADMIN_TOKEN: caller })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("403"),
  });
});

test("the claims of a token are explained against the configuration, without a token", async () => {
  const [claims, config] = [join(folder, "claims.json"), join(folder, "proxy.config.json")];
  const issuer = { issuer: "https://issuer.example", audience: "gateway", jwksUrl: "https://issuer.example/jwks" };
  await writeFile(config, JSON.stringify({ auth: { jwt: { ...issuer, tenant: "default" } } }));
  await writeFile(claims, JSON.stringify({ sub: "alice", scope: "read" }));
  const stored = ["--data-dir", proxy.dataDir, "--config", config];
  const explained = await explain(["--token-claims", claims, "GET", "/v1/environments", ...stored]);
  expect(explained).toMatchObject({ code: 0, stderr: "" });
  expect(explained.stdout).toContain("[?] verify the token (unknown): a real token needs a valid signature");
  expect(explained.stdout).toContain("The response would be 403 insufficient_scope. Nothing was sent.");
  const without = await explain(["--token-claims", claims, "GET", "/v1/environments", "--data-dir", proxy.dataDir]);
  expect(without.stdout).toContain("token_not_accepted");
});

test("restrictions in shadow mode are explained as the running gateway decides them", async () => {
  const limited = (await proxy.createKey({ scopes: ["send"], more: ["--agent", "agent-2"] })).slice(4, 16);
  const [body, config] = [join(folder, "message.json"), join(folder, "shadow.config.json")];
  const messages = [{ role: "user", content: "hello", client_message_id: "m-1" }];
  // With a byte order mark, as editors on Windows write it.
  await writeFile(body, `\ufeff${JSON.stringify({ agentId: "agent-1", messages })}`);
  await writeFile(config, JSON.stringify({ shadow: { keyIds: [limited], rules: ["agents"] } }));
  const words = [limited, "POST", "/v1/environments/c-1/messages", "--body", body, "--data-dir", proxy.dataDir];
  expect((await explain(words)).stdout).toContain("[-] authorise the input: agent_not_allowed");
  const shadowed = await explain([...words, "--config", config]);
  expect(shadowed).toMatchObject({ code: 0, stderr: "" });
  expect(shadowed.stdout).toContain("only because of shadow mode, which does not enforce agent_not_allowed");
});

test("a failure of explain is one line that names the argument, the file or its line, and prints nothing else", async () => {
  const [bad, latin1] = [join(folder, "bad.json"), join(folder, "latin1.json")];
  await writeFile(bad, '{\n  "agentId": \n}');
  await writeFile(latin1, '{"agentId": "caf\u00e9"}', "latin1");
  const stored = ["--data-dir", proxy.dataDir];
  const cases: readonly (readonly [words: readonly string[], code: number, text: string])[] = [
    [["unknownKeyId", "GET", "/v1/environments"], 1, "there is no key with this id"],
    [[keyId, "GET"], 2, "PATH is missing"],
    [["--token-claims", bad, "GET", "/v1/environments"], 1, "line 3"],
    [["--token-claims", bad, keyId, "GET", "/v1/environments"], 2, "replaces KEY-ID"],
    [[keyId, "FETCH", "/v1/environments"], 2, "METHOD must be one of"],
    [[keyId, "GET", "/admin/v1/keys"], 2, "PATH must be a path of the API"],
    [[keyId, "POST", "/v1/environments/c/messages", "--body", bad], 1, "line 3"],
    [[keyId, "POST", "/v1/environments/c/messages", "--body", latin1], 1, "is not UTF-8"],
    [[keyId, "POST", "/v1/environments/c/messages", "--body", join(folder, "none.json")], 1, "there is no such file"],
    [[keyId, "POST", "/v1/environments/c/messages", "--body", folder], 1, "this is a directory"],
  ];
  for (const [words, code, text] of cases) {
    const failed = await explain([...words, ...stored]);
    expect([failed.code, failed.stdout]).toEqual([code, ""]);
    expect(failed.stderr).toContain(text);
    expect(failed.stderr.trimEnd().split("\n").length).toBeLessThanOrEqual(2);
  }
});

test("a dash means standard input in --body and in --token-claims", async () => {
  const words = [keyId, "GET", "/v1/environments/d-1", "--body", "-", "--data-dir", proxy.dataDir];
  const run = runLettaProxy(["explain", ...words], {}, "{oops");
  await expect(run).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("--body - is not valid JSON") });
  const stored = ["--token-claims", "-", "GET", "/v1/environments", "--data-dir", proxy.dataDir];
  const { stdout } = await runLettaProxy(["explain", ...stored], {}, '{"sub": "alice"}');
  expect(stdout).toContain("token_not_accepted");
  const twice = runLettaProxy(["explain", ...stored, "--body", "-"], {}, "{}");
  const stderr = expect.stringContaining("only one of --token-claims and --body can be -");
  await expect(twice).rejects.toMatchObject({ code: 2, stderr });
});
