import type { OpenApiDocument } from "@letta-environments/schema";

let loaded: Promise<OpenApiDocument> | null = null;

/** Reads the description of the API that the schema package carries, once. */
export function loadOpenApi(): Promise<OpenApiDocument> {
  loaded ??= read();
  return loaded;
}

async function read(): Promise<OpenApiDocument> {
  const { default: document } = await import("@letta-environments/schema/openapi.json", { with: { type: "json" } });
  const text = JSON.stringify(document);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { text, entityTag: `"${hex.slice(0, 32)}"` };
}
