/** The public keys of a token issuer (JWKS, RFC 7517): loaded when needed, and cached while the issuer is unreachable. */
import type { JSONWebKeySet } from "jose";
import { neverAborted, runWithDeadline } from "../lib/deadline.ts";
import { isJsonObject, parseJson } from "../lib/json.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { GatewayPorts, JwksFetch } from "../ports.ts";
import type { JwtSettings } from "./jwt-settings.ts";

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
      let freshness: Freshness = "failed";
      try {
        freshness = await refresh();
      } catch {
        // On Workers, the request that was reading was cancelled.
      }
      return { keySet: usable(), freshness };
    },
    retryAfterMs,
  };
}

/**
 * Ignores entries that are not keys, as RFC 7517 section 5 advises, keys beyond the limit, and weak keys, which let others sign. A token that
 * names an ignored key is refused like one with an unknown key.
 */
function usableKeys(keys: readonly unknown[], telemetry: GatewayPorts["telemetry"]): JsonWebKey[] {
  const refuse = (key: unknown, reason: string): void =>
    telemetry({ type: "jwks_key_refused", kid: isJsonObject(key) ? shortText(key["kid"]) : null, reason });
  const usable = keys.slice(0, maxKeys).filter((key): key is JsonWebKey => {
    const reason = isKey(key) ? weakness(key) : "it has no type (kty)";
    if (reason !== null) refuse(key, reason);
    return reason === null;
  });
  if (keys.length > maxKeys) refuse(keys[maxKeys], `it and the keys after it exceed the limit of ${maxKeys} keys`);
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

/** Returns why a key must not be used; `null` for a sound one. EC keys need no check: every runtime refuses points that are not on the curve. */
function weakness(key: JsonWebKey): string | null {
  if (key.kty === "RSA") return rsaWeakness(key);
  return key.crv === "Ed25519" ? ed25519Weakness(key) : null;
}

/** The bounds of FIPS 186-5 section A.1.1. */
const minModulusBits = 2_048;
const minExponent = 65_537n;
const maxExponentBits = 256;
/** Longest modulus that is examined, in characters of base64url: 16,384 bits. */
const maxModulusLength = 2_731;

/**
 * Returns why an RSA key (RFC 7518 section 6.3.1) must not be used, in a few words; `null` for a strong one. With the exponent 1 a signature is the
 * message itself, so anyone can sign. A modulus below 2048 bits can be factored (NIST SP 800-131A), and so can the moduli of a faulty library (ROCA,
 * CVE-2017-15361).
 */
export function rsaWeakness({ n, e }: { readonly n?: unknown; readonly e?: unknown }): string | null {
  const modulus = readInteger(n);
  const exponent = readInteger(e);
  if (modulus === null || exponent === null) return "the modulus or the exponent cannot be read";
  if (modulus.toString(2).length < minModulusBits) return `the modulus has fewer than ${minModulusBits} bits`;
  if (exponent < minExponent) return `the exponent is less than ${minExponent}`;
  if (exponent % 2n === 0n || exponent.toString(2).length > maxExponentBits) return "the exponent is not valid";
  if (modulus % 2n === 0n) return "the modulus is even";
  if (hasRocaFingerprint(modulus)) return "the modulus comes from a faulty generator (ROCA)";
  return null;
}

/** The small primes of the published ROCA detector. */
const fingerprintPrimes: readonly number[] = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/**
 * Whether a modulus looks like the faulty library made it: its primes were powers of 65537 modulo a product of small primes, so
 * the modulus is such a power modulo each of them. By chance this happens with a probability of less than 1 in 10^20.
 */
function hasRocaFingerprint(modulus: bigint): boolean {
  return fingerprintPrimes.every((prime) => powersModulo(prime).has(Number(modulus % BigInt(prime))));
}

/** The powers of 65537 modulo a prime. */
function powersModulo(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65_537) % prime) powers.add(power);
  return powers;
}

/**
 * The y coordinates of the eight points of Ed25519 whose order divides 8, in hexadecimal, with the bytes in the order of the key. They are the
 * blocklist of libsodium (`ge25519_has_small_order`), and table 1 of "Taming the many EdDSAs" (https://eprint.iacr.org/2020/1244) without the
 * signs of x.
 */
const smallOrderPoints: readonly string[] = [
  "0100000000000000000000000000000000000000000000000000000000000000", // 1: order 1, the neutral element
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // -1: order 2
  "0000000000000000000000000000000000000000000000000000000000000000", // 0: order 4
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
  // RFC 8032 section 5.1.3 forbids y of 2^255-19 and more, but some runtimes read it.
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 2^255-19, the same as 0
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 2^255-18, the same as 1
];
/** The highest bit of the last byte is the sign of x. */
const signBit = 0x80n;

/**
 * Returns why an Ed25519 key (RFC 8037) must not be used, in a few words; `null` for a sound one. If the key is a point of small order, anyone can
 * sign at least every eighth text without the private key. Node verifies nothing with such a key, but Bun, Deno and Workers do.
 */
export function ed25519Weakness({ x }: { readonly x?: unknown }): string | null {
  // Every runtime ignores padding, and some much more, so any other spelling is refused.
  const [, digits] = (typeof x === "string" && /^([\w-]{43})=*$/.exec(x)) || [];
  const point = readInteger(digits);
  if (point === null) return "the key cannot be read";
  const y = (point & ~signBit).toString(16).padStart(64, "0");
  return smallOrderPoints.includes(y) ? "the key is a point of small order" : null;
}

/** Reads an unsigned integer in base64url (RFC 7518 section 2); `null` when it is not one or is too long. */
function readInteger(text: unknown): bigint | null {
  if (typeof text !== "string" || text.length > maxModulusLength || !/^[A-Za-z0-9_-]+$/.test(text)) return null;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const digits = Array.from(binary, (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0"));
    return BigInt(`0x${digits.join("")}`);
  } catch {
    return null;
  }
}
