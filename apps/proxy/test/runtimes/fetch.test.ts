/** The built fetch handler, as the examples pass it to hosts. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import {
  canLaunchValkey,
  createFakeUpstream,
  type FakeUpstream,
  launchProcess,
  launchValkey,
} from "@letta-environments/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { createFetchHandler, FetchContext, FetchHandler } from "../../src/runtimes/fetch.ts";
import { environmentRow } from "../support/environment-row.ts";
import { builtArtefact } from "./built-artefact.ts";
import { runBuilt } from "./run-built.ts";
import { runtimeProgram } from "./runtime-commands.ts";

interface BuiltModule {
  readonly createFetchHandler: typeof createFetchHandler;
}

const pepper = "a pepper that all of them are given";
let folder = "";
let upstream: FakeUpstream;
let built: BuiltModule;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "letta-proxy-fetch-"));
  copyFileSync(builtArtefact("fetch.js"), join(folder, "fetch.js"));
  built = (await import(pathToFileURL(join(folder, "fetch.js")).href)) as BuiltModule;
  upstream = await createFakeUpstream((_request, response) => {
    const body = JSON.stringify({ connections: [environmentRow("1")], hasNextPage: false });
    response.writeHead(200, { "content-type": "application/json" }).end(body);
  });
});
afterAll(async () => {
  await upstream.close();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(() => vi.unstubAllEnvs());

const get = (path: string, headers: Record<string, string> = {}): Request =>
  new Request(`https://gateway.example${path}`, { headers });

async function codeOf(answer: Response | Promise<Response>): Promise<unknown> {
  const response = await answer;
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("cache-control")).toBe("private, no-store");
  return ((await response.json()) as Record<string, unknown>)["errorCode"];
}

test("a handler with an unavailable store is live but not ready, and a handler without settings is refused with the names of the missing ones", async () => {
  const environment = { UPSTREAM_URL: upstream.url, VALKEY_URL: "valkey://127.0.0.1:1", KEY_PEPPER: pepper };
  const handler = built.createFetchHandler({ environment });
  const alive = await handler(get("/livez", { "x-request-id": "mine-1" }));
  expect([alive.status, alive.headers.get("x-request-id"), await alive.json()]).toEqual([
    200,
    "mine-1",
    { status: "alive" },
  ]);
  expect((await handler(get("/readyz"))).status).toBe(503);
  expect(() => built.createFetchHandler({})).toThrow("UPSTREAM_URL is required");
  expect(() => withoutStores({ admin: { port: 1 } })).toThrow("admin.port needs a separate listener");
});

/** Callers bring their own key of the upstream: nothing is stored. */
function withoutStores(config: object = {}): FetchHandler {
  const environment = { UPSTREAM_URL: upstream.url };
  return built.createFetchHandler({ environment, config: { auth: { passThrough: true }, ...config } });
}

test("importing the fetch handler starts no timer, uses no randomness and fetches nothing", () => {
  const traps = pathToFileURL(join(import.meta.dirname, "global-scope-guard.mjs")).href;
  const options = { cwd: folder, encoding: "utf8" } as const;
  const text = `import ${JSON.stringify(traps)}; console.log(Object.keys(await import("./fetch.js")).join())`;
  const words = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", text];
  expect(execFileSync(process.execPath, words, options)).toBe("createFetchHandler\n");
});

