/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Returns whether a value is an object and not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parses JSON in UTF-8; `undefined` when it is malformed. The parser's error quotes its input, so it is dropped. */
export function parseJson(text: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof text === "string" ? text : new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch {
    return undefined;
  }
}

/** Bodies that several steps read are parsed once. The parsed value must not be changed. */
const parsedBodies = new WeakMap<Uint8Array, JsonObject | null>();

/** Parses a body as a JSON object in UTF-8; `null` when it is anything else. */
export function parseJsonObject(body: Uint8Array | string | null): JsonObject | null {
  if (!(body instanceof Uint8Array)) return toJsonObject(parseJson(body ?? ""));
  let value = parsedBodies.get(body);
  if (value === undefined) {
    value = toJsonObject(parseJson(body));
    parsedBodies.set(body, value);
  }
  return value;
}

function toJsonObject(value: unknown): JsonObject | null {
  return isJsonObject(value) ? value : null;
}
