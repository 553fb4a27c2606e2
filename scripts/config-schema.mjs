/**
 * Checks that the JSON Schema of proxy.config.json, which editors use, matches the settings; `--write` updates it. Needs a Node that
 * runs TypeScript.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { repositoryRoot } from "./lib/repository.mjs";
import { configJsonSchema } from "../apps/proxy/scripts/config-json-schema.ts";

const name = "apps/proxy/proxy.config.schema.json";
const path = join(repositoryRoot, name);
const current = configJsonSchema();
if (process.argv.includes("--write")) writeFileSync(path, current);
const isStale = !existsSync(path) || readFileSync(path, "utf8") !== current;
process.stdout.write(isStale ? `${name} is stale: run 'pnpm config-schema'\n` : `${name} is up to date\n`);
process.exitCode = isStale ? 1 : 0;
