/** `letta-env send` as a user runs it: a separate process, a real gateway, scripted devices. */
import { connectScriptedDevice, type ScriptedDevice } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Fleet, launchFleet } from "./support/launch-fleet.ts";
import { runCli, startCli } from "./support/run-cli.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await launchFleet();
});
afterAll(() => fleet.stop());

const run = (args: readonly string[], input?: string | Uint8Array) =>
  runCli(args, { env: fleet.gateway.env, ...(input !== undefined && { input }) });

/** The latest message that the device received, as JSON. */
function latestInput(device: ScriptedDevice): string {
  return JSON.stringify(device.received.frames.findLast((frame) => frame.type === "input"));
}

/** Resolves when the gateway has answered one more request for a device than by now. */
function nextRetrieval(): Promise<unknown> {
  const count = (): number => fleet.gateway.proxy.process.output().split("retrieveEnvironment").length;
  const before = count();
  return vi.waitUntil(() => count() > before, { timeout: 20_000 });
}

describe("send", () => {
  test("send delivers the message to the agent on the device, waits for its acknowledgement, and prints outcome and id", async () => {
    const { code, stdout, stderr } = await run(["send", "laptop", "--agent", "a1", "--message-id", "m-1", "hello"]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "started\tm-1\tdevice-1\n", stderr: "" });
    expect(latestInput(fleet.laptop)).toContain('"hello"');
    expect(latestInput(fleet.laptop)).toContain('"a1"');
  });

  test("send with the same message id runs once", async () => {
    const words = ["send", "laptop", "--agent", "a1", "--message-id", "m-2", "once"];
    expect((await run(words)).code).toBe(0);
    const before = fleet.laptop.received.frames.length;
    expect((await run(words)).code).toBe(0);
    expect(fleet.laptop.received.frames).toHaveLength(before);
    const other = await run(["send", "laptop", "--agent", "a1", "--message-id", "m-2", "another text"]);
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/^letta-env: message_id_reused: [^()]*\n$/);
  });

  test("send without an id uses a new one", async () => {
    const first = await run(["send", "laptop", "--agent", "a1", "hi"]);
    const second = await run(["send", "laptop", "--agent", "a1", "hi"]);
    expect(first.stdout).toMatch(/^started\t[0-9a-f-]{36}\tdevice-1\n$/);
    expect(second.stdout).not.toBe(first.stdout);
  });

  test("send reads the message from standard input, without an operand or with a dash, and drops the last line break", async () => {
    for (const words of [
      ["send", "laptop", "--agent", "a1"],
      ["send", "laptop", "-", "--agent", "a1"],
    ]) {
      expect((await run(words, "two\nlines — ünïcode\n")).code).toBe(0);
      expect(latestInput(fleet.laptop)).toContain(JSON.stringify("two\nlines — ünïcode"));
    }
  });

  test("send with --connection goes to that connection; --conversation and --json work as documented", async () => {
    const words = [
      "send",
      "--connection",
      fleet.laptop.connectionId,
      "--agent",
      "a1",
      "--conversation",
      "c1",
      "--json",
    ];
    const { code, stdout } = await run([...words, "--message-id", "m-3", "to a connection"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      outcome: "started",
      messageId: "m-3",
      deviceId: null,
      connectionId: fleet.laptop.connectionId,
    });
    expect(latestInput(fleet.laptop)).toContain('"c1"');
  });

  test("send to an offline device is exit code 3 and nothing is sent", async () => {
    const { code, stdout, stderr } = await run(["send", "asleep", "--agent", "a1", "hello"]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/asleep is offline .*; nothing was sent\n--wait-online waits for it\.\n$/);
  });

  test.each(["send", "send --follow"])(
    "%s --wait-online does not wait for a device that is not listed, and says so",
    async (command) => {
      const words = [...command.split(" "), "--wait-online", "10m", "--agent", "a1", "never-seen", "hello"];
      expect(await run(words)).toEqual({
        code: 6,
        stdout: "",
        stderr:
          "letta-env: there is no device with this id or name\n--wait-online waits for a listed device only: one that has registered before.\n",
      });
    },
  );

  test("send --wait-online gives up in time, silently in a pipe until then", async () => {
    const { code, stderr } = await run(["send", "asleep", "--wait-online", "10ms", "--agent", "a1", "hello"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^letta-env: asleep is offline and did not come back in time/);
  });

  test("send --wait-online sends once the device has come online", async () => {
    const retrieved = nextRetrieval();
    const waiting = startCli(["send", "device-4", "--wait-online", "--agent", "a1", "hello"], {
      env: fleet.gateway.env,
    });
    await retrieved;
    const options = { baseUrl: fleet.gateway.proxy.url, apiKey: fleet.gateway.deviceKey, deviceId: "device-4" };
    const device = await connectScriptedDevice({ ...options, connectionName: "asleep" });
    const { code, stdout, stderr } = await waiting.result;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^started\t[0-9a-f-]{36}\tdevice-4\n$/);
    expect(latestInput(device)).toContain('"hello"');
    await device.close();
  });

  test("send to a device that rejects the message is exit code 4, with the reason escaped", async () => {
    const { code, stdout, stderr } = await run(["send", "grumpy", "--agent", "a1", "hello"]);
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toMatch(/^letta-env: input_rejected: .*No such agent/);
    expect(stderr).not.toContain("\u001b");
  });

  test("send to a device that does not acknowledge is exit code 5 with the message id, and the same id returns the outcome later", async () => {
    const words = ["send", "silent", "--agent", "a1", "--message-id", "m-5", "hello"];
    const { code, stdout, stderr } = await run(words);
    expect({ code, stdout }).toEqual({ code: 5, stdout: "unknown\tm-5\tdevice-2\n" });
    expect(stderr).toMatch(/^letta-env: delivery_unknown: /);
    expect(stderr).toContain("--message-id m-5");
    const input = fleet.silent.received.frames.find((frame) => frame.type === "input") ?? { type: "none" };
    fleet.silent.send({
      type: "input_accepted",
      request_id: input["request_id"],
      runtime: input["runtime"],
      accepted: true,
    });
    await expect.poll(async () => (await run(words)).stdout, { timeout: 20_000 }).toBe("duplicate\tm-5\tdevice-2\n");
  });

  test("SIGINT after a message was sent ends with 130 and says how to get the outcome", async () => {
    const received = fleet.silent.received.frames.length;
    const sending = startCli(["send", "silent", "--agent", "a1", "--message-id", "m-6", "hello"], {
      env: fleet.gateway.env,
    });
    await fleet.silent.received.waitFor(
      (frame) => frame.type === "input" && fleet.silent.received.frames.indexOf(frame) >= received,
    );
    sending.signal("SIGINT");
    const { code, stderr } = await sending.result;
    expect(code).toBe(130);
    expect(stderr).toContain("it is not known whether the device received it");
    expect(stderr).toContain("--message-id m-6");
  });

  test("SIGHUP during --wait-online ends with 129, and nothing was sent", async () => {
    const retrieved = nextRetrieval();
    const waiting = startCli(["send", "twin-2", "--wait-online", "--agent", "a1", "hello"], { env: fleet.gateway.env });
    await retrieved;
    waiting.signal("SIGHUP");
    expect(await waiting.result).toEqual({ code: 129, stdout: "", stderr: "letta-env: ended; nothing was sent\n" });
  });

  test("SIGTERM during --wait-online ends with 143, and nothing was sent", async () => {
    const retrieved = nextRetrieval();
    const waiting = startCli(["send", "twin-1", "--wait-online", "--agent", "a1", "hello"], { env: fleet.gateway.env });
    await retrieved;
    waiting.signal("SIGTERM");
    expect(await waiting.result).toEqual({ code: 143, stdout: "", stderr: "letta-env: ended; nothing was sent\n" });
  });
});

