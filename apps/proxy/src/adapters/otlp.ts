/**
 * Pushes metrics and spans to a receiver of the OpenTelemetry protocol over HTTP, in its JSON encoding. A push that fails is not repeated:
 * the sums of the next one contain everything, and spans may be lost. Failures are reported once until a push works again.
 */
import type { OtlpSettings } from "../metrics/settings.ts";

/** A kind of data that is pushed. */
export type OtlpSignal = "metrics" | "traces";

/** Pushes a body. Never rejects. */
export type PushOtlp = (signal: OtlpSignal, body: object) => Promise<void>;

/** Reports that pushes fail, or work again. */
export type OtlpEvent =
  | { readonly type: "otlp_failed"; readonly signal: OtlpSignal; readonly cause: unknown }
  | { readonly type: "otlp_recovered"; readonly signal: OtlpSignal };

/** The longest time of a push, in milliseconds. */
const timeoutMs = 10_000;

/** Creates a {@link PushOtlp}. */
export function createOtlpPush(
  { endpoint, headers }: Pick<OtlpSettings, "endpoint" | "headers">,
  fetchUrl: typeof fetch,
  report: (event: OtlpEvent) => void,
): PushOtlp {
  const failing = new Set<OtlpSignal>();

  async function push(signal: OtlpSignal, body: object): Promise<void> {
    const response = await fetchUrl(`${endpoint}/v1/${signal}`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
    // The rest of the connection is reused only when the body was read.
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`the receiver responded with ${response.status}`);
  }

  return async (signal, body) => {
    try {
      await push(signal, body);
      if (failing.delete(signal)) report({ type: "otlp_recovered", signal });
    } catch (cause) {
      if (failing.has(signal)) return;
      failing.add(signal);
      report({ type: "otlp_failed", signal, cause });
    }
  };
}
