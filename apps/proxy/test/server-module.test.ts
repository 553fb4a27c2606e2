/** The module for programs that contain the gateway: what it adds to the parts that `letta-proxy start` has too. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { getRequestListener } from "@hono/node-server";
import { openSqlite } from "@letta-environments/platform/node";
import { connectScriptedDevice, launchDevice } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { readRunningGateway } from "../src/adapters/node/data-dir-lock.ts";
import { type GatewayServer, openGateway, type ServerOptions } from "../src/runtimes/server.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-server-module-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Opens a gateway that is closed at the end of the test. Its log is returned line by line. */
async function open(options: ServerOptions): Promise<{ readonly gateway: GatewayServer; readonly log: string[] }> {
  const log: string[] = [];
  const gateway = await openGateway({ log: (line) => void log.push(line), ...options });
  onTestFinished(() => gateway.close());
  return { gateway, log };
}

/** An HTTP server whose gateway is below `/letta`. */
async function openMounted(): Promise<{
  readonly gateway: GatewayServer;
  readonly url: string;
  readonly port: number;
  readonly server: Server;
  readonly log: readonly string[];
}> {
  // The gateway of the next test has the same copy of node-server, which must not find other globals; a bundle has its own copy.
  const options = { overrideGlobalObjects: false };
  const listener = getRequestListener((request) => gateway.fetch(request), options);
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const { gateway, log } = await open({
    environment: { DATA_DIR: join(folder, `mounted-${port}`), PUBLIC_URL: `${url}/letta` },
    mountPath: "/letta",
  });
  gateway.serveSockets(server);
  return { gateway, url, port, server, log };
}

/** Sends an upgrade and resolves with the head of the response. */
async function upgrade(port: number, path: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(
    `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  const [data] = (await once(socket, "data")) as [Buffer];
  return `${data.toString("latin1").split("\r\n\r\n")[0] ?? ""}\r\n`;
}

test("commands find a gateway inside another program by its public URL, once its server handles upgrades", async () => {
  const { url, port } = await openMounted();
  expect(readRunningGateway(join(folder, `mounted-${port}`))).toEqual({ url: `${url}/letta`, console: "off" });
});

test("a real device connects below the path of the program, and receives a message that the program passes on", async () => {
  const { gateway, url } = await openMounted();
  const apiKey = await gateway.createKey({ name: "devices", scopes: ["connect"] });
  const deviceId = "88fd30f6-6337-4c38-b858-2f1581703994";
  const device = await launchDevice({ baseUrl: `${url}/letta`, apiKey, deviceId, connectionName: "laptop" });
  onTestFinished(() => device.stop());
  await device.process.waitForOutput(/Connected\. Awaiting instructions\./, 60_000);
  const caller = await gateway.createKey({ name: "caller", scopes: ["read", "send"] });
  const headers = { authorization: `Bearer ${caller}`, "content-type": "application/json" };
  const found = await fetch(`${url}/letta/v1/environments/${deviceId}`, { headers });
  const { connectionId } = (await found.json()) as { readonly connectionId: string };
  const message = { role: "user", content: "ping", client_message_id: "message-1" };
  const body = JSON.stringify({ agentId: "agent-local-demo", messages: [message] });
  const sent = await fetch(`${url}/letta/v1/environments/${connectionId}/messages`, { method: "POST", headers, body });
  expect([sent.status, await sent.text()]).toEqual([200, expect.stringContaining('"success":true')]);
  await device.process.waitForOutput(/pong/, 60_000);
}, 120_000);

test("an upgrade without a key below the path is refused, and one at another path is 404 if no other listener responds", async () => {
  const { port } = await openMounted();
  expect(await upgrade(port, "/letta/v1/environments/conn-1/ws")).toMatch(/^HTTP\/1\.1 40[14] /);
  expect(await upgrade(port, "/other")).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
});

test("each of two gateways on one server serves upgrades below its path, and an upgrade at another path is 404 if no other listener responds", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  for (const name of ["one", "two"]) {
    const environment = { DATA_DIR: join(folder, `${name}-${port}`), PUBLIC_URL: `http://127.0.0.1:${port}/${name}` };
    const { gateway } = await open({ environment, mountPath: `/${name}` });
    gateway.serveSockets(server);
  }
  for (const name of ["one", "two"]) {
    expect(await upgrade(port, `/${name}/v1/environments/conn-1/socket`)).toMatch(/^HTTP\/1\.1 401 /);
  }
  expect(await upgrade(port, "/other")).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
  server.on("upgrade", ({ url }, socket) => void (url === "/other" && socket.end("HTTP/1.1 418 Teapot\r\n\r\n")));
  expect(await upgrade(port, "/other")).toMatch(/^HTTP\/1\.1 418 /);
});

