/** Resolves `metrics` and `otlp`: what is counted, and where it is pushed. Variables are those of the OpenTelemetry specification. */
import { isLoopbackHost } from "../lib/hosts.ts";
import type { Resolved, SettingProblem } from "../lib/setting-rules.ts";
import type { MetricsSettings, OtlpSettings } from "../metrics/settings.ts";
import type { ConfigFile } from "./file.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Resolves `metrics`. */
export function resolveMetrics({ metrics = {}, admin }: ConfigFile): Resolved<MetricsSettings> {
  const { enabled = true, labels = [] } = metrics;
  const rule =
    "needs a listener for the administration (admin.port): only the operator may read metrics of all tenants";
  const problems = labels.length > 0 && admin === undefined ? [{ setting: "metrics.labels", rule }] : [];
  return { settings: { enabled, labels: [...new Set(labels)] }, problems };
}

/** Resolves `otlp`; `null` if no receiver is named. */
export function resolveOtlp({ otlp = {} }: ConfigFile, environment: Environment): Resolved<OtlpSettings | null> {
  const problems: SettingProblem[] = [];
  // Shells and container files write "not set" as an empty variable.
  const variable = (name: string): string | undefined => environment[name] || undefined;
  const fromVariable = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
  const url = fromVariable ?? otlp.endpoint;
  if (url === undefined) return { settings: null, problems };

  const headers = readHeaders(variable("OTEL_EXPORTER_OTLP_HEADERS"));
  if (headers === null) {
    const rule = "must be name=value pairs separated by commas, with percent-encoded values";
    problems.push({ setting: "OTEL_EXPORTER_OTLP_HEADERS", rule });
  }
  const endpoint = readEndpoint(url, headers !== null && Object.keys(headers).length > 0);
  if ("rule" in endpoint) {
    const setting = fromVariable === undefined ? "otlp.endpoint" : "OTEL_EXPORTER_OTLP_ENDPOINT";
    problems.push({ setting, rule: endpoint.rule });
  }

  function readNumber(name: string, minimum: number, maximum: number): number | undefined {
    const text = variable(name);
    if (text === undefined) return undefined;
    const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    problems.push({ setting: name, rule: `must be a number from ${minimum} to ${maximum}` });
    return undefined;
  }

  const settings: OtlpSettings = {
    endpoint: "rule" in endpoint ? "" : endpoint.value,
    headers: headers ?? {},
    intervalMs: readNumber("OTEL_METRIC_EXPORT_INTERVAL", 1_000, 3_600_000) ?? otlp.intervalMs ?? 60_000,
    sampleRatio: readNumber("OTEL_TRACES_SAMPLER_ARG", 0, 1) ?? otlp.sampleRatio ?? 0,
    serviceName: variable("OTEL_SERVICE_NAME") ?? otlp.serviceName ?? "letta-proxy",
  };
  return { settings, problems };
}

function readEndpoint(text: string, hasHeaders: boolean): { readonly value: string } | { readonly rule: string } {
  if (!URL.canParse(text)) return { rule: "must be an absolute URL, such as http://127.0.0.1:4318" };
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return { rule: "must be an http: or https: URL" };
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return { rule: "must have no user, no query and no fragment; credentials belong in OTEL_EXPORTER_OTLP_HEADERS" };
  }
  if (url.protocol === "http:" && hasHeaders && !isLoopbackHost(url.hostname)) {
    return { rule: "must be https: if OTEL_EXPORTER_OTLP_HEADERS is set (http: is accepted for loopback addresses)" };
  }
  return { value: url.origin + url.pathname.replace(/\/+$/, "") };
}

const headerPair = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*([^,]*?)\s*$/;

/** Reads the list of headers (W3C Baggage without properties); `null` if it breaks the rules. */
function readHeaders(text: string | undefined): Readonly<Record<string, string>> | null {
  if (text === undefined) return {};
  const headers: [string, string][] = [];
  for (const pair of text.split(",")) {
    const match = headerPair.exec(pair);
    const value = match === null ? null : decode(match[2] ?? "");
    if (match === null || value === null) return null;
    headers.push([(match[1] ?? "").toLowerCase(), value]);
  }
  return Object.fromEntries(headers);
}

function decode(text: string): string | null {
  try {
    const value = decodeURIComponent(text);
    return /^[\x20-\x7e]*$/.test(value) ? value : null;
  } catch {
    return null;
  }
}
