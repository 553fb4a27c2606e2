import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectScriptedDevice, registerDevice, type ScriptedDevice } from "@letta-environments/testkit";
import { type Gateway, launchGateway } from "./gateway.ts";

/** A gateway with devices of every kind, and a folder for files of a test. */
export interface Fleet {
  readonly gateway: Gateway;
  /** Takes every message. */
  readonly laptop: ScriptedDevice;
  /** Says nothing to what it is sent. */
  readonly silent: ScriptedDevice;
  readonly folder: string;
  stop(): Promise<void>;
}

/** Starts a {@link Fleet}: beside `laptop` and `silent` there are `grumpy`, which refuses, `asleep`, which is offline, and two that are called `twin`. */
export async function launchFleet(): Promise<Fleet> {
  const folder = await mkdtemp(join(tmpdir(), "letta-env-"));
  const gateway = await launchGateway();
  const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
  const laptop = await connectScriptedDevice({ ...options, deviceId: "device-1", connectionName: "laptop" });
  const silent = await connectScriptedDevice({
    ...options,
    deviceId: "device-2",
    connectionName: "silent",
    acknowledge: () => null,
  });
  await connectScriptedDevice({
    ...options,
    deviceId: "device-3",
    connectionName: "grumpy",
    acknowledge: (input) => ({
      type: "input_accepted",
      request_id: input["request_id"],
      runtime: input["runtime"],
      accepted: false,
      error: "No such agent\u001b[2J",
    }),
  });
  await registerDevice({ ...options, deviceId: "device-4", connectionName: "asleep" });
  await registerDevice({ ...options, deviceId: "twin-1", connectionName: "twin" });
  await registerDevice({ ...options, deviceId: "twin-2", connectionName: "twin" });
  return {
    gateway,
    laptop,
    silent,
    folder,
    async stop() {
      await laptop.terminate();
      await silent.terminate();
      await gateway.proxy.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
