/** The address of the gateway in `console link` and `devices invite`: that of the running gateway, wherever it listens. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import {
  launchProcess,
  type LaunchedProcess,
  launchProxy,
  type LaunchedProxy,
  runLettaProxy,
} from "@letta-environments/testkit";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type CommandResult, useCommandLine } from "./support/use-command-line.ts";

// Every test starts several processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

const session = useCommandLine();
const { run } = session;
const running: (LaunchedProxy | LaunchedProcess)[] = [];
afterEach(async () => {
  for (const launched of running.splice(0)) await launched.stop();
});

async function start(...args: readonly string[]): Promise<LaunchedProxy> {
  const proxy = await launchProxy({ dataDir: session.dataDir, args });
  running.push(proxy);
  return proxy;
}

const urlFile = (): string => join(session.dataDir, "gateway.url");

/** The addresses that both commands print. */
async function printed(env: Readonly<Record<string, string>> = {}, ...options: readonly string[]): Promise<string[]> {
  const link = await run(["console", "link", ...options], env);
  const invitation = await run(["devices", "invite", ...options], env);
  const [, browser = link.stderr] = /^(.*)\/console\/#link=/.exec(link.stdout) ?? [];
  const [, device = invitation.stderr] = /^LETTA_BASE_URL='?([^\s']+)'? /.exec(invitation.stdout) ?? [];
  return [browser, device];
}

/** The file that a running gateway without the console writes. */
const fileOf = (url: string): string => `${url}\nconsole: off\n`;
const both = (url: string): string[] => [url, url];

test("both commands print the address of the running gateway, unless --gateway or a configured public URL overrides it", async () => {
  const { url } = await start("--console");
  expect(await printed()).toEqual(both(url));
  expect(await printed({ PORT: "9999", HOST: "0.0.0.0" })).toEqual(both(url));
  expect(await printed({ PUBLIC_URL: "https://gateway.example" })).toEqual(both("https://gateway.example"));
  expect(await printed({ PUBLIC_URL: "https://gateway.example" }, "--gateway", "https://other.example")).toEqual(
    both("https://other.example"),
  );
});

test("the public URL with which the gateway was started is printed in place of its address", async () => {
  await start("--console", "--public-url", "https://gateway.example/");
  expect(await printed()).toEqual(both("https://gateway.example"));
});

test.each([
  ["0.0.0.0", "127.0.0.1"],
  ["::", "[::1]"],
])("a gateway that listens on %s is printed as %s", async (host, reached) => {
  const proxy = await start("--console", "--host", host);
  expect(await printed()).toEqual(both(`http://${reached}:${new URL(proxy.url).port}`));
});

test("the address file is private, names the main listener and not the administration listener, and is removed on shutdown", async () => {
  const config = join(session.dataDir, "gateway.json");
  writeFileSync(config, JSON.stringify({ admin: { port: 0 } }));
  const proxy = await launchProxy({
    dataDir: session.dataDir,
    args: ["--config", config],
    env: { ADMIN_TOKEN: "t".repeat(40) },
  });
  running.push(proxy);
  expect(readFileSync(urlFile(), "utf8")).toBe(fileOf(proxy.url));
  expect(statSync(urlFile()).mode & 0o777).toBe(0o600);
  expect(await proxy.process.stop("SIGTERM")).toEqual({ code: 0, signal: null });
  expect(existsSync(urlFile())).toBe(false);
  expect(await printed()).toEqual(both("http://127.0.0.1:8787"));
});

test("the address that a killed gateway left behind is not used, and the next one replaces it", async () => {
  const killed = await start();
  await killed.process.stop("SIGKILL");
  expect(readFileSync(urlFile(), "utf8")).toBe(fileOf(killed.url));
  expect(await printed({ PORT: "9999" })).toEqual(both("http://127.0.0.1:9999"));
  const next = await start("--console");
  expect(await printed()).toEqual(both(next.url));
});

test("neither a gateway that cannot listen nor one with a remote upstream writes its address to the data directory", async () => {
  const { url } = await start("--console");
  const other = join(session.dataDir, "other");
  const port = new URL(url).port;
  const taken = runLettaProxy(["start", "--log", "json", "--port", port, "--data-dir", other]);
  await expect(taken).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("is taken") });
  expect(existsSync(join(other, "gateway.url"))).toBe(false);
  const remote = launchProcess({
    command: process.execPath,
    args: [
      process.env["LETTA_PROXY_ENTRY"] ?? join(import.meta.dirname, "../src/runtimes/node.ts"),
      ...["start", "--port", "0", "--log", "json", "--data-dir", session.dataDir],
    ],
    env: { UPSTREAM_URL: "http://127.0.0.1:9" },
  });
  running.push(remote);
  await remote.waitForOutput(/"event":"listening"/);
  expect(readFileSync(urlFile(), "utf8")).toContain(`${url}\n`);
  expect(await remote.stop("SIGTERM")).toEqual({ code: 0, signal: null });
  expect(await printed()).toEqual(both(url));
});

test("console link explains how to enable the console if the running gateway does not serve it, and creates no key", async () => {
  await start();
  expect(await run(["console", "link"])).toMatchObject({
    code: 1,
    stdout: "",
    stderr: "letta-proxy: the web console is off: start the gateway with --console\n",
  });
  expect((await run(["keys", "list", "--json"])).stdout).not.toContain("console");
  expect(await run(["console", "link", "--gateway", "https://other.example"])).toMatchObject({ code: 0 });
});

describe("devices invite --url", () => {
  const operator = "t".repeat(40);
  const invite = async (token: string, ...words: readonly string[]): Promise<CommandResult> => {
    try {
      return { code: 0, ...(await runLettaProxy(["devices", "invite", ...words], { ADMIN_TOKEN: token })) };
    } catch (error) {
      return error as CommandResult;
    }
  };

  test("devices invite --url refuses the administration listener, which devices cannot reach, unless --gateway names another address", async () => {
    const config = join(session.dataDir, "gateway.json");
    writeFileSync(config, JSON.stringify({ admin: { port: 0 } }));
    const proxy = await launchProxy({
      dataDir: session.dataDir,
      args: ["--config", config],
      env: { ADMIN_TOKEN: operator },
    });
    running.push(proxy);
    const [, admin = ""] = await proxy.process.waitForOutput(/"event":"admin_listening","url":"([^"]+)"/);
    const stderr = expect.stringContaining("pass --gateway with the address that devices connect to");
    expect(await invite(operator, "--url", admin)).toMatchObject({ code: 1, stdout: "", stderr });
    expect((await run(["keys", "list", "--json"])).stdout).not.toContain("invitation");
    const printedCommand = await invite(operator, "--url", admin, "--gateway", proxy.url);
    expect(printedCommand.stdout).toContain(`LETTA_BASE_URL=${proxy.url} `);
  });

  test("devices invite --url refuses a gateway with a remote upstream, because no device can connect to it, and creates no key", async () => {
    const proxy = await launchProxy({ dataDir: session.dataDir, env: { UPSTREAM_URL: "http://127.0.0.1:9" } });
    running.push(proxy);
    const administrator = await proxy.createKey({ scopes: ["admin"] });
    const stderr = expect.stringContaining("devices of a remote environment server");
    expect(await invite(administrator, "--url", proxy.url)).toMatchObject({ code: 1, stdout: "", stderr });
    expect((await run(["keys", "list", "--json"])).stdout).not.toContain("invitation");
  });
});
