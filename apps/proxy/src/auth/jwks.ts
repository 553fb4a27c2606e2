/** The public keys of a token issuer (JWKS, RFC 7517): loaded when needed, and cached while the issuer is unreachable. */
import type { JSONWebKeySet } from "jose";
import { runWithDeadline } from "../lib/deadline.ts";
import { isJsonObject, parseJson } from "../lib/json.ts";
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

/** A cached JWKS. */
export interface JwksCache {
  /** Returns the cached keys; `null` when there are none. Old ones are reloaded in the background. */
  current(): KeySet | null;
  /** Resolves with the keys after a reload. Within the cooldown it resolves with the cached keys. */
  refreshed(): Promise<KeySet | null>;
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
  let reading: Promise<void> | null = null;

  async function read(): Promise<void> {
    const deadline = { atMs: clock.monotonic() + settings.jwksTimeoutMs, signal: new AbortController().signal };
    const outcome = await runWithDeadline(clock, deadline, (signal) => fetchJwks(settings.jwksUrl, signal));
    if (outcome.kind !== "finished") throw new Error("the issuer did not send the JWKS in time");
    const keys = readKeySet(outcome.result);
    if (keys === null) throw new Error("the response of the issuer is not a JWKS");
    readAt = clock.monotonic();
    if (outcome.result === text) return;
    text = outcome.result;
    keySet = { keys: withoutWeakKeys(keys), version: (keySet?.version ?? 0) + 1 };
  }

  /** Removes RSA keys with which others could sign. A token that names one is refused like one with an unknown key. */
  function withoutWeakKeys({ keys }: JSONWebKeySet): JSONWebKeySet {
    const strong = keys.filter((key) => {
      const reason = key.kty === "RSA" ? rsaWeakness(key) : null;
      if (reason !== null) telemetry({ type: "jwks_key_refused", kid: shortText(key.kid), reason });
      return reason === null;
    });
    return { keys: strong };
  }

  function retryAfterMs(): number {
    return attemptedAt === null ? 0 : Math.max(0, attemptedAt + settings.jwksCooldownMs - clock.monotonic());
  }

  function refresh(): Promise<void> {
    if (reading !== null) return reading;
    if (retryAfterMs() > 0) return Promise.resolve();
    attemptedAt = clock.monotonic();
    reading = read()
      .catch((cause: unknown) => telemetry({ type: "jwks_failed", cause }))
      .finally(() => (reading = null));
    return reading;
  }

  function usable(): KeySet | null {
    return keySet !== null && clock.monotonic() < readAt + settings.jwksStaleMs ? keySet : null;
  }

  return {
    current() {
      if (keySet !== null && clock.monotonic() >= readAt + settings.jwksMaxAgeMs) void refresh();
      return usable();
    },
    async refreshed() {
      await refresh();
      return usable();
    },
    retryAfterMs,
  };
}

/** A text of the issuer for the log. */
function shortText(text: unknown): string | null {
  return typeof text === "string" ? text.slice(0, 128) : null;
}

/** Reads a JWKS (RFC 7517 section 5); `null` when the text is not one. Whether a key fits is checked when it is used. */
function readKeySet(text: string): JSONWebKeySet | null {
  const value = parseJson(text);
  if (!isJsonObject(value) || !Array.isArray(value["keys"])) return null;
  const keys: readonly unknown[] = value["keys"];
  if (keys.length > maxKeys || !keys.every(isKey)) return null;
  return { keys: [...keys] };
}

function isKey(value: unknown): value is JSONWebKeySet["keys"][number] {
  return isJsonObject(value) && typeof value["kty"] === "string";
}
