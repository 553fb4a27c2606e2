/** Metrics against the log of a real process: both report the same requests, in the formats of Prometheus and OpenTelemetry. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { connectScriptedDevice, createOtlpCollector, createRandom, launchProxy } from "@letta-environments/testkit";
import { afterEach, expect, test, vi } from "vitest";
import { metrics } from "../src/metrics/definitions.ts";
import { hostOperations } from "../src/telemetry.ts";
import { metricsEndpoints } from "../src/metrics/endpoints.ts";
import { describeSamples, parseSamples } from "./support/prometheus-text.ts";
import { canRunPromtool, runPromtool } from "./support/promtool.ts";

vi.setConfig({ testTimeout: 600_000 });

const requests = Number(process.env["COUNTED_REQUESTS"] ?? "1500");
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function start(config: object = {}, env: Readonly<Record<string, string>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "letta-proxy-metrics-"));
  const file = join(folder, "proxy.config.json");
  await writeFile(file, JSON.stringify(config));
  const proxy = await launchProxy({ args: ["--config", file], env });
  cleanups.push(
    () => rm(folder, { recursive: true }),
    () => proxy.stop(),
  );
  return proxy;
}

interface PushedMetrics {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly {
      readonly metrics: readonly { readonly name: string; readonly histogram?: object }[];
    }[];
  }[];
}

interface LoggedRequest {
  readonly event: string;
  readonly method: string;
  readonly operation: string | null;
  readonly status: number;
  readonly durationMs: number;
  readonly errorCode?: string;
  readonly cache?: string;
  readonly limitedBy?: readonly string[];
}

function loggedRequests(output: string): readonly LoggedRequest[] {
  return output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as LoggedRequest)
    .filter(({ event }) => event === "request");
}

function countBy<Item>(items: readonly Item[], keyOf: (item: Item) => string | null): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) {
    const key = keyOf(item);
    if (key !== null) counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** Makes about this many random requests of a gateway. Returns its metrics, and the requests that it logged before them. */
async function makeRandomRequests(count: number) {
  const few = { per: ["key"], limit: 60, burst: 60, routes: ["listEnvironments"] };
  const proxy = await start({ logLevel: "debug", rateLimits: { policies: { few } }, console: { enabled: true } });
  const admin = await proxy.createKey({ scopes: ["admin"] });
  const caller = await proxy.createKey({ scopes: ["list", "read"] });
  const { pick } = createRandom(7);
  const one = async (): Promise<void> => {
    const path = pick([
      ...["/v1/environments", "/v1/environments?limit=2", "/v1/environments?limit=no", "/v1/environments/none"],
      ...["/v1/nothing", "/v1/ratelimit", "/v1/environments/a%00b", "/admin/v1/keys", "/metrics", "/x"],
      ...["/livez", "/readyz", "/openapi.json", "/docs", "/console/none.js", "/console/session"],
    ]);
    const key = pick([caller, caller, caller, admin, `${caller}x`, "nonsense", null]);
    const response = await fetch(`${proxy.url}${path}`, {
      method: pick(["GET", "GET", "GET", "HEAD", "POST", "DELETE", "PATCH"]),
      headers: key === null ? {} : { authorization: `Bearer ${key}` },
    });
    await response.arrayBuffer();
  };
  for (let done = 0; done < count; done += 25) await Promise.all(Array.from({ length: 25 }, one));

  // The request for the metrics itself is counted when it ends, after the text was made.
  const text = await readMetrics(proxy.url, admin);
  await proxy.process.stop();
  const logged = loggedRequests(proxy.process.output()).slice(0, -1);
  expect(logged).toHaveLength(Math.ceil(count / 25) * 25);
  return { text, logged };
}

test("counters match the access log exactly after random requests", async () => {
  const { text, logged } = await makeRandomRequests(requests);
  const samples = parseSamples(text);

  const routes = new Map([
    ...Object.values(metricsEndpoints).map(({ operation, path }): [string, string] => [operation, path]),
    ...Object.entries(hostOperations),
  ]);
  const byRequest = describeSamples(samples, "http_server_request_duration_seconds_count");
  expect(Object.values(byRequest).reduce((sum, count) => sum + count, 0)).toBe(logged.length);
  for (const status of new Set(logged.map((line) => line.status))) {
    const counted = Object.entries(byRequest).filter(([labels]) => labels.includes(`"${status}"`));
    const total = counted.reduce((sum, [, count]) => sum + count, 0);
    expect([status, total]).toEqual([status, logged.filter((line) => line.status === status).length]);
  }
  for (const [operation, path] of routes) {
    const counted = Object.entries(byRequest).filter(([labels]) => labels.includes(`http_route="${path}"`));
    const total = counted.reduce((sum, [, count]) => sum + count, 0);
    expect(total).toBe(logged.filter((line) => line.operation === operation).length);
  }
  expect(describeSamples(samples, "letta_gateway_refused_requests_total")).toEqual(
    countBy(logged, ({ status, errorCode }) => (status < 400 ? null : `error_code="${errorCode ?? "none"}"`)),
  );
  expect(describeSamples(samples, "letta_gateway_cache_reads_total")).toEqual(
    countBy(logged, ({ cache }) => (cache === undefined ? null : `outcome="${cache}"`)),
  );
  const limited = logged.filter(({ limitedBy }) => limitedBy?.includes("few") === true).length;
  expect(limited).toBeGreaterThan(0);
  expect(describeSamples(samples, "letta_gateway_rate_limit_decisions_total")[`policy="few",decision="refused"`]).toBe(
    limited,
  );
  const sums = describeSamples(samples, "http_server_request_duration_seconds_sum");
  const seconds = Object.values(sums).reduce((sum, value) => sum + value, 0);
  expect(seconds).toBeCloseTo(logged.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1_000, 6);
});

