/**
 * Generates guards, drift finders, JSON Schema and the OpenAPI document from the schemas. With `--write` it writes the files;
 * without, it fails if a file is out of date. Requires a Node.js that runs TypeScript.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { emitDrift } from "./emit-drift.ts";
import { emitOpenApi } from "./open-api/document.ts";
import { emitGuards } from "./emit-guards.ts";
import { emitJsonSchema } from "./json-schema.ts";
import { wireTypes } from "./wire-types.ts";

const files: readonly (readonly [name: string, text: string])[] = [
  ["src/checks/guards.gen.ts", emitGuards(wireTypes)],
  ["src/checks/drift.gen.ts", emitDrift(wireTypes)],
  ["openapi.json", emitOpenApi()],
  ...wireTypes.map((type) => [`json-schema/${type.name}.json`, emitJsonSchema(type)] as const),
];

const folder = join(import.meta.dirname, "..");
for (const [name, text] of files) {
  const path = join(folder, name);
  if (process.argv.includes("--write")) writeFileSync(path, text);
  const isStale = !existsSync(path) || readFileSync(path, "utf8") !== text;
  process.stdout.write(
    isStale
      ? `packages/schema/${name} is out of date: run 'pnpm generate'\n`
      : `packages/schema/${name} is up to date\n`,
  );
  if (isStale) process.exitCode = 1;
}
