import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceCommand } from "./device-command.ts";
import { type LaunchedProcess, launchProcess } from "./launch-process.ts";
import { seedLocalAgent } from "./seed-local-agent.ts";

/** A real Letta Code device in a process and a home folder of its own. */
export interface LaunchedDevice {
  readonly deviceId: string;
  readonly process: LaunchedProcess;
  /** Stops the process as a person would, and removes its home. */
  stop(): Promise<void>;
  /** Kills the process without a chance to say goodbye, and removes its home. */
  kill(): Promise<void>;
}

/** Starts a real device; it has the agent `demoAgentId`, whose every turn answers "pong". */
export async function launchDevice(options: {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly deviceId: string;
  readonly connectionName?: string;
}): Promise<LaunchedDevice> {
  const root = await mkdtemp(join(tmpdir(), "letta-device-"));
  const home = join(root, "home");
  const workingDirectory = join(root, "work");
  await mkdir(workingDirectory, { recursive: true });
  await seedLocalAgent(home);
  const device = launchProcess(
    deviceCommand({ ...options, home, workingDirectory, connectionName: options.connectionName ?? options.deviceId }),
  );
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    await device.stop(signal);
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  };
  return {
    deviceId: options.deviceId,
    process: device,
    stop: () => end("SIGTERM"),
    kill: () => end("SIGKILL"),
  };
}
