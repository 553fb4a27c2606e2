/**
 * Writes what is made from the schemas: with `--write` the files, else it fails when one is not what the schemas give. Needs a
 * Node that runs TypeScript.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { emitDrift } from "./emit-drift.ts";
import { emitJsonSchema } from "./emit-json-schema.ts";
import { emitOpenApi } from "./emit-openapi.ts";
import { emitGuards } from "./emit-guards.ts";
import { wireTypes } from "./wire-types.ts";

const files: readonly (readonly [name: string, text: string])[] = [
  ["src/guards.gen.ts", emitGuards(wireTypes)],
  ["src/drift.gen.ts", emitDrift(wireTypes)],
  ["openapi.json", emitOpenApi(wireTypes)],
  ...wireTypes.map((type) => [`json-schema/${type.name}.json`, emitJsonSchema(type)] as const),
];

const folder = join(import.meta.dirname, "..");
for (const [name, text] of files) {
  const path = join(folder, name);
  if (process.argv.includes("--write")) writeFileSync(path, text);
  const isStale = !existsSync(path) || readFileSync(path, "utf8") !== text;
  process.stdout.write(
    isStale ? `packages/schema/${name} is stale: run 'pnpm generate'\n` : `packages/schema/${name} is up to date\n`,
  );
  if (isStale) process.exitCode = 1;
}
