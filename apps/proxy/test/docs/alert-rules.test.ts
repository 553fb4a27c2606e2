/** The alert rules of the documentation against the text that Prometheus reads: promtool evaluates them over scrapes of a recorder. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import type { LogEvent } from "../../src/adapters/log-event.ts";
import { gauges, metrics } from "../../src/metrics/definitions.ts";
import { formatMetrics } from "../../src/metrics/endpoints.ts";
import { createOpenCircuits } from "../../src/metrics/observers.ts";
import { createRecorder } from "../../src/metrics/recorder.ts";
import { createMetricTable, type MetricTable } from "../../src/metrics/table.ts";
import { parseSamples } from "../support/prometheus-text.ts";
import { canRunPromtool, runPromtool } from "../support/promtool.ts";

const rules = resolve(import.meta.dirname, "../../../../docs/monitoring/alerts.yaml");

/** Returns what happens in a minute before its scrape. The first minute is 1: the scrape of minute 0 finds no process. */
type EventsOf = (minute: number) => readonly LogEvent[];

/** Scrapes a gateway with a remote upstream once a minute. The values are those of each series, `_` before it exists. */
async function scrape(
  minutes: number,
  eventsOf: EventsOf,
  countLimits: (table: MetricTable) => void,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const clock = createVirtualClock();
  const table = createMetricTable();
  const circuits = createOpenCircuits(clock);
  const record = createRecorder(table, { clock });
  const values = new Map<string, string[]>();
  for (let minute = 1; minute <= minutes; minute++) {
    for (const event of eventsOf(minute)) {
      circuits.record(event);
      record(event);
    }
    countLimits(table);
    const open = { definition: gauges.openCircuits, series: [{ labels: [], value: circuits.count() }] };
    for (const { name, labels, value } of parseSamples(formatMetrics([...table.read(), open], "prometheus"))) {
      const series = `${name}{${[...(labels === "" ? [] : [labels]), 'instance="a"'].join()}}`;
      const known = values.get(series) ?? Array.from({ length: minute }, () => "_");
      values.set(series, [...known, String(value)]);
    }
    await clock.advance(60_000);
  }
  return values;
}

/** Lets promtool evaluate the rules. Returns its result: `SUCCESS` if these alerts, and no others, fire at these minutes. */
async function evaluate(
  expected: Readonly<Record<number, readonly string[]>>,
  eventsOf: EventsOf,
  countLimits: (table: MetricTable) => void = () => undefined,
): Promise<string> {
  const series = await scrape(Math.max(...Object.keys(expected).map(Number)), eventsOf, countLimits);
  const input = {
    rule_files: [rules],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: [...series].map(([name, values]) => ({ series: name, values: values.join(" ") })),
        promql_expr_test: Object.entries(expected).map(([minute, names]) => ({
          expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: `${minute}m`,
          exp_samples: names.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
        })),
      },
    ],
  };
  const folder = mkdtempSync(join(tmpdir(), "letta-alerts-"));
  const file = join(folder, "alerts.test.yaml");
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(input));
  const tested = runPromtool(["test", "rules", file]);
  rmSync(folder, { recursive: true });
  return `${tested.stdout}${tested.stderr}`.replace(/^.*\n/, "").trim();
}

/** A request that ends after some seconds. */
function request(
  status: number,
  seconds: number,
  members: Partial<Extract<LogEvent, { type: "request" }>> = {},
): LogEvent {
  const ids = { requestId: "req-1", tenant: "acme", keyId: "key-1" };
  const operation = "listEnvironments";
  return { type: "request", ...ids, method: "GET", operation, status, durationMs: seconds * 1_000, ...members };
}

