/** Generates `openapi.json` of the gateway. With `--write` it writes the file; without, it fails if the file is out of date. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { emitGatewayOpenApi } from "./open-api/document.ts";

const path = join(import.meta.dirname, "..", "openapi.json");
const text = emitGatewayOpenApi();
if (process.argv.includes("--write")) writeFileSync(path, text);
const isStale = !existsSync(path) || readFileSync(path, "utf8") !== text;
process.stdout.write(
  isStale ? "apps/proxy/openapi.json is out of date: run 'pnpm generate'\n" : "apps/proxy/openapi.json is up to date\n",
);
if (isStale) process.exitCode = 1;
