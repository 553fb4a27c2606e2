import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { devicePath } from "../systems/fixed-answer.ts";
import { proxyEntry, type SystemUnderTest } from "../systems/systems.ts";
import { startControlled } from "./control.ts";

/** A server that runs and answers. */
export interface RunningSystem {
  readonly system: SystemUnderTest;
  readonly port: number;
  /** The request to send, as it goes over the wire. */
  readonly request: string;
  /** Its response. */
  readonly bodyBytes: number;
  /** CPU time of its process so far, in microseconds. */
  cpuUs(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts a server on one core and makes sure that it answers; `dataDir` is for the proxy. */
export async function startSystem(system: SystemUnderTest, core: number, dataDir: string): Promise<RunningSystem> {
  const server = startControlled({
    entry: system.entry,
    core,
    words: system.key === "issued" ? [...system.words, "--data-dir", dataDir] : system.words,
    preload: join(import.meta.dirname, "report-usage.ts"),
  });
  try {
    const port = Number(await server.told("port"));
    const key = await keyOf(system, dataDir, async () => String(await server.told("key")));
    if (system.key === "issued") await registerDevice(port, key);
    const url = `http://127.0.0.1:${port}${devicePath}`;
    const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
    const { byteLength } = await answer.arrayBuffer();
    if (answer.status !== 200) throw new Error(`${system.name} answered ${answer.status}.`);
    return {
      system,
      port,
      request: requestText(port, key),
      bodyBytes: byteLength,
      async cpuUs() {
        const { user, system: inKernel } = (await server.ask("usage")) as NodeJS.CpuUsage;
        return user + inKernel;
      },
      stop: () => server.stop(),
    };
  } catch (cause) {
    await server.stop();
    throw cause;
  }
}

async function keyOf(system: SystemUnderTest, dataDir: string, told: () => Promise<string>): Promise<string> {
  switch (system.key) {
    case "none":
      return `lek_${"0".repeat(12)}_${"0".repeat(49)}`;
    case "own":
      return told();
    case "issued":
      return issueKey(dataDir);
  }
}

function issueKey(dataDir: string): string {
  const scopes = ["connect", "read"].flatMap((scope) => ["--scope", scope]);
  const words = ["keys", "create", "--name", "bench", ...scopes, "--data-dir", dataDir];
  const flags = ["--disable-warning=ExperimentalWarning"];
  return execFileSync(process.execPath, [...flags, proxyEntry, ...words], { encoding: "utf8" }).trim();
}

async function registerDevice(port: number, key: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/v1/environments/register`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      deviceId: devicePath.slice(devicePath.lastIndexOf("/") + 1),
      connectionName: "bench-box",
      metadata: { os: "linux", environmentMessageProtocol: "v2-input" },
    }),
  });
  if (answer.status !== 200) throw new Error(`The device could not be registered: ${await answer.text()}`);
}

/** The request as bytes of the wire, the same for every server: those without auth read past the key. */
export function requestText(port: number, key: string): string {
  const lines = [
    `GET ${devicePath} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    `Authorization: Bearer ${key}`,
    "Accept: application/json",
    "User-Agent: bench",
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
