/** The gateway's API description, which `scripts/generate.ts` writes, for hosts that serve it. */
import type { OpenApiDocument } from "@letta-environments/schema";

let loaded: Promise<OpenApiDocument> | null = null;

/** Loads the API description on the first call. */
export function loadOpenApi(): Promise<OpenApiDocument> {
  loaded ??= import("../../openapi.json", { with: { type: "json" } }).then(({ default: document }) =>
    describeDocument(JSON.stringify(document)),
  );
  return loaded;
}

/** Adds the entity tag of a text: half of its SHA-256. */
export async function describeDocument(text: string): Promise<OpenApiDocument> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { text, entityTag: `"${hex.slice(0, 32)}"` };
}
