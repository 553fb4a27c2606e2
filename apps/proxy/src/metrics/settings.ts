/** The settings of metrics and of their push with OTLP, after defaults were applied. Series are defined in `definitions.ts`. */

/** Ids that can be labels of metrics. */
export const identityLabels = ["tenant", "key", "device"] as const;

export type IdentityLabel = (typeof identityLabels)[number];

export interface MetricsSettings {
  /** Whether events are counted and `/metrics` is served. */
  readonly enabled: boolean;
  /** The ids that are labels. */
  readonly labels: readonly IdentityLabel[];
}

/** Where and how metrics and spans are pushed. */
export interface OtlpSettings {
  /** Base URL of an OTLP/HTTP receiver, without a trailing slash; `v1/metrics` and `v1/traces` are added to its path. */
  readonly endpoint: string;
  /** Headers of each request. They can contain a credential and are never shown. */
  readonly headers: Readonly<Record<string, string>>;
  /** Time between two pushes of metrics, in milliseconds. */
  readonly intervalMs: number;
  /** The share of requests whose spans are exported if the caller made no sampling decision, from 0 to 1. */
  readonly sampleRatio: number;
  readonly serviceName: string;
}
