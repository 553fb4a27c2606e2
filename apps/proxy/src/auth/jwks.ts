/** The public keys of a token issuer (JWKS, RFC 7517): loaded when needed, and cached while the issuer is unreachable. */
import type { JSONWebKeySet } from "jose";
import { neverAborted, runWithDeadline } from "../lib/deadline.ts";
import { isJsonObject, parseJson } from "../lib/json.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { GatewayPorts, JwksFetch } from "../ports.ts";
import type { JwtSettings } from "./jwt-settings.ts";
import { rsaWeakness } from "./rsa-strength.ts";

/** The public keys of an issuer at one time. */
export interface KeySet {
  readonly keys: JSONWebKeySet;
  /** Increases when the keys change. A token that was verified with an earlier version must be verified again. */
  readonly version: number;
}

/** Most keys in a set; an issuer has a handful. */
const maxKeys = 100;

/** The settings of a {@link JwksCache}. */
export type JwksSettings = Pick<
  JwtSettings,
  "jwksUrl" | "jwksMaxAgeMs" | "jwksStaleMs" | "jwksCooldownMs" | "jwksTimeoutMs"
>;

/**
 * How current the cached keys are. `read`: they were read for this call. `recent`: they were read within the cooldown, and the issuer may have
 * added a key since. `failed`: the last attempt to read them failed.
 */
export type Freshness = "read" | "recent" | "failed";

/** A cached JWKS. */
export interface JwksCache {
  /** Returns the cached keys; `null` when there are none. Old ones are reloaded in the background. */
  current(): KeySet | null;
  /** Resolves with the keys after a reload, if the cooldown allows one; `null` when there are none. */
  reload(): Promise<{ readonly keySet: KeySet | null; readonly freshness: Freshness }>;
  /** Milliseconds until the next reload is allowed. */
  retryAfterMs(): number;
}

/** Creates a {@link JwksCache}. It calls the issuer at most once per cooldown, however many callers need it. */
export function createJwksCache(
  ports: Pick<GatewayPorts, "clock" | "telemetry"> & { readonly fetchJwks: JwksFetch },
  settings: JwksSettings,
): JwksCache {
  const { clock, telemetry, fetchJwks } = ports;
  let keySet: KeySet | null = null;
  let text: string | null = null;
  let readAt = 0;
  let attemptedAt: number | null = null;
  let hasFailed = false;
  let reading: Promise<Freshness> | null = null;

  async function read(): Promise<void> {
    const deadline = { atMs: clock.monotonic() + settings.jwksTimeoutMs, signal: neverAborted };
    const outcome = await runWithDeadline(clock, deadline, (signal) => fetchJwks(settings.jwksUrl, signal));
    if (outcome.kind !== "finished") throw new Error("the issuer did not send the JWKS in time");
    const keys = readKeySet(outcome.result);
    if (keys === null || (keys.length > 0 && !keys.some(isKey)))
      throw new Error("the response of the issuer is not a JWKS");
    readAt = clock.monotonic();
    if (outcome.result === text) return;
    text = outcome.result;
    keySet = { keys: { keys: usableKeys(keys, telemetry) }, version: (keySet?.version ?? 0) + 1 };
  }

  function retryAfterMs(): number {
    return attemptedAt === null ? 0 : Math.max(0, attemptedAt + settings.jwksCooldownMs - clock.monotonic());
  }

  async function attempt(): Promise<Freshness> {
    try {
      await read();
      hasFailed = false;
    } catch (cause) {
      hasFailed = true;
      telemetry({ type: "jwks_failed", cause });
    }
    return hasFailed ? "failed" : "read";
  }

  function refresh(): MaybePromise<Freshness> {
    if (reading !== null && attemptedAt !== null && clock.monotonic() > attemptedAt + settings.jwksTimeoutMs) {
      // On Workers, the request that was reading was cancelled together with its timeout.
      reading = null;
      hasFailed = true;
    }
    if (reading !== null) return reading;
    if (retryAfterMs() > 0) return hasFailed ? "failed" : "recent";
    attemptedAt = clock.monotonic();
    const started = attempt().finally(() => {
      if (reading === started) reading = null;
    });
    return (reading = started);
  }

  function usable(): KeySet | null {
    return keySet !== null && clock.monotonic() < readAt + settings.jwksStaleMs ? keySet : null;
  }

  return {
    current() {
      if (keySet !== null && clock.monotonic() >= readAt + settings.jwksMaxAgeMs) void refresh();
      return usable();
    },
    async reload() {
      const freshness = await refresh();
      return { keySet: usable(), freshness };
    },
    retryAfterMs,
  };
}

/**
 * Ignores entries that are not keys, as RFC 7517 section 5 advises, keys beyond the limit, and RSA keys that let others sign. A token that names
 * an ignored key is refused like one with an unknown key.
 */
function usableKeys(keys: readonly unknown[], telemetry: GatewayPorts["telemetry"]): JsonWebKey[] {
  const refuse = (key: unknown, reason: string): void =>
    telemetry({ type: "jwks_key_refused", kid: isJsonObject(key) ? shortText(key["kid"]) : null, reason });
  const usable = keys.slice(0, maxKeys).filter((key): key is JsonWebKey => {
    const reason = !isKey(key) ? "it has no type (kty)" : key.kty === "RSA" ? rsaWeakness(key) : null;
    if (reason !== null) refuse(key, reason);
    return reason === null;
  });
  if (keys.length > maxKeys) refuse(keys[maxKeys], `it and those behind it are beyond the first ${maxKeys} keys`);
  return usable;
}

/** Shortens a text of the issuer for the log. */
function shortText(text: unknown): string | null {
  return typeof text === "string" ? text.slice(0, 128) : null;
}

/** Reads the members of a JWKS (RFC 7517 section 5); `null` when the text is not one. Whether a key fits is checked when it is used. */
function readKeySet(text: string): readonly unknown[] | null {
  const value = parseJson(text);
  return isJsonObject(value) && Array.isArray(value["keys"]) ? value["keys"] : null;
}

type JsonWebKey = JSONWebKeySet["keys"][number];

function isKey(value: unknown): value is JsonWebKey {
  return isJsonObject(value) && typeof value["kty"] === "string";
}