describe("a fetch handler without stores", () => {
  test("health checks of the fetch handler need no key, and all other requests do", async () => {
    const handle = withoutStores();
    expect((await handle(get("/livez"))).status).toBe(200);
    expect(await codeOf(handle(get("/v1/environments")))).toBe("missing_key");
    expect(await codeOf(handle(get("/v1/nothing")))).toBe("endpoint_not_found");
    expect(await codeOf(handle(get("/v1/environments/%2fx", { authorization: "Bearer sk-1" })))).toBe("invalid_id");
    expect(await codeOf(handle(get("/admin/v1/keys", { authorization: "Bearer sk-1" })))).toBe("endpoint_not_found");
  });

  test("a caller's own key is forwarded, and rate limits use the client address from the host", async () => {
    const policies = { failures: { per: ["address"], limit: 2, windowMs: 600_000, routes: ["failedAuthentication"] } };
    const handle = withoutStores({ rateLimits: { policies } });
    const answer = await handle(get("/v1/environments", { authorization: "Bearer sk-own" }));
    expect(answer.status).toBe(200);
    expect(upstream.seen.at(-1)?.headers.authorization).toBe("Bearer sk-own");
    const statusFrom = async (clientAddress: string): Promise<number> =>
      (await handle(get("/v1/environments"), { clientAddress })).status;
    const statuses = [];
    for (let count = 0; count < 3; count++) statuses.push(await statusFrom("192.0.2.1"));
    expect([...statuses, await statusFrom("192.0.2.2")]).toEqual([401, 401, 429, 401]);
  });

  test.each([[null], [5], [{ clientAddress: { hostname: "192.0.2.1" } }]])(
    "an unexpected context, %j, means an unknown client address and causes no failure",
    async (context) => {
      const answer = withoutStores()(get("/v1/environments"), context as unknown as FetchContext);
      expect(await codeOf(answer)).toBe("missing_key");
    },
  );

  test("the pages of /docs are served from text that the host program provides, and a failed read is retried", async () => {
    expect(await codeOf(withoutStores()(get("/docs")))).toBe("endpoint_not_found");
    const texts = [
      () => Promise.reject(new Error("no file")),
      () => Promise.resolve("{}"),
      () => readFile(builtArtefact("docs-pages.json"), "utf8"),
    ];
    const environment = { UPSTREAM_URL: upstream.url };
    const config = { auth: { passThrough: true } };
    let reads = 0;
    const readDocs = (): Promise<string> => texts[reads++]?.() ?? Promise.reject(new Error("read again"));
    const handle = built.createFetchHandler({ environment, config, readDocs });
    expect(await codeOf(handle(get("/docs")))).toBe("endpoint_not_found");
    expect(await codeOf(handle(get("/docs")))).toBe("endpoint_not_found");
    for (const path of ["/docs", "/docs/problems/", "/docs/problems/overloaded"]) {
      const page = await handle(get(path));
      expect([page.status, page.headers.get("content-security-policy")]).toEqual([
        200,
        expect.stringMatching(/^default-src 'none'; .*frame-ancestors 'none'; require-trusted-types-for 'script'/),
      ]);
    }
    expect(await codeOf(handle(get("/docs/problems/nothing")))).toBe("endpoint_not_found");
    expect(reads).toBe(3);
  });

  test("settings that need a long-running process are refused by name, without their values", () => {
    const create = (environment: Record<string, string>, config: object = {}): (() => unknown) => {
      return () => built.createFetchHandler({ environment, config });
    };
    expect(create({})).toThrow("UPSTREAM_URL is required");
    const valkey = { UPSTREAM_URL: "https://upstream.example", VALKEY_URL: "valkey://:hunter2@127.0.0.1" };
    expect(create(valkey)).toThrow("KEY_PEPPER is required");
    expect(create(valkey)).not.toThrow("hunter2");
    expect(create({ ...valkey, KEY_PEPPER: "short-pepper" })).toThrow("KEY_PEPPER must have at least 32 characters");
    expect(create({ ...valkey, KEY_PEPPER: "short-pepper" })).not.toThrow("short-pepper");
    const upstreamOnly = { UPSTREAM_URL: "https://u.example" };
    expect(create(upstreamOnly, { rateLimits: { store: "sqlite" } })).toThrow("no disk");
    expect(create(upstreamOnly, { metrics: { enabled: true } })).toThrow("metrics must be absent");
    expect(create(upstreamOnly, { otlp: { endpoint: "https://o.example" } })).toThrow("otlp must be absent");
  });

  test("a gateway without any authentication method is refused, and unused OpenTelemetry variables are ignored", () => {
    const environment = { UPSTREAM_URL: "https://u.example", LETTA_API_KEY: "sk-1", KEY_PEPPER: pepper };
    expect(() => built.createFetchHandler({ environment })).toThrow(/^VALKEY_URL .*auth\.jwt.*auth\.passThrough/);
    const hosts = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector.example:4318", OTEL_EXPORTER_OTLP_HEADERS: "a=b" };
    expect(() =>
      built.createFetchHandler({ environment: { ...environment, ...hosts, VALKEY_URL: "valkey://127.0.0.1" } }),
    ).not.toThrow();
  });
});

