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

/** Starts the program below a process with a title, and ends that process alone once the program runs. */
async function endParent(title: string): Promise<string> {
  const words = JSON.stringify(["--input-type=module", "--eval", program]);
  const parent = `
    process.title = ${JSON.stringify(title)};
    require("node:child_process").spawn(process.execPath, ${words}, { stdio: "inherit" });`;
  const child = spawn(process.execPath, ["--eval", parent], {
    env: baseEnvironment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.stdout.once("data", () => child.kill("SIGTERM"));
  const output = text(child.stdout);
  await once(child, "exit");
  return output;
}

test.skipIf(process.platform !== "linux")(
  "a program below npx learns that npx alone has been ended",
  async () => {
    expect(await endParent("npm exec letta-proxy start")).toBe("running\nnpx has ended\n");
  },
  30_000,
);