test.runIf(canRunPromtool())("promtool accepts the metrics after random requests", async () => {
  const { text } = await makeRandomRequests(200);
  const checked = runPromtool(["check", "metrics"], text);
  expect([checked.status, checked.stdout, checked.stderr]).toEqual([0, "", ""]);
});

async function readMetrics(url: string, key: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}`, ...headers } });
  expect(response.status).toBe(200);
  return response.text();
}

test("the metrics need the scope admin, and use the OpenMetrics format for clients that accept it", async () => {
  const proxy = await start();
  const admin = await proxy.createKey({ scopes: ["admin"] });
  const caller = await proxy.createKey({ scopes: ["list", "read", "details"] });
  const statusOf = async (path: string, headers: Readonly<Record<string, string>>): Promise<number> =>
    (await fetch(`${proxy.url}${path}`, { headers })).status;
  for (const path of ["/metrics", "/admin/v1/overview"]) {
    expect(await statusOf(path, {})).toBe(401);
    expect(await statusOf(path, { authorization: `Bearer ${caller}` })).toBe(403);
    expect(await statusOf(path, { authorization: `Bearer ${admin}`, origin: "https://page.example" })).toBe(403);
    expect(await statusOf(`${path}?x=1`, { authorization: `Bearer ${admin}` })).toBe(400);
    expect(await statusOf(path, { authorization: `Bearer ${admin}` })).toBe(200);
  }
  const text = await readMetrics(proxy.url, admin, { accept: "application/openmetrics-text;version=1.0.0" });
  expect(text).toContain("# TYPE letta_gateway_refused_requests counter");
  expect(text).toContain('letta_gateway_refused_requests_total{error_code="missing_key"} 2');
  expect(text).toMatch(/\n# EOF\n$/);
  const overview: unknown = await (
    await fetch(`${proxy.url}/admin/v1/overview`, { headers: { authorization: `Bearer ${admin}` } })
  ).json();
  expect(overview).toMatchObject({ bucketMs: 60_000, buckets: [{ refused: 8, failed: 0, devicesOnline: 0 }] });
});

test("if there is an administration listener, only it serves the metrics, and ids are labels only if configured", async () => {
  const token = "operator-token-of-32-characters-0";
  const proxy = await start(
    { admin: { port: 0 }, metrics: { labels: ["tenant", "key", "device"] } },
    { ADMIN_TOKEN: token },
  );
  const [, adminUrl = ""] = await proxy.process.waitForOutput(/"event":"admin_listening","url":"([^"]+)"/);
  const admin = await proxy.createKey({ scopes: ["admin"], tenant: "acme" });
  const connect = await proxy.createKey({ scopes: ["connect"], tenant: "acme" });
  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: connect, deviceId: "device-1" });
  const online = await readMetrics(adminUrl, token);
  expect(online).toContain('letta_gateway_devices{state="online"} 1');
  await device.close();
  const asKey = { headers: { authorization: `Bearer ${admin}` } };
  expect((await fetch(`${proxy.url}/metrics`, asKey)).status).toBe(404);
  expect((await fetch(`${adminUrl}/metrics`, asKey)).status).toBe(403);
  await vi.waitFor(async () => {
    const text = await readMetrics(adminUrl, token);
    expect(text).toContain(
      'letta_gateway_device_events_total{tenant="acme",device_id="device-1",event="disconnected"} 1',
    );
    expect(text).toContain(`letta_gateway_identity_requests_total{tenant="acme",key_id="${connect.slice(4, 16)}"`);
    expect(text).toContain('letta_gateway_devices{state="offline"} 1');
  }, 15_000);
});

test("metrics are pushed to an OpenTelemetry receiver with its headers, and the last push has everything", async () => {
  const collector = await createOtlpCollector();
  cleanups.push(collector.close);
  collector.status = 503;
  const proxy = await start(
    {},
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20otlp-secret",
      OTEL_METRIC_EXPORT_INTERVAL: "1000",
    },
  );
  await fetch(`${proxy.url}/v1/environments`);
  await proxy.process.waitForOutput(/"event":"otlp_failed"/);
  collector.status = 200;
  await proxy.process.waitForOutput(/"event":"otlp_recovered"/);
  await fetch(`${proxy.url}/v1/environments`);
  await proxy.process.stop();
  const last = collector.pushes.at(-1);
  expect(last).toMatchObject({ path: "/v1/metrics", headers: { authorization: "Bearer otlp-secret" } });
  expect(proxy.process.output()).not.toContain("otlp-secret");
  const body = last?.body as PushedMetrics | undefined;
  const exported = body?.resourceMetrics[0]?.scopeMetrics[0]?.metrics;
  expect(exported?.find(({ name }) => name === metrics.requests.name)).toMatchObject({
    unit: "s",
    histogram: {
      aggregationTemporality: 2,
      dataPoints: [
        {
          count: "2",
          attributes: expect.arrayContaining([{ key: "http.route", value: { stringValue: "/v1/environments" } }]),
        },
      ],
    },
  });
});
