import type { PlainResponse } from "@letta-environments/schema";
import { isJsonObject, type JsonObject } from "../lib/json.ts";
import { parseJson } from "../lib/json.ts";

/** Bodies that several steps read are parsed once; what is parsed is never changed. */
const parsed = new WeakMap<Uint8Array, JsonObject | null>();

/** Reads a body as a JSON object in UTF-8; `null` when it is none. */
export function parseJsonObject(body: PlainResponse["body"]): JsonObject | null {
  if (!(body instanceof Uint8Array)) return parse(body ?? "");
  let value = parsed.get(body);
  if (value === undefined) {
    value = parse(body);
    parsed.set(body, value);
  }
  return value;
}

function parse(text: string | Uint8Array): JsonObject | null {
  const value = parseJson(text);
  return isJsonObject(value) ? value : null;
}
