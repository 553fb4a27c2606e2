import { launchProcess } from "@letta-environments/testkit";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

const repository = resolve(import.meta.dirname, "../../../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-first-start-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The command printed under a heading. */
function commandAfter(heading: string, output: string): string {
  return output.split(`${heading}\n`)[1]?.split("\n")[0]?.trim() ?? "";
}

test("each command that the first start and the second one print works when it is pasted; the second prints no key", async () => {
  const dataDir = join(folder, "data");
  const env = { HOME: join(folder, "home"), DEVICE_HOME: join(folder, "device") };
  const entry = join(repository, "apps/proxy/src/runtimes/node.ts");
  const args = [entry, "start", "--port", "0", "--data-dir", dataDir];
  const launch = (command: string, commandArgs: readonly string[]): ReturnType<typeof launchProcess> => {
    const launched = launchProcess({ command, args: commandArgs, cwd: repository, env });
    onTestFinished(() => void launched.stop());
    return launched;
  };
  const first = launch(process.execPath, args);
  await first.waitForOutput(/Send a message to the device[^]*\n\n/);
  const output = first.output();
  const paste = (heading: string): ReturnType<typeof launchProcess> =>
    launch("bash", ["-c", commandAfter(heading, output)]);

  const device = paste("Connect a device:");
  await device.waitForOutput(/Connected as demo/, 60_000);
  const list = paste("List the devices:");
  expect((await list.exited).code).toBe(0);
  expect(list.output()).toMatch(/^[^\t]+\tdemo\tonline\t/m);
  const send = paste("Send a message to the device:");
  expect((await send.exited).code).toBe(0);
  expect(send.output()).toMatch(/^(?:started|queued)\t/);
  await device.waitForOutput(/assistant: pong/);
  await device.stop();
  await first.stop();

  const second = launch(process.execPath, args);
  await second.waitForOutput(/Create a key:\n.*\n\n/);
  expect(second.output()).not.toContain("lek_");
  for (const heading of ["List the keys:", "Create a key:"]) {
    const pasted = launch("bash", ["-c", commandAfter(heading, second.output())]);
    expect((await pasted.exited).code).toBe(0);
    expect(pasted.output()).toMatch(heading === "List the keys:" ? /first caller/ : /^lek_\w+\n$/);
  }
  await second.stop();
}, 120_000);
