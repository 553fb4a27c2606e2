import { webClock } from "./adapters/web-clock.ts";
import { webRandom } from "./adapters/web-random.ts";
import { checkWholeNumber } from "./check-whole-number.ts";
import { invalidArgument } from "./error.ts";
import type { HttpRequest, Next } from "./http-request.ts";
import { parseBaseUrl } from "./parse-base-url.ts";
import { type Limits, readLimits } from "./read-limits.ts";
import type { TransportOptions } from "./transport-options.ts";

/** Checked options, with every default filled in. */
export interface Settings extends Limits, Pick<TransportOptions, "apiKey" | "headers" | "validate"> {
  readonly onEvent?: TransportOptions["onEvent"];
  readonly onMismatch?: TransportOptions["onMismatch"];
  readonly onDrift?: TransportOptions["onDrift"];
  /** Without a trailing slash. */
  readonly baseUrl: string;
  /** The middleware, and `fetch` behind it. */
  readonly next: Next;
  readonly maxResponseBytes: number;
  readonly clock: NonNullable<TransportOptions["clock"]>;
  readonly random: () => number;
  /** Retries that may still be made; a success gives a tenth back, up to `retryBudget`. */
  tokens: number;
  readonly retryBudget: number;
}

/** Checks options. @throws LettaEnvironmentsError `invalid_argument` naming the option; the key is never repeated. */
export function resolveSettings(options: TransportOptions): Settings {
  const { apiKey, middleware = [], clock = webClock, random = webRandom } = options;
  const { retryBudget = 10, maxResponseBytes = 8_388_608 } = options;
  if (!/^[!-~]+$/.test(apiKey ?? "")) throw invalidArgument("apiKey", "must be visible ASCII characters");
  return {
    ...options,
    clock,
    random,
    baseUrl: parseBaseUrl(options.baseUrl),
    // Looked up at each call, so that a replaced global is seen, and called as a plain function, as browsers require.
    next: [middleware].flat().reduceRight<Next>(
      (next, step) => (request) => step(request, next),
      (request: HttpRequest) => (options.fetch ?? fetch)(request.url, request),
    ),
    ...readLimits(options, { timeoutMs: 60_000, maxRetries: 2 }),
    maxResponseBytes: checkWholeNumber("maxResponseBytes", maxResponseBytes),
    tokens: checkWholeNumber("retryBudget", retryBudget),
    retryBudget,
  };
}
