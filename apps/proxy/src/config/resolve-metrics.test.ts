import { expect, test } from "vitest";
import { resolveSettings } from "./resolve.ts";

function resolve(file: unknown, environment: Readonly<Record<string, string>> = {}) {
  return resolveSettings({ flags: {}, environment, file });
}

const operator = { ADMIN_TOKEN: "a".repeat(32) };

test("metrics are counted and nothing is pushed by default", () => {
  const resolved = resolve({});
  expect(resolved.ok && [resolved.settings.metrics, resolved.settings.otlp]).toEqual([
    { enabled: true, labels: [] },
    null,
  ]);
});

test("the variables of OpenTelemetry name the receiver, and win over the file", () => {
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: "https://otel.example/base/",
    OTEL_EXPORTER_OTLP_HEADERS: "Authorization=Bearer%20x, x-team = a",
    OTEL_METRIC_EXPORT_INTERVAL: "5000",
    OTEL_TRACES_SAMPLER_ARG: "0.25",
    OTEL_SERVICE_NAME: "edge",
  };
  const resolved = resolve({ otlp: { endpoint: "http://127.0.0.1:4318", intervalMs: 9_000 } }, environment);
  expect(resolved.ok && resolved.settings.otlp).toEqual({
    endpoint: "https://otel.example/base",
    headers: { authorization: "Bearer x", "x-team": "a" },
    intervalMs: 5_000,
    sampleRatio: 0.25,
    serviceName: "edge",
  });
});

test.each([
  [{ metrics: { labels: ["key"] } }, {}, "metrics.labels"],
  [{ metrics: { labels: ["address"] } }, {}, "metrics.labels[0]"],
  [{ otlp: { endpoint: "collector:4318" } }, {}, "otlp.endpoint"],
  [{ otlp: { endpoint: "https://user:secret@otel.example" } }, {}, "otlp.endpoint"],
  [{ otlp: { sampleRatio: 2 } }, {}, "otlp.sampleRatio"],
  [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://otel.example" }, "OTEL_EXPORTER_OTLP_ENDPOINT"],
  [
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://otel.example", OTEL_EXPORTER_OTLP_HEADERS: "authorization=secret" },
    "OTEL_EXPORTER_OTLP_ENDPOINT",
  ],
  [
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_HEADERS: "secret" },
    "OTEL_EXPORTER_OTLP_HEADERS",
  ],
  [
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_METRIC_EXPORT_INTERVAL: "1" },
    "OTEL_METRIC_EXPORT_INTERVAL",
  ],
] as const)("%j with %j is refused by the name of the setting, without its value", (file, environment, setting) => {
  const resolved = resolve(file, environment);
  expect(resolved).toMatchObject({ ok: false, problems: [{ setting }] });
  expect(JSON.stringify(resolved)).not.toContain("secret");
});

test("ids are labels only with an administration listener, where only the operator can read the metrics", () => {
  const resolved = resolve({ metrics: { labels: ["key", "key"] }, admin: { port: 0 } }, operator);
  expect(resolved.ok && resolved.settings.metrics.labels).toEqual(["key"]);
});
