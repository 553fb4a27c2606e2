import type { JSONWebKeySet } from "jose";
import { isJsonObject } from "../../is-json-object.ts";
import { parseJson } from "../../parse-json.ts";

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
