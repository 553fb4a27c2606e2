/** Callers that were admitted, and requests that began, under the settings before a reload. */
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createFakeUpstream, type FakeUpstream, type LaunchedProxy, launchProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSocket, parseResponse, readToEnd, requestHead } from "./support/raw-http.ts";
import { environmentRow } from "./support/environment-row.ts";
import { createTestIssuer, type TestIssuer } from "./support/test-issuer.ts";

let folder = "";
let upstreams: readonly [FakeUpstream, FakeUpstream];
let issuer: TestIssuer;
let keySets: Server;
let keySetUrl = "";
/** Requests for the key set that wait for their response, while {@link areKeySetsHeld}. */
let waiting: ServerResponse[];
let areKeySetsHeld = false;
let isIssuerAway = false;
let proxy: LaunchedProxy;
let reloads = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "reload-"));
  reloads = 0;
  areKeySetsHeld = false;
  isIssuerAway = false;
  waiting = [];
  issuer = await createTestIssuer();
  upstreams = [await fakeUpstream("old"), await fakeUpstream("new")];
  keySets = createServer((_request, response) => {
    if (isIssuerAway) response.writeHead(503).end();
    else if (areKeySetsHeld) waiting.push(response);
    else tellKeySet(response);
  });
  keySets.listen(0, "127.0.0.1");
  await once(keySets, "listening");
  const address = keySets.address();
  keySetUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/jwks`;
});

afterEach(async () => {
  await proxy.stop();
  keySets.close();
  await Promise.all(upstreams.map((upstream) => upstream.close()));
  rmSync(folder, { recursive: true });
});

function fakeUpstream(name: string): Promise<FakeUpstream> {
  return createFakeUpstream((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ connections: [environmentRow(name)], hasNextPage: false }));
  });
}

function tellKeySet(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ keys: [issuer.publicKey()] }));
}

interface Choice {
  readonly upstream?: 0 | 1;
  readonly issuer?: string;
  readonly passThrough?: boolean;
}

function write({ upstream = 0, issuer: name = "https://issuer.example", passThrough = false }: Choice): string {
  const file = join(folder, "proxy.config.json");
  const jwt = { issuer: name, audience: "gateway", jwksUrl: keySetUrl, claims: { tenant: "org" } };
  const config = { upstream: { url: upstreams[upstream].url }, auth: { jwt, passThrough }, tenants: { t1: {} } };
  writeFileSync(`${file}.next`, JSON.stringify(config));
  renameSync(`${file}.next`, file);
  return file;
}

async function start(choice: Choice = {}): Promise<void> {
  proxy = await launchProxy({ args: ["--config", write(choice)], env: { LETTA_API_KEY: "upstream-key" } });
}

async function reload(choice: Choice): Promise<void> {
  write(choice);
  reloads += 1;
  process.kill(proxy.process.pid, "SIGHUP");
  await proxy.process.waitForOutput(new RegExp(`("configuration_reloaded","changed":\\["[^]*){${reloads}}`));
}

async function list(credential: string): Promise<readonly [status: number, deviceId: unknown]> {
  const response = await fetch(`${proxy.url}/v1/environments?limit=1`, {
    headers: { authorization: `Bearer ${credential}` },
  });
  return [response.status, /"deviceId":"([^"]+)"/.exec(await response.text())?.[1]];
}

test("a token of a replaced issuer is refused immediately after a reload, even if it was verified before", async () => {
  await start();
  const token = await issuer.sign(Date.now());
  expect([await list(token), await list(token)]).toEqual(Array(2).fill([200, "device-old"]));
  await reload({ issuer: "https://other.example" });
  expect(await list(token)).toEqual([401, undefined]);
});

test("callers' own upstream keys are refused as soon as a reload disables pass-through, even if they were used before", async () => {
  await start({ passThrough: true });
  expect([await list("own-key"), await list("own-key")]).toEqual(Array(2).fill([200, "device-old"]));
  await reload({ passThrough: false });
  expect(await list("own-key")).toEqual([401, undefined]);
});

test("a request with a late body is refused if a reload has disabled its authentication method in the meantime", async () => {
  await start({ passThrough: true });
  const socket = await openSocket(proxy.url);
  const begunAt = performance.now();
  const body = JSON.stringify({ messages: [{ role: "user", content: "x", client_message_id: "m-1" }] });
  const headers = { authorization: "Bearer own-key", "content-length": String(body.length) };
  const asked = once(socket, "data");
  socket.write(requestHead("POST", "/v1/environments/conn-1/messages", { ...headers, expect: "100-continue" }));
  expect(String(await asked)).toContain("100 Continue");
  const response = readToEnd(socket).then(parseResponse);
  await reload({ passThrough: false });
  await expect.poll(() => performance.now() - begunAt).toBeGreaterThan(1_500);
  socket.write(body);
  expect((await response).status).toBe(401);
});

test("a read that began before a reload of the upstream finishes with the old one, and its response is not cached for the new one", async () => {
  await start();
  const token = await issuer.sign(Date.now());
  areKeySetsHeld = true;
  const begun = list(token);
  await expect.poll(() => waiting.length).toBe(1);
  areKeySetsHeld = false;
  await reload({ upstream: 1 });
  for (const response of waiting) tellKeySet(response);
  expect(await begun).toEqual([200, "device-old"]);
  expect(await list(token)).toEqual([200, "device-new"]);
});

test("a reload that does not change the token settings does not fetch the key set again", async () => {
  await start();
  const token = await issuer.sign(Date.now());
  expect(await list(token)).toEqual([200, "device-old"]);
  isIssuerAway = true;
  await reload({ upstream: 1 });
  expect(await list(token)).toEqual([200, "device-new"]);
  expect(await list(await issuer.sign(Date.now(), { claims: { sub: "user-2" } }))).toEqual([200, "device-new"]);
});
