/** `letta-env` on a pseudo-terminal, as a person sees it. */
import { displayWidth } from "@letta-environments/command-line";
import { connectScriptedDevice, registerDevice, type ScriptedDevice } from "@letta-environments/testkit";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { canOpenTerminal, runInTerminal } from "./support/run-in-terminal.ts";

describe.runIf(canOpenTerminal())("output on a terminal", () => {
  let gateway: Gateway;
  let laptop: ScriptedDevice;

  beforeAll(async () => {
    gateway = await launchGateway();
    const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
    laptop = await connectScriptedDevice({ ...options, deviceId: "d1", connectionName: "日本語 laptop" });
    await registerDevice({ ...options, deviceId: "d2", connectionName: "asleep" });
  });
  afterAll(async () => {
    await laptop?.terminate();
    await gateway?.proxy.stop();
  });
  const run = (args: readonly string[], columns = 80, env: Record<string, string> = {}) =>
    runInTerminal(args, { env: { ...gateway.env, ...env }, columns });

  test("list prints a coloured table with a header on a terminal, aligned and no wider than the terminal", async () => {
    for (const columns of [20, 40, 80]) {
      const { code, shown } = await run(["list"], columns).result;
      expect(code).toBe(0);
      expect(shown).toContain("\u001b[1mNAME");
      const lines = stripVTControlCharacters(shown).trimEnd().split(/\r?\n/);
      expect(lines).toHaveLength(3);
      for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(columns);
    }
  });

  test("NO_COLOR removes the colours, and so does --json", async () => {
    const plain = [run(["list"], 80, { NO_COLOR: "1" }), run(["list", "--json"])];
    for (const { shown } of await Promise.all(plain.map(({ result }) => result))) {
      expect(shown).toContain("laptop");
      expect(shown).not.toContain("\u001b");
    }
  });

  test("on a terminal, send says which device accepted the message", async () => {
    const { code, shown } = await run(["send", "d1", "--agent", "a1", "--message-id", "m1", "hello"]).result;
    // On a slow machine a progress line comes first. What is left of it is what follows its removal.
    const left = shown.split("\u001b[K").at(-1);
    expect({ code, left }).toEqual({ code: 0, left: "Started by 日本語 laptop.  Message id: m1\r\n" });
  });

  test("on a terminal, a missing message is an immediate error instead of a silent wait for input", async () => {
    const { code, shown } = await run(["send", "d1", "--agent", "a1"]).result;
    expect(code).toBe(2);
    expect(shown).toContain("MESSAGE is missing");
  });

  test("a progress line shows what the program waits for, and is removed when Ctrl-C ends the wait", async () => {
    const waiting = run(["send", "asleep", "--wait-online", "--agent", "a1", "hello"], 60);
    await waiting.shows(/waiting for asleep to come online…/);
    waiting.press("\u0003");
    const { code, shown } = await waiting.result;
    expect(code).toBe(130);
    expect(shown.endsWith("\r\u001b[Kletta-env: ended; nothing was sent\r\n")).toBe(true);
  });

  test("lines are at most 80 cells wide on a terminal that does not say its width", async () => {
    const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
    await registerDevice({ ...options, deviceId: "d3", connectionName: "n".repeat(120) });
    const { shown } = await run(["list"], 0).result;
    const lines = stripVTControlCharacters(shown).trimEnd().split(/\r?\n/);
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(80);
  });
});
