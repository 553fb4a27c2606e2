import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";
import { demoAgentId, launchProcess } from "@letta-environments/testkit";

const entry = join(import.meta.dirname, "../../../../packages/testkit/scripts/record-device.ts");

test("a recording has the registration of the device and the frames in their order, and no path of this machine", async () => {
  const folder = await mkdtemp(join(tmpdir(), "record-device-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const recorder = launchProcess({ command: process.execPath, args: [entry, "turn", "--folder", folder] });
  onTestFinished(async () => void (await recorder.stop()));
  const [, baseUrl, apiKey] = await recorder.waitForOutput(/LETTA_BASE_URL=(\S+) LETTA_API_KEY=(\S+)/);
  const ask = async (path: string, init: RequestInit = {}): Promise<Readonly<Record<string, unknown>>> => {
    const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
    return Object(await (await fetch(`${baseUrl}/v1/environments/${path}`, { ...init, headers })).json());
  };
  const { connectionId } = await ask("device-recorded");
  const messages = [{ role: "user", content: "hello", client_message_id: "m-1" }];
  const body = JSON.stringify({ agentId: demoAgentId, messages });
  expect(await ask(`${String(connectionId)}/messages`, { method: "POST", body })).toMatchObject({ success: true });
  await vi.waitFor(
    async () => expect(await ask(`${String(connectionId)}/messages/m-1`)).toMatchObject({ state: "finished" }),
    { timeout: 20_000, interval: 100 },
  );
  await recorder.stop("SIGINT");

  const [name = ""] = await readdir(folder);
  const text = await readFile(join(folder, name), "utf8");
  const [header, ...frames] = text
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  expect(header).toMatchObject({
    version: name.replace("-turn.jsonl", ""),
    registration: { deviceId: "device-recorded", connectionName: "recorded", metadata: {} },
  });
  expect(frames.slice(0, 2)).toMatchObject([
    { toDevice: { type: "input" } },
    { fromDevice: { type: "input_accepted", accepted: true } },
  ]);
  expect(text).toContain('"current_working_directory":"/work"');
  expect(text).toContain('"type":"turn_finished"');
  for (const path of [tmpdir(), join(import.meta.dirname, "../../../..")]) expect(text).not.toContain(path);
}, 60_000);