test("an upgrade below the path of a closed gateway is 503 with Retry-After, and does not count as a failure in the log", async () => {
  const { gateway, port, log } = await openMounted();
  await gateway.close();
  const answer = await upgrade(port, "/letta/v1/environments/conn-1/ws");
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(answer.toLowerCase()).toContain("\r\nretry-after: 1\r\n");
  expect(log.filter((line) => line.includes("internal_error"))).toEqual([]);
  expect(await upgrade(port, "/other")).toMatch(/^HTTP\/1\.1 404 /);
});

test("a gateway that is closed and opened again serves the sockets of the same server, with the same listener", async () => {
  const { gateway, url, port, server } = await openMounted();
  await gateway.close();
  const environment = { DATA_DIR: join(folder, `mounted-${port}`), PUBLIC_URL: `${url}/letta` };
  const again = await open({ environment, mountPath: "/letta" });
  again.gateway.serveSockets(server);
  expect(await upgrade(port, "/letta/v1/environments/conn-1/socket")).toMatch(/^HTTP\/1\.1 401 /);
  expect(server.listenerCount("upgrade")).toBe(1);
});

test("a gateway at the root leaves an upgrade outside /v1/ to the other listeners, and one below the path of another gateway to that", async () => {
  const { port, server } = await openMounted();
  const { gateway, log } = await open({ environment: { DATA_DIR: join(folder, `root-${port}`) } });
  gateway.serveSockets(server);
  expect(await upgrade(port, "/chat")).toMatch(/^HTTP\/1\.1 404 /);
  server.on("upgrade", ({ url }, socket) => void (url === "/chat" && socket.end("HTTP/1.1 418 Teapot\r\n\r\n")));
  expect(await upgrade(port, "/chat")).toMatch(/^HTTP\/1\.1 418 /);
  expect(await upgrade(port, "/letta/v1/environments/conn-1/socket")).toMatch(/^HTTP\/1\.1 401 /);
  expect(log.filter((line) => line.includes('"event":"request"'))).toEqual([]);
  expect(await upgrade(port, "/v1/environments/conn-1/socket")).toMatch(/^HTTP\/1\.1 401 /);
  expect(log.filter((line) => line.includes('"event":"request"'))).toHaveLength(1);
});

test("listeners after the gateway see the original URL of an upgrade", async () => {
  const { port, server } = await openMounted();
  const seen: unknown[] = [];
  server.on("upgrade", ({ url }) => void seen.push(url));
  await upgrade(port, "/letta/v1/environments/conn-1/socket");
  expect(seen).toEqual(["/letta/v1/environments/conn-1/socket"]);
});

test("a port in use is an error that names the program's setting, and the gateway listens once the port is free", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const environment = { DATA_DIR: join(folder, "taken"), PORT: String(port) };
  const { gateway } = await open({ environment });
  await expect(gateway.listen()).rejects.toThrow(/is taken; choose another one with PORT$/);
  other.close();
  await once(other, "close");
  expect(await gateway.listen()).toBe(`http://127.0.0.1:${port}`);
});

test("a gateway whose credential file is missing is not opened, and everything that it had opened is closed", async () => {
  const environment = { DATA_DIR: join(folder, "no-credential"), UPSTREAM_URL: "https://upstream.example" };
  const config = { tenants: { acme: { upstream: { credentialFile: join(folder, "no-such-file") } } } };
  const log: string[] = [];
  const options = { environment, config, log: (line: string) => void log.push(line) };
  await expect(openGateway(options)).rejects.toThrow(/no-such-file/);
  // The last event before the files are closed.
  expect(log.at(-1)).toContain('"event":"audit_end"');
  const exitListeners = process.listenerCount("exit");
  await expect(openGateway({ environment, config })).rejects.toThrow(/no-such-file/);
  expect(process.listenerCount("exit")).toBe(exitListeners);
});

test("a gateway below a path does not listen, because its listener would serve the root", async () => {
  const { gateway } = await openMounted();
  await expect(gateway.listen()).rejects.toThrow(/^listen\(\) .* without mountPath/);
});

test("gateways that log to standard output share one exit listener of the process", async () => {
  const before = process.listenerCount("exit");
  const environment = (name: string) => ({ DATA_DIR: join(folder, name), LOG_LEVEL: "error" });
  const gateways = [await openGateway({ environment: environment("first") })];
  gateways.push(await openGateway({ environment: environment("second") }));
  expect(process.listenerCount("exit")).toBe(before + 1);
  await Promise.all(gateways.map((gateway) => gateway.close()));
  expect(process.listenerCount("exit")).toBe(before);
});

