/** `letta-env stop` and `letta-env mode` as a user runs them: a separate process, a real gateway, a scripted device. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { reply, rowOf, serve } from "./support/fake-server.ts";
import { type Fleet, launchFleet } from "./support/launch-fleet.ts";
import { runCli } from "./support/run-cli.ts";

let fleet: Fleet;
let env: Readonly<Record<string, string>>;
beforeAll(async () => {
  fleet = await launchFleet();
  const apiKey = await fleet.gateway.proxy.createKey({ scopes: ["list", "read", "control"] });
  env = { ...fleet.gateway.env, LETTA_API_KEY: apiKey };
});
afterAll(() => fleet.stop());

/** Answers the next stop of the laptop. */
async function answerStop(aborted: boolean): Promise<void> {
  const { frames } = fleet.laptop.received;
  const before = frames.length;
  const { request_id, runtime } = await fleet.laptop.received.waitFor(
    (frame) => frame.type === "abort_message" && frames.indexOf(frame) >= before,
  );
  fleet.laptop.send({ type: "abort_message_response", request_id, runtime, aborted, success: true });
}

test("stop prints whether a turn was stopped, and the deviceId", async () => {
  for (const [aborted, word] of [
    [true, "stopped"],
    [false, "idle"],
  ] as const) {
    const answered = answerStop(aborted);
    const { code, stdout, stderr } = await runCli(["stop", "laptop", "--agent", "a1"], { env });
    await answered;
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${word}\tdevice-1\n`, stderr: "" });
  }
  const answered = answerStop(true);
  const { stdout } = await runCli(["stop", "device-1", "--conversation", "c1", "--json"], { env });
  await answered;
  expect(JSON.parse(stdout)).toEqual({ stopped: true, deviceId: "device-1" });
});

test("mode prints the mode that the device reports", async () => {
  const changed = fleet.laptop.received
    .waitFor((frame) => frame.type === "change_device_state")
    .then(({ runtime }) =>
      fleet.laptop.send({
        type: "update_device_status",
        runtime,
        device_status: { current_permission_mode: "acceptEdits" },
      }),
    );
  const { code, stdout } = await runCli(["mode", "laptop", "acceptEdits", "--agent", "a1"], { env });
  await changed;
  expect([code, stdout]).toEqual([0, "acceptEdits\tdevice-1\n"]);
});

test("an unknown mode and a missing agent are refused before any request; an offline device ends with 3", async () => {
  const free = await runCli(["mode", "laptop", "free", "--agent", "a1"], { env });
  expect([free.code, free.stderr]).toEqual([2, expect.stringContaining("MODE must be one of default, standard")]);
  const without = await runCli(["stop", "laptop"], { env });
  expect([without.code, without.stderr]).toEqual([2, "letta-env: 'stop' needs --agent ID\n"]);
  const asleep = await runCli(["stop", "asleep", "--agent", "a1"], { env });
  expect([asleep.code, asleep.stderr]).toEqual([3, expect.stringContaining("asleep is offline")]);
});

test("a key without the scope gets an error that names the scope and the command that adds it, without the key", async () => {
  const { code, stderr } = await runCli(["stop", "laptop", "--agent", "a1"], { env: fleet.gateway.env });
  const id = fleet.gateway.callerKey.slice(4, 16);
  expect([code, stderr]).toEqual([
    4,
    "letta-env: insufficient_scope: The gateway key lacks the scope 'control'\n" +
      `The operator of the gateway can change that: 'letta-proxy keys update ${id} --scope ...', with all scopes that the key needs.\n`,
  ]);
});

test("control commands against a server without control explain what is missing", async () => {
  const { env: other } = await serve(({ method }, response) =>
    method === "GET" ? reply(response, 200, rowOf("c1")) : reply(response, 404, { message: "Not Found" }),
  );
  const { code, stderr } = await runCli(["mode", "d1", "standard", "--agent", "a1"], { env: other });
  expect([code, stderr]).toEqual([1, expect.stringContaining("the server does not offer changeMode")]);
});
