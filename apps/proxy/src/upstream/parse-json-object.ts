import type { PlainResponse } from "@letta-environments/schema";

/** Reads a body as a JSON object in UTF-8; `null` when it is none. */
export function parseJsonObject(body: PlainResponse["body"]): Readonly<Record<string, unknown>> | null {
  try {
    const text = typeof body === "string" ? body : new TextDecoder("utf-8", { fatal: true }).decode(body ?? undefined);
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
