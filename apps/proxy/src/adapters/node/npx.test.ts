import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { baseEnvironment } from "@letta-environments/testkit";
import { expect, test } from "vitest";

const npx = join(import.meta.dirname, "npx.ts");
/** A program that runs until npx has ended, as the gateway does. Its output ends with it. */
const program = `
  const keep = setInterval(() => undefined, 1_000);
  const { onNpxEnd } = await import(${JSON.stringify(npx)});
  onNpxEnd(() => { console.log("npx has ended"); clearInterval(keep); });
  console.log("running");`;

const words = [process.execPath, "--input-type=module", "--eval", program];
/** The program through a shell, as npx runs it. */
const throughShell = ["/bin/sh", "-c", '"$@"; exit', "sh", ...words];

/** Starts a command below a process with a title, and ends that process alone once the program runs. */
async function endParent(title: string, [file = "", ...args]: readonly string[]): Promise<string> {
  const parent = `
    process.title = ${JSON.stringify(title)};
    require("node:child_process").spawn(${JSON.stringify(file)}, ${JSON.stringify(args)}, { stdio: "inherit" });`;
  const child = spawn(process.execPath, ["--eval", parent], {
    env: baseEnvironment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.stdout.once("data", () => child.kill("SIGTERM"));
  const output = text(child.stdout);
  await once(child, "exit");
  return output;
}

test.skipIf(process.platform !== "linux").each([
  ["itself", words],
  ["through a shell", throughShell],
])(
  "a program started by npx %s detects that only npx was terminated",
  async (_how, command) => {
    expect(await endParent("npm exec letta-proxy start", command)).toBe("running\nnpx has ended\n");
  },
  30_000,
);

test.skipIf(process.platform !== "linux")(
  "a program started by another program under npx does not end with npx",
  async () => {
    const launch = 'require("node:child_process").spawn(process.argv[1], process.argv.slice(2), { stdio: "inherit" })';
    const between = [process.execPath, "--eval", launch, "sh", "-c", 'timeout 3 "$@"; exit 0', "sh", ...words];
    expect(await endParent("npm exec some-tool", between)).toBe("running\n");
  },
  30_000,
);
