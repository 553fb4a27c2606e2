/**
 * Generates `openapi.json` of the gateway, the reference of its commands in `docs/commands.md`, and the index of `docs/problems`. With `--write` it writes the files; without, it fails
 * if one is out of date.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { program } from "../src/commands/program.ts";
import { writeCommandReference } from "./command-reference.ts";
import { emitGatewayOpenApi } from "./open-api/document.ts";
import { writeProblemIndex } from "./problem-index.ts";

const repository = join(import.meta.dirname, "../../..");
const commandsPath = "docs/commands.md";
const files: Readonly<Record<string, string>> = {
  "apps/proxy/openapi.json": emitGatewayOpenApi(),
  [commandsPath]: writeCommandReference(readFileSync(join(repository, commandsPath), "utf8"), program),
  "docs/problems/README.md": writeProblemIndex(),
};
for (const [name, text] of Object.entries(files)) {
  const path = join(repository, name);
  if (process.argv.includes("--write")) writeFileSync(path, text);
  const isStale = !existsSync(path) || readFileSync(path, "utf8") !== text;
  process.stdout.write(isStale ? `${name} is out of date: run 'pnpm generate'\n` : `${name} is up to date\n`);
  if (isStale) process.exitCode = 1;
}