/** The laptop asks for permission; resolves when the gateway knows. */
async function askPermission(toolCallId: string): Promise<void> {
  const runtime = { agent_id: "a1", conversation_id: "default" };
  fleet.laptop.send({
    type: "control_request",
    request_id: `perm-${toolCallId}`,
    request: { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: toolCallId },
    ...runtime,
    runtime,
  });
  const { proxy, callerKey } = fleet.gateway;
  await expect
    .poll(async () => {
      const headers = { authorization: `Bearer ${callerKey}` };
      return (await fetch(`${proxy.url}/v1/environments/approvals`, { headers })).text();
    })
    .toContain(toolCallId);
}

describe("the commands approve and deny", () => {
  test("approve and deny deliver the decision to the device, and print the outcome without a message id", async () => {
    for (const [command, behavior] of [
      ["approve", "allow"],
      ["deny", "deny"],
    ] as const) {
      await askPermission(`call-of-${command}`);
      const words = [command, "laptop", "--agent", "a1", "--request", `call-of-${command}`];
      const { code, stdout, stderr } = await run(words);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^[a-z]+\t[^\t\n]*\tdevice-1\n$/);
      expect(latestInput(fleet.laptop)).toContain(`"request_id":"perm-call-of-${command}"`);
      expect(latestInput(fleet.laptop)).toContain(`"behavior":"${behavior}"`);
    }
  });
});