describe.skipIf(!canLaunchValkey())(
  "a fetch handler with Valkey",
  () => {
    test("a key from the command line is valid in the fetch handler, and an outage of Valkey is 503 until it ends", async () => {
      const valkey = await launchValkey();
      const env = { VALKEY_URL: valkey.url, KEY_PEPPER: pepper };
      const { stdout } = await runBuilt("node", ["keys", "create", "--name", "f", "--scope", "list"], { folder, env });
      const authorization = { authorization: `Bearer ${stdout.trim()}` };
      const environment = { ...env, UPSTREAM_URL: upstream.url, LETTA_API_KEY: "sk-of-the-upstream" };
      const handle = built.createFetchHandler({ environment });
      expect((await handle(get("/v1/environments", authorization))).status).toBe(200);
      expect(upstream.seen.at(-1)?.headers.authorization).toBe("Bearer sk-of-the-upstream");
      expect((await handle(get("/readyz"))).status).toBe(200);
      await valkey.stop();
      await vi.waitFor(async () => expect((await handle(get("/readyz"))).status).toBe(503), {
        timeout: 10_000,
        interval: 100,
      });

      const late = built.createFetchHandler({ environment });
      expect(await codeOf(late(get("/v1/environments", authorization)))).toBe("key_store_unavailable");
      const again = await launchValkey({ port: valkey.port });
      // What the first server held is gone: the key is unknown now, and the handler has opened its store anew.
      await vi.waitFor(async () => expect((await late(get("/v1/environments", authorization))).status).toBe(401), {
        timeout: 10_000,
        interval: 100,
      });
      await again.stop();
    });

    test("a pepper that does not match the keys makes the handler unready, with the reason in the log", async () => {
      const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
      const valkey = await launchValkey();
      onTestFinished(async () => {
        written.mockRestore();
        await valkey.stop();
      });
      const env = { VALKEY_URL: valkey.url, KEY_PEPPER: pepper };
      const created = await runBuilt("node", ["keys", "create", "--name", "f", "--scope", "list"], { folder, env });
      const headers = { authorization: `Bearer ${created.stdout.trim()}` };
      const environment = { ...env, UPSTREAM_URL: upstream.url };
      const other = built.createFetchHandler({ environment: { ...environment, KEY_PEPPER: "o".repeat(32) } });
      expect((await other(get("/v1/environments", headers))).status).toBe(401);
      // No probe was needed: it is said when the store is opened.
      await vi.waitFor(() => {
        const lines = written.mock.calls.map(([text]) => String(text)).filter((line) => line.includes("KEY_PEPPER"));
        expect(lines).toEqual([
          expect.stringMatching(/"readiness_failed".*KEY_PEPPER is not the pepper of the stored/),
        ]);
      });
      const ready = await other(get("/readyz?verbose"));
      expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("[-]keys failed")]);
      expect((await built.createFetchHandler({ environment })(get("/readyz"))).status).toBe(200);
    });

    test("stores that cannot be opened are 503, log the reason once, and leave no connection open", async () => {
      const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
      const lines = (): string[] => written.mock.calls.map(([text]) => String(text));
      const forgetful = await launchValkey({ args: ["--appendonly", "no"] });
      const durable = await launchValkey();
      onTestFinished(async () => {
        written.mockRestore();
        await Promise.all([forgetful.stop(), durable.stop()]);
      });
      const environment = { UPSTREAM_URL: upstream.url, KEY_PEPPER: pepper };
      const shared = { rateLimits: { store: "valkey" }, cache: { store: "valkey" } };
      const noFile = { ...shared, tenants: { acme: { upstream: { credentialFile: join(folder, "no-such-file") } } } };
      for (const [valkey, config] of [
        [forgetful, shared],
        [durable, noFile],
      ] as const) {
        const before = lines().length;
        const handle = built.createFetchHandler({ environment: { ...environment, VALKEY_URL: valkey.url }, config });
        // Requests at the same time share one attempt.
        const paths = ["/v1/environments", "/v1/environments", "/readyz?verbose"];
        const [first, second, ready] = await Promise.all(paths.map((path) => handle(get(path))));
        for (const answer of [first, second]) {
          expect([answer?.status, answer?.headers.get("retry-after")]).toEqual([503, "1"]);
          expect(await codeOf(answer ?? Response.error())).toBe("storage_unavailable");
        }
        expect([ready?.status, await ready?.text()]).toEqual([503, expect.stringContaining("[-]stores failed")]);
        const reasons = lines()
          .slice(before)
          .filter((line) => /appendonly|no-such-file/.test(line));
        expect(reasons).toEqual([expect.stringContaining('"event":"readiness_failed"')]);
        await vi.waitFor(async () => expect(await connectionsOf(valkey.port)).toBe(1), { timeout: 10_000 });
      }
    });
  },
  60_000,
);

