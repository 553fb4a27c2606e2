/**
 * `pnpm deploy:cloudflare [--name NAME] [--upstream URL] [--url URL] [--console] [--dry-run] [--built]`: deploys the gateway to Cloudflare Workers and
 * prints its first key. It asks nothing, and can be repeated: secrets are made once and stored in `.data/cloudflare/NAME.json`. See docs/deploy/cloudflare.md.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { deploy } from "./deploy.mjs";
import { createHost } from "./host.mjs";
import { DeployError } from "./options.mjs";

function readArguments() {
  try {
    const given = process.argv.slice(2);
    const { values } = parseArgs({
      args: given[0] === "--" ? given.slice(1) : given,
      allowNegative: true,
      options: {
        name: { type: "string" },
        upstream: { type: "string" },
        url: { type: "string" },
        console: { type: "boolean" },
        "dry-run": { type: "boolean", default: false },
        built: { type: "boolean", default: false },
      },
    });
    const { name, upstream, url, console: hasConsole, built: isBuilt, "dry-run": isDryRun } = values;
    return { name, upstream, url, hasConsole, isBuilt, isDryRun };
  } catch {
    throw new DeployError(
      "the options are --name NAME, --upstream URL, --url URL, --console or --no-console, --dry-run and --built",
    );
  }
}

try {
  const key = await deploy(readArguments(), createHost());
  if (key !== null) process.stdout.write(`${key}\n`);
} catch (error) {
  if (!(error instanceof DeployError)) throw error;
  if (error.key !== null) process.stdout.write(`${error.key}\n`);
  process.stderr.write(`deploy:cloudflare: ${error.message}\n`);
  process.exitCode = 1;
}
