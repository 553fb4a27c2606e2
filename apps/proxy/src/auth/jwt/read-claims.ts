import type { JwtSettings } from "../jwt-settings.ts";
import { isJsonObject, type JsonObject } from "../../is-json-object.ts";
import { parseJson } from "../../parse-json.ts";

/** A token whose signature is good. */
export interface SignedToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Uint8Array;
}

/** What a token says that holds now. */
export interface TokenClaims {
  readonly claims: JsonObject;
  /** Epoch milliseconds, tolerance included. */
  readonly expiresAt: number;
}

/**
 * Reads the claims of a token and judges the registered ones (RFC 7519 section 4.1, RFC 8725 section 3, RFC 9068 section 4): `null` where one that is
 * needed is missing, where one has another form, and where one does not hold.
 */
export function readClaims(
  { header, payload }: SignedToken,
  { type, issuer, audience, clockToleranceMs }: JwtSettings,
  nowMs: number,
): TokenClaims | null {
  // RFC 7797 section 7: the payload of a JWT is never unencoded.
  if (header["b64"] === false || mediaType(header["typ"]) !== mediaType(type)) return null;
  const claims = parseJson(payload);
  if (!isJsonObject(claims)) return null;
  const { iss, sub, aud, exp, nbf = 0, iat = 0 } = claims;
  if (iss !== issuer || sub === undefined) return null;
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!audience.some((known) => audiences.includes(known))) return null;
  if (!isTime(exp) || !isTime(nbf) || !isTime(iat)) return null;
  const nowSeconds = Math.floor(nowMs / 1_000);
  const toleranceSeconds = clockToleranceMs / 1_000;
  if (nbf > nowSeconds + toleranceSeconds || exp <= nowSeconds - toleranceSeconds) return null;
  return { claims, expiresAt: exp * 1_000 + clockToleranceMs };
}

/** In lower case, and with the `application/` that may be left out (RFC 7515 section 4.1.9). */
function mediaType(value: unknown): string | null {
  if (typeof value !== "string") return null;
  const lowerCase = value.toLowerCase();
  return lowerCase.includes("/") ? lowerCase : `application/${lowerCase}`;
}

/** A time in JSON can be too large for a number. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
