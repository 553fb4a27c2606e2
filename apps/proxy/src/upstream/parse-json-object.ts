import type { PlainResponse } from "@letta-environments/schema";

type JsonObject = Readonly<Record<string, unknown>>;

/** Bodies that several steps read are parsed once; what is parsed is never changed. */
const parsed = new WeakMap<Uint8Array, JsonObject | null>();

/** Reads a body as a JSON object in UTF-8; `null` when it is none. */
export function parseJsonObject(body: PlainResponse["body"]): JsonObject | null {
  if (!(body instanceof Uint8Array)) return parse(() => body ?? "");
  let value = parsed.get(body);
  if (value === undefined) {
    value = parse(() => new TextDecoder("utf-8", { fatal: true }).decode(body));
    parsed.set(body, value);
  }
  return value;
}

function parse(textOf: () => string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(textOf());
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