test("the listener serves requests and devices, and closing it disconnects them and frees the data directory", async () => {
  const environment = { DATA_DIR: join(folder, "listener"), PORT: "0" };
  const { gateway, log } = await open({ environment });
  const url = await gateway.listen();
  expect(await gateway.listen()).toBe(url);
  const apiKey = await gateway.createKey({ name: "devices", scopes: ["connect"] });
  const device = await connectScriptedDevice({ baseUrl: url, apiKey, deviceId: "d-1", connectionName: "laptop" });
  onTestFinished(() => device.terminate());
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  await gateway.close();
  expect(await device.closed).toBe(1001);
  expect((await gateway.fetch(new Request(`${url}/livez`))).status).toBe(503);
  await expect(gateway.listen()).rejects.toThrow("the gateway is closed");
  await expect(gateway.createKey({ name: "late" })).rejects.toThrow("the gateway is closed");
  expect(() => gateway.serveSockets(createServer())).toThrow("the gateway is closed");
  await expect(fetch(`${url}/livez`)).rejects.toThrow("fetch failed");
  expect(log.map((line) => (JSON.parse(line) as { readonly event: string }).event)).toContain("audit_end");

  // The key, the device and the audit log are still there.
  const again = await open({ environment });
  const key = await again.gateway.createKey({ name: "caller", scopes: ["list"] });
  const response = await again.gateway.fetch(
    new Request("http://gateway.example/v1/environments", { headers: { authorization: `Bearer ${key}` } }),
  );
  expect(await response.text()).toContain('"connectionName":"laptop"');
});

test("closing completes even if a request body never arrives, which then counts as a client disconnect", async () => {
  const program = `
    import { openGateway } from ${JSON.stringify(new URL("../src/runtimes/server.ts", import.meta.url))};
    const environment = { DATA_DIR: ${JSON.stringify(join(folder, "unfinished"))} };
    const gateway = await openGateway({ environment, log: () => undefined });
    const authorization = "Bearer " + (await gateway.createKey({ name: "c", scopes: ["send"] }));
    const body = new ReadableStream({ start: (source) => source.enqueue(new TextEncoder().encode("{")) });
    const init = { method: "POST", headers: { authorization, "content-type": "application/json" }, body, duplex: "half" };
    const response = gateway.fetch(new Request("http://gateway.example/v1/environments/conn-1/messages", init));
    await gateway.close();
    console.log((await response).status);
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program]);
  expect(stdout).toBe("499\n");
}, 60_000);

test("a data directory in use, or one that cannot be opened, is an error that names it, and can be opened later", async () => {
  const environment = { DATA_DIR: join(folder, "in-use") };
  const { gateway } = await open({ environment });
  await expect(openGateway({ environment })).rejects.toThrow(/in-use: stop it, .* with DATA_DIR$/);
  const file = join(folder, "file");
  await writeFile(file, "");
  await expect(openGateway({ environment: { DATA_DIR: file } })).rejects.toThrow(`DATA_DIR ${file}: this is a file`);
  await gateway.close();

  const pepper = join(folder, "in-use", "pepper");
  await rm(pepper);
  await gateway.close();
  await writeFile(pepper, "short");
  await expect(openGateway({ environment })).rejects.toThrow(/pepper/);
  await rm(pepper);
  // The failed attempt has given the lock back.
  const reopened = await openGateway({ environment, log: () => undefined });
  await reopened.close();
});

test("a key file that SQLite cannot read is an error that names it", async () => {
  const environment = { DATA_DIR: join(folder, "damaged") };
  const { gateway } = await open({ environment });
  await gateway.createKey({ name: "k", scopes: ["list"] });
  await gateway.close();
  const path = join(folder, "damaged", "proxy.sqlite");
  const database = openSqlite(path);
  const [{ rootpage = 0 } = {}] = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'keys'").all();
  database.close();
  const page = 4_096 * (Number(rootpage) - 1);
  await writeFile(path, (await readFile(path)).fill(255, page, page + 4_096));
  await expect(open({ environment })).rejects.toThrow(`${path} cannot be used: database disk image is malformed`);
});

const refused: readonly (readonly [ServerOptions, string | RegExp])[] = [
  [{ environment: { PORT: "x" } }, "PORT must be an integer from 0 to 65535"],
  [{ mountPath: "letta/" }, "mountPath must be a path without a trailing slash, such as /letta"],
  [{ mountPath: "/letta" }, /^PUBLIC_URL must .* with the path \/letta/],
  [{ config: { admin: { port: 1 } } }, /^admin\.port needs a separate listener/],
  [
    { config: { console: { enabled: true } }, mountPath: "/a", environment: { PUBLIC_URL: "https://x.example/a" } },
    /^console\.enabled /,
  ],
];

test.each(refused)(
  "the options %j are refused with the rule that they break, and nothing is opened",
  async (options, rule) => {
    await expect(
      openGateway({ ...options, environment: { DATA_DIR: join(folder, "never"), ...options.environment } }),
    ).rejects.toThrow(rule);
    await expect(rm(join(folder, "never"))).rejects.toThrow("ENOENT");
  },
);

test("a key that breaks a rule is refused with the name of the member", async () => {
  const { gateway } = await open({ environment: { DATA_DIR: join(folder, "keys") } });
  await expect(gateway.createKey({ name: "" })).rejects.toThrow(/^name must be 1 to 128 characters/);
  await expect(gateway.createKey({ name: "x", scopes: [] })).rejects.toThrow("scopes must not be empty");
});