describe.runIf(canRunPromtool())("the alert rules", () => {
  test("no alert fires during normal operation", async () => {
    expect(await evaluate({ 2: [], 30: [] }, () => [request(200, 0.01), request(404, 0.01)])).toBe("SUCCESS");
  });

  test.each<readonly [string, LogEvent, string]>([
    ["an outage of the upstream", { type: "upstream_down", tenant: "acme" }, "GatewayUpstreamDown"],
    ["a defect", { type: "internal_error", requestId: "req-1", cause: null }, "GatewayDefect"],
    [
      "a refused credential",
      request(502, 0.01, { errorCode: "upstream_credential_rejected" }),
      "GatewayUpstreamCredential",
    ],
    [
      "a lost credential file",
      { type: "credential_file_failed", tenant: "acme", cause: null },
      "GatewayCredentialFile",
    ],
    ["a failed audit log", { type: "audit_failed", requestId: "req-1", cause: null }, "GatewayStoreFailing"],
    ["a locked database", request(503, 0.01, { errorCode: "storage_unavailable" }), "GatewayStoreFailing"],
    [
      "a body without memory for it",
      request(503, 0.01, { method: "POST", errorCode: "overloaded" }),
      "GatewayOverloaded",
    ],
    ["an overload", { type: "overloaded", refusedRequests: 1, closedConnections: 0, inFlight: 1 }, "GatewayOverloaded"],
  ])("%s fires its alert, even the first one of a process", async (_what, event, alert) => {
    expect(await evaluate({ 2: [], 4: [alert] }, (minute) => (minute === 3 ? [event] : []))).toBe("SUCCESS");
  });

  test("an alert about an outage lasts as long as the outage", async () => {
    const failing = request(503, 0.01, { errorCode: "upstream_unreachable" });
    const working = Array.from({ length: 60 }, () => request(200, 0.01, { tenant: "umbrella" }));
    const result = await evaluate({ 4: ["GatewayUpstreamDown"], 40: ["GatewayUpstreamDown"], 43: [] }, (minute) => {
      if (minute === 3) return [{ type: "upstream_down", tenant: "acme" }];
      if (minute === 41) return [{ type: "upstream_recovered", tenant: "acme", durationMs: 2_280_000 }];
      return minute < 41 ? [failing, ...working] : working;
    });
    expect(result).toBe("SUCCESS");
  });

  test("a refused configuration fires its alert until it is repaired", async () => {
    const alert = "GatewayConfigurationRefused";
    const result = await evaluate({ 2: [], 4: [alert], 60: [alert], 62: [] }, (minute) => {
      if (minute === 3) return [{ type: "configuration_refused", problems: [] }];
      return minute === 61 ? [{ type: "configuration_reloaded", changed: [], awaitingRestart: [] }] : [];
    });
    expect(result).toBe("SUCCESS");
  });

  test("an unreadable credential file fires its alert until every file was read again, or replaced by a changed configuration", async () => {
    const alert = "GatewayCredentialFile";
    const result = await evaluate(
      { 2: [], 4: [alert], 90: [alert], 92: [alert], 94: [], 97: [alert], 99: [] },
      (minute) => {
        const failed = (tenant: string): LogEvent => ({ type: "credential_file_failed", tenant, cause: null });
        if (minute === 3) return [failed("acme"), failed("umbrella")];
        if (minute === 91) return [{ type: "credential_file_recovered", tenant: "acme" }];
        // Without a change, the files stay the same.
        if (minute === 92) return [{ type: "configuration_reloaded", changed: [], awaitingRestart: [] }];
        if (minute === 93) return [{ type: "credential_file_recovered", tenant: "umbrella" }];
        if (minute === 96) return [failed("acme")];
        return minute === 98 ? [{ type: "configuration_reloaded", changed: ["tenants"], awaitingRestart: [] }] : [];
      },
    );
    expect(result).toBe("SUCCESS");
  });

  test("a key set that cannot be read fires its alert before the last one is too old, and one failed attempt does not", async () => {
    const failed: LogEvent = { type: "jwks_failed", cause: null };
    expect(await evaluate({ 16: [], 40: ["GatewayIssuerKeys"] }, () => [failed])).toBe("SUCCESS");
    expect(await evaluate({ 10: [], 20: [], 40: [] }, (minute) => (minute === 3 ? [failed] : []))).toBe("SUCCESS");
  });

  test("dropped lines of the log fire their alert", async () => {
    let minute = 0;
    const drop = (table: MetricTable): void => table.add(table.series(metrics.logDrops, []), minute++ < 3 ? 0 : 100);
    expect(await evaluate({ 3: [], 6: ["GatewayLogUnread"] }, () => [], drop)).toBe("SUCCESS");
  });

  test("an alert about degraded limits or readiness lasts as long as requests and probes show the failure", async () => {
    const degraded = request(200, 0.01, { limitsDegraded: "timeout" });
    const notReady = request(503, 0.01, { operation: "checkReadiness", errorCode: "not_ready" });
    const both = ["GatewayLimitsDegraded", "GatewayNotReady"];
    const eventsOf: EventsOf = (minute) => (minute < 3 ? [] : [degraded, notReady]);
    expect(await evaluate({ 2: [], 6: both, 30: both }, eventsOf)).toBe("SUCCESS");
  });

  test("slow reads fire their alert, and reads that waited for the end of a turn do not", async () => {
    const ids = { operation: "retrieveMessage" };
    const reads = [5, 30, 60].map((seconds) => request(200, seconds, { ...ids, waitSeconds: 60 }));
    expect(await evaluate({ 30: [] }, () => [...reads, request(200, 0.01, ids)])).toBe("SUCCESS");
    expect(await evaluate({ 30: ["GatewaySlow"] }, () => [...reads, request(200, 2, ids)])).toBe("SUCCESS");
  });

  test("slow sends fire their alert, and sends that waited for the end of a turn do not", async () => {
    const ids = { method: "POST", operation: "sendMessage" } as const;
    const waited = request(200, 30, { ...ids, waitSeconds: 60 });
    expect(await evaluate({ 30: [] }, () => [waited, request(200, 0.05, ids)])).toBe("SUCCESS");
    expect(await evaluate({ 30: ["GatewaySlowSends"] }, () => [waited, request(200, 4, ids)])).toBe("SUCCESS");
  });

  test("probes do not mask the failures of a few callers, and do not count as failures", async () => {
    const probes = Array.from({ length: 60 }, () => request(200, 0.001, { operation: "checkLiveness" }));
    const failing = request(500, 0.01, { errorCode: "internal_error" });
    const events = [...probes, request(200, 0.01), failing];
    expect(await evaluate({ 20: ["GatewayFailingRequests"] }, () => events)).toBe("SUCCESS");
  });

  test("an address that guesses keys fires the alert about wrong keys, and an address that reaches its limit once does not", async () => {
    /** Each minute 60 failures pass the limit of the address, and these do not. */
    const guess = (refused: (minute: number) => number): ((table: MetricTable) => void) => {
      let minute = 0;
      return (table) => {
        minute += 1;
        for (const [decision, count] of [
          ["allowed", 60],
          ["refused", refused(minute)],
        ] as const) {
          table.add(table.series(metrics.rateLimitDecisions, ["gateway-failed-authentication", decision]), count);
        }
      };
    };
    const none: EventsOf = () => [];
    expect(
      await evaluate(
        { 2: [], 20: ["GatewayWrongKeys"] },
        none,
        guess(() => 30),
      ),
    ).toBe("SUCCESS");
    expect(
      await evaluate(
        { 6: [], 12: [] },
        none,
        guess((minute) => (minute === 3 ? 20 : 0)),
      ),
    ).toBe("SUCCESS");
  });
});
