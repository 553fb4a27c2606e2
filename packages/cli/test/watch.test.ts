/** `letta-env watch` as a user runs it, against a real gateway. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { baseEnvironment, connectScriptedDevice } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { entry, startCli } from "./support/run-cli.ts";

let gateway: Gateway;
const device = (deviceId: string, connectionName: string) =>
  connectScriptedDevice({ baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey, deviceId, connectionName });

beforeAll(async () => {
  gateway = await launchGateway();
});
afterAll(async () => {
  await gateway?.proxy.stop();
});

test("watch prints a line for each event as it happens, and ends cleanly on SIGINT with 130", async () => {
  const laptop = await device("d1", "laptop");
  const watching = startCli(["watch", "--interval", "50ms"], { env: gateway.env });
  await watching.printed("\tappeared\td1\tlaptop\n");
  await laptop.close();
  await watching.printed("\toffline\td1\tlaptop\n");
  const again = await device("d1", "laptop");
  await watching.printed("\tonline\td1\tlaptop\n");
  watching.signal("SIGINT");
  const { code, stdout, stderr } = await watching.result;
  expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
  for (const line of stdout.trimEnd().split("\n")) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z\t\w+\td1\tlaptop$/);
  await again.close();
});

test("watch --json prints one document per line", async () => {
  const laptop = await device("d2", "desk");
  const watching = startCli(["watch", "--json", "--interval", "50ms"], { env: gateway.env });
  await watching.printed('"connectionName":"desk"');
  watching.signal("SIGTERM");
  const { code, stdout } = await watching.result;
  expect(code).toBe(143);
  const events = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  expect(events).toContainEqual(expect.objectContaining({ type: "appeared", online: true }));
  await laptop.close();
});

test("watch exits silently with 0 when its pipe is closed", async () => {
  const laptop = await device("d3", "first");
  const args = ["--disable-warning=ExperimentalWarning", entry, "watch", "--interval", "50ms"];
  const child = spawn(process.execPath, args, { env: { ...baseEnvironment, ...gateway.env } });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "close");
  await once(child.stdout, "data");
  child.stdout.destroy();
  await laptop.close();
  expect([(await closed)[0], stderr]).toEqual([0, ""]);
});