describe("the examples", () => {
  const examples = resolve(import.meta.dirname, "../../../../examples/fetch-hosts");

  /** Variables of their hosts. There is no Valkey at that address, so their response to a request is that it is unavailable. */
  const settings = (): Record<string, string> => ({
    UPSTREAM_URL: upstream.url,
    VALKEY_URL: "valkey://127.0.0.1:1",
    KEY_PEPPER: pepper,
  });

  async function load(name: string): Promise<Record<string, unknown>> {
    for (const [variable, value] of Object.entries(settings())) vi.stubEnv(variable, value);
    const path = join(folder, name);
    copyFileSync(join(examples, name), path);
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  }

  test("the examples for Vercel and Netlify respond to a request", async () => {
    const vercel = (await load("vercel.mjs"))["default"] as { fetch: (request: Request) => Promise<Response> };
    const netlify = (await load("netlify.mjs"))["default"] as (request: Request, context: object) => Promise<Response>;
    expect(await codeOf(vercel.fetch(get("/v1/environments")))).toBe("key_store_unavailable");
    expect(await codeOf(netlify(get("/v1/environments"), { ip: "192.0.2.1" }))).toBe("key_store_unavailable");
  });

  test("the example for AWS Lambda responds to an event of an HTTP API", async () => {
    const hono = resolve(import.meta.dirname, "../../node_modules/hono");
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(hono, join(folder, "node_modules", "hono"));
    const handler = (await load("aws-lambda.mjs"))["handler"] as (event: object) => Promise<Record<string, unknown>>;
    const http = { method: "GET", path: "/v1/environments", sourceIp: "192.0.2.1" };
    const requestContext = { domainName: "gateway.example", http };
    const headers = { host: "gateway.example" };
    const event = { version: "2.0", rawPath: http.path, rawQueryString: "", headers, requestContext };
    const answer = await handler({ ...event, isBase64Encoded: false });
    const problem = expect.stringContaining("key_store_unavailable");
    expect([answer["statusCode"], String(answer["body"])]).toEqual([503, problem]);
  });

  test.each([
    ["deno", ["serve.mjs"], ["run", "--no-prompt", "--allow-net", "--allow-env", "--allow-sys", "--allow-read=."]],
    ["bun", ["serve.mjs"], []],
  ] as const)("the servers of Deno and Bun accept the fetch handler: %s", async (runtime, file, words) => {
    copyFileSync(join(examples, `${runtime}-serve.mjs`), join(folder, "serve.mjs"));
    const port = await freePort();
    const env = { ...settings(), PORT: port, DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` };
    const options = { command: runtimeProgram(runtime), args: [...words, ...file], cwd: folder, env };
    const server = launchProcess(options);
    const url = `http://127.0.0.1:${port}`;
    await vi.waitFor(async () => expect((await fetch(`${url}/livez`)).status).toBe(200), { timeout: 20_000 });
    expect(await codeOf(fetch(`${url}/v1/environments`))).toBe("key_store_unavailable");
    await server.stop("SIGKILL");
  });
});

/** How many clients a Valkey has, with the one that asks. */
async function connectionsOf(port: number): Promise<number> {
  const socket = connect(port, "127.0.0.1").end("CLIENT LIST\r\nQUIT\r\n");
  return (await text(socket)).split("\n").filter((line) => line.startsWith("id=")).length;
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? String(address.port) : "";
}
