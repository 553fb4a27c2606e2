/** The dashboard and the alert rules of the documentation against the metrics that exist. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import {
  gauges,
  type MetricDefinition,
  metrics,
  prometheusLabel,
  prometheusName,
} from "../../src/metrics/definitions.ts";
import { canRunPromtool, runPromtool } from "../support/promtool.ts";

const docs = resolve(import.meta.dirname, "../../../../docs");
const read = (name: string): string => readFileSync(join(docs, name), "utf8");
const definitions: readonly MetricDefinition[] = [...Object.values(metrics), ...Object.values(gauges)];

/** The names of the samples of a metric. */
function sampleNames(definition: MetricDefinition): readonly string[] {
  const name = prometheusName(definition);
  if (definition.kind === "counter") return [`${name}_total`];
  return definition.kind === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name];
}

const known: ReadonlySet<string> = new Set(definitions.flatMap(sampleNames));
const knownLabels: ReadonlySet<string> = new Set([
  ...definitions.flatMap(({ labels }) => labels.map(prometheusLabel)),
  ...["job", "instance", "le"],
]);

function namesIn(expressions: string): readonly string[] {
  return [...new Set(expressions.match(/\b(?:letta_gateway|http_(?:server|client)|process)_[a-z_]+/g))].filter(
    (name) => !knownLabels.has(name),
  );
}

test.runIf(canRunPromtool())("promtool accepts the alert rules", () => {
  const checked = runPromtool(["check", "rules", join(docs, "monitoring/alerts.yaml")]);
  expect([checked.status, checked.stderr]).toEqual([0, ""]);
});

test.each(["monitoring/alerts.yaml", "monitoring/grafana-dashboard.json"])(
  "%s names only metrics that exist",
  (name) => {
    const names = namesIn(read(name));
    expect(names.length).toBeGreaterThanOrEqual(8);
    expect(names.filter((metric) => !known.has(metric))).toEqual([]);
    const labels = [...read(name).matchAll(/[{,]\s*([a-z_]+)(?:=~|!=|=|!~)/g)].map(([, label = ""]) => label);
    expect(labels.filter((label) => !knownLabels.has(label))).toEqual([]);
  },
);

test("the page about monitoring describes every metric, and no other", () => {
  const described = namesIn(read("monitoring.md"));
  const names = definitions.map((definition) =>
    definition.kind === "counter" ? (sampleNames(definition)[0] ?? "") : prometheusName(definition),
  );
  expect(described.toSorted()).toEqual(names.toSorted());
});
