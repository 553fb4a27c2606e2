import { webClock } from "./adapters/web-clock.ts";
import { webRandom } from "./adapters/web-random.ts";
import { type BaseUrl, parseBaseUrl } from "./base-url.ts";
import type { Clock } from "./clock.ts";
import { invalidArgument } from "./error.ts";

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** How to reach a server. */
export interface TransportOptions {
  /** Absolute URL of the gateway or server; its path is kept (`https://example.com/letta` gives `/letta/v1/...`). */
  readonly baseUrl: string;
  /** Sent as `Authorization: Bearer`, to `baseUrl` only. */
  readonly apiKey: string;
  /** Default: the platform's `fetch`. */
  readonly fetch?: Fetch | undefined;
  /** Longest a call may take, with its retries and the body, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number | undefined;
  /** How often a call may be repeated. Default 2. */
  readonly maxRetries?: number | undefined;
  /** Largest answer to read, in bytes. Default 8 MiB. */
  readonly maxResponseBytes?: number | undefined;
  /** Default: the platform's clock. */
  readonly clock?: Clock | undefined;
  /** Source of jitter, from 0 up to and without 1. */
  readonly random?: (() => number) | undefined;
}

/** What a single call may set. */
export interface RequestOptions {
  /** Ends the call, also while it waits for a retry or reads the body. */
  readonly signal?: AbortSignal | null | undefined;
  /** Overrides the client's. */
  readonly timeoutMs?: number | undefined;
  /** Overrides the client's. */
  readonly maxRetries?: number | undefined;
}

/** Checked options, with every default filled in. */
export interface Settings {
  readonly base: BaseUrl;
  readonly apiKey: string;
  readonly fetch: Fetch;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly maxResponseBytes: number;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Checks options. @throws LettaEnvironmentsError `invalid_argument` naming the option; the key is never repeated. */
export function resolveSettings(options: TransportOptions): Settings {
  return {
    base: parseBaseUrl(options.baseUrl),
    apiKey: checkKey(options.apiKey),
    // Looked up at each call, so that a replaced global is seen, and called as a plain function, as browsers require.
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    ...resolveLimits(options, { timeoutMs: 60_000, maxRetries: 2 }),
    maxResponseBytes: checkInteger("maxResponseBytes", options.maxResponseBytes ?? 8_388_608, 1, 2 ** 31 - 1),
    clock: options.clock ?? webClock,
    random: options.random ?? webRandom,
  };
}

/** The limits of one call. @throws LettaEnvironmentsError `invalid_argument` naming the option. */
export function resolveLimits(
  options: Pick<RequestOptions, "timeoutMs" | "maxRetries">,
  defaults: Pick<Settings, "timeoutMs" | "maxRetries">,
): Pick<Settings, "timeoutMs" | "maxRetries"> {
  return {
    timeoutMs: checkInteger("timeoutMs", options.timeoutMs ?? defaults.timeoutMs, 1, 2 ** 31 - 1),
    maxRetries: checkInteger("maxRetries", options.maxRetries ?? defaults.maxRetries, 0, 10),
  };
}

function checkKey(apiKey: unknown): string {
  if (typeof apiKey === "string" && /^[\x21-\x7e]+$/.test(apiKey)) return apiKey;
  throw invalidArgument([{ member: "apiKey", rule: "must be a non-empty string of visible ASCII characters" }]);
}

function checkInteger(member: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalidArgument([{ member, rule: `must be a whole number from ${least} to ${most}` }]);
}
