import type { JSONWebKeySet } from "jose";
import { runWithDeadline } from "../lib/deadline.ts";
import { isJsonObject, parseJson } from "../lib/json.ts";
import type { GatewayPorts, JwksFetch } from "../ports.ts";
import type { JwtSettings } from "./jwt-settings.ts";

/** What the cache is told. */
export type JwksSettings = Pick<
  JwtSettings,
  "jwksUrl" | "jwksMaxAgeMs" | "jwksStaleMs" | "jwksCooldownMs" | "jwksTimeoutMs"
>;

/** The keys of an issuer, read when they are needed and kept while the issuer cannot be reached. */
export interface JwksCache {
  /** The keys to use now, without waiting; `null` when there are none. Old ones are read again beside the request. */
  current(): KeySet | null;
  /** The keys after a read, unless one was begun within the cooldown; then the present ones. */
  refreshed(): Promise<KeySet | null>;
  /** Milliseconds until the keys may be read again. */
  retryAfterMs(): number;
}

/** Creates a {@link JwksCache}. However often callers ask, the issuer is asked once in a cooldown at most. */
export function createJwksCache(
  ports: Pick<GatewayPorts, "clock" | "telemetry"> & { readonly fetchJwks: JwksFetch },
  settings: JwksSettings,
): JwksCache {
  const { clock, telemetry, fetchJwks } = ports;
  let keySet: KeySet | null = null;
  let text: string | null = null;
  let readAt = 0;
  let attemptedAt: number | null = null;
  let reading: Promise<void> | null = null;

  async function read(): Promise<void> {
    const deadline = { atMs: clock.now() + settings.jwksTimeoutMs, signal: new AbortController().signal };
    const outcome = await runWithDeadline(clock, deadline, (signal) => fetchJwks(settings.jwksUrl, signal));
    if (outcome.kind !== "finished") throw new Error("the key set was not answered in time");
    const keys = readKeySet(outcome.result);
    if (keys === null) throw new Error("the answer is no key set");
    readAt = clock.now();
    if (outcome.result === text) return;
    text = outcome.result;
    keySet = { keys, version: (keySet?.version ?? 0) + 1 };
  }

  function retryAfterMs(): number {
    return attemptedAt === null ? 0 : Math.max(0, attemptedAt + settings.jwksCooldownMs - clock.now());
  }

  function refresh(): Promise<void> {
    if (reading !== null) return reading;
    if (retryAfterMs() > 0) return Promise.resolve();
    attemptedAt = clock.now();
    reading = read()
      .catch((cause: unknown) => telemetry({ type: "jwks_failed", cause }))
      .finally(() => (reading = null));
    return reading;
  }

  function usable(): KeySet | null {
    return keySet !== null && clock.now() < readAt + settings.jwksStaleMs ? keySet : null;
  }

  return {
    current() {
      // Failures are reported where they happen.
      if (keySet !== null && clock.now() >= readAt + settings.jwksMaxAgeMs) void refresh();
      return usable();
    },
    async refreshed() {
      await refresh();
      return usable();
    },
    retryAfterMs,
  };
}

/** The public keys of an issuer, as they were read at a time. */
export interface KeySet {
  readonly keys: JSONWebKeySet;
  /** Rises when the keys change, so that what was verified with other keys is not trusted any longer. */
  readonly version: number;
}

/** Most keys of a set that are looked at; an issuer has a handful. */
const maxKeys = 100;

/** Reads a key set (RFC 7517 section 5), or `null` when the text is none. Whether a key fits is judged when it is used. */
export function readKeySet(text: string): JSONWebKeySet | null {
  const value = parseJson(text);
  if (!isJsonObject(value) || !Array.isArray(value["keys"])) return null;
  const keys: readonly unknown[] = value["keys"];
  if (keys.length > maxKeys || !keys.every(isKey)) return null;
  return { keys: [...keys] };
}

function isKey(value: unknown): value is JSONWebKeySet["keys"][number] {
  return isJsonObject(value) && typeof value["kty"] === "string";
}
