/**
 * A fleet of devices in one gateway: the memory of each, and storms in which all of them connect at the same time, after their
 * sockets were dropped and after the gateway was killed. The gateway runs on one core, the fleet on the others. The devices belong to
 * keys of a thousand devices each.
 */
import { Agent, request } from "node:http";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { launchProcess, type LaunchedProcess } from "../../packages/testkit/src/process.ts";
import { runLettaProxy } from "../../packages/testkit/src/proxy.ts";
import { openRawSocket, type RawSocket, textFrame } from "../attacks/raw-socket.ts";
import { pinned } from "../harness/pin.ts";
import type { BenchmarkResult } from "../harness/result.ts";
import { quantile } from "../harness/statistics.ts";

const deviceCount = Number(process.env["DEVICES"] ?? 10_000);
const devicesPerKey = 1_000;
/** Devices that are connected before the memory of the others is measured: until then, most of what grows is the heap's reserve. */
const firstDevices = Math.min(1_000, deviceCount / 2);
const dist = resolve(import.meta.dirname, "../../apps/proxy/dist");
const runtimes = (process.env["RUNTIMES"] ?? "node,bun").split(",");
const limitsOfRuns = (process.env["LIMITS"] ?? "raised,default").split(",");

/** With raised limits, so that no device waits for them. */
const raisedLimits = { policies: { "gateway-devices": { per: ["key"], limit: 1_000_000, windowMs: 60_000 } } };

/** A status as real devices send it, of about 3 KB. */
const statusFrame = textFrame({
  type: "update_device_status",
  device_status: {
    current_permission_mode: "standard",
    current_working_directory: "/home/ada/project",
    git_context: { branch: "main" },
    available_skills: Array.from({ length: 20 }, (_, index) => ({
      name: `skill-${index}`,
      description: "x".repeat(100),
    })),
  },
});

interface Storm {
  readonly seconds: number;
  readonly livezMs: number;
  readonly livezMaxMs: number;
  /** Attempts that were refused, or failed. */
  readonly refused: number;
  readonly cpuSeconds: number;
}

interface Measured {
  readonly runtime: string;
  readonly limits: string;
  readonly bytesPerDevice: number;
  readonly residentBytes: number;
  readonly storms: Readonly<Record<string, Storm>>;
}

/** Measures a fleet on each runtime, with raised and with default limits. */
export async function measureDevices(): Promise<BenchmarkResult> {
  const measured: Measured[] = [];
  for (const runtime of runtimes) {
    for (const limits of limitsOfRuns) {
      measured.push(await measureFleet(runtime, limits));
      process.stderr.write(`${JSON.stringify(measured.at(-1))}\n`);
    }
  }
  return {
    tables: [
      {
        caption:
          `${deviceCount} devices in one process, ${devicesPerKey} for each key. Memory: what each device adds to the resident set after the first ` +
          `${firstDevices}, and the resident set with all of them. Storms: seconds until every device is back, /livez meanwhile, attempts that were refused, and CPU time of the gateway. Between storms, keys get their limits back.`,
        columns: [
          "runtime, limits",
          "KB a device",
          "MB",
          "storm",
          "seconds",
          "/livez ms",
          "largest ms",
          "refused",
          "CPU s",
        ],
        rows: measured.flatMap(({ runtime, limits, bytesPerDevice, residentBytes: bytes, storms }) =>
          Object.entries(storms).map(([name, storm]) => [
            `${runtime}, ${limits}`,
            (bytesPerDevice / 1_024).toFixed(1),
            (bytes / 1_048_576).toFixed(0),
            name,
            storm.seconds.toFixed(1),
            storm.livezMs.toFixed(1),
            storm.livezMaxMs.toFixed(0),
            String(storm.refused),
            storm.cpuSeconds.toFixed(1),
          ]),
        ),
      },
    ],
    goals: measured.flatMap(goalsOf),
    data: measured,
  };
}

function goalsOf({ runtime, limits, bytesPerDevice, storms }: Measured): BenchmarkResult["goals"] {
  const atMost = (text: string, value: number, most: number, unit: string): BenchmarkResult["goals"][number] => ({
    goal: `${runtime}, ${limits} limits: ${text}: at most ${most} ${unit}`,
    shown: `${value.toFixed(1)} ${unit}`,
    met: value <= most,
  });
  const isRaised = limits === "raised";
  return [
    atMost("memory of a device", bytesPerDevice / 1_024, 12, "KB"),
    ...Object.entries(storms).flatMap(([name, storm]) => [
      atMost(`${name}: everyone is back`, storm.seconds, isRaised ? 10 : 60, "s"),
      ...(isRaised ? [atMost(`${name}: largest /livez`, storm.livezMaxMs, 100, "ms")] : []),
    ]),
  ];
}

/** Waits between storms; with default limits, until each key has all of its limit again. */
function rest(limits: string): Promise<void> {
  return delay(limits === "default" ? 61_000 : 2_000);
}

interface Gateway {
  readonly url: string;
  readonly process: LaunchedProcess;
}

async function measureFleet(runtime: string, limits: string): Promise<Measured> {
  const dataDir = await mkdtemp(join(tmpdir(), "letta-devices-"));
  const config = join(dataDir, "proxy.config.json");
  await writeFile(config, JSON.stringify(limits === "raised" ? { rateLimits: raisedLimits } : {}));
  let gateway = await startGateway(runtime, dataDir, config, 0);
  const { port } = new URL(gateway.url);
  try {
    const keys: string[] = [];
    for (let first = 0; first < deviceCount; first += devicesPerKey) {
      const words = [
        "keys",
        "create",
        "--name",
        "fleet",
        "--tenant",
        "fleet",
        "--scope",
        "connect",
        "--data-dir",
        dataDir,
      ];
      keys.push((await runLettaProxy(words)).stdout.trim());
    }
    const fleet = createFleet(gateway.url, (index) => keys[Math.floor(index / devicesPerKey)] ?? "");
    await fleet.connect("register", 0, firstDevices);
    await delay(3_000);
    const before = await residentBytes(gateway);
    const storms: Record<string, Storm> = {};
    await rest(limits);
    storms["new devices"] = await observe(gateway, () => fleet.connect("register", firstDevices, deviceCount));
    await delay(5_000);
    const resident = await residentBytes(gateway);
    const bytesPerDevice = (resident - before) / (deviceCount - firstDevices);
    await rest(limits);
    storms["sockets dropped"] = await observe(gateway, () => fleet.connect("reconnect", 0, deviceCount));
    await rest(limits);
    storms["sockets dropped, all register again"] = await observe(gateway, () =>
      fleet.connect("register", 0, deviceCount),
    );
    await gateway.process.stop("SIGKILL");
    gateway = await startGateway(runtime, dataDir, config, Number(port));
    storms["gateway killed"] = await observe(gateway, () => fleet.connect("reconnect", 0, deviceCount));
    fleet.close();
    return { runtime, limits, bytesPerDevice, residentBytes: resident, storms };
  } finally {
    await gateway.process.stop("SIGKILL");
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function startGateway(runtime: string, dataDir: string, config: string, port: number): Promise<Gateway> {
  const program =
    runtime === "node" ? process.execPath : resolve(import.meta.dirname, "../../apps/proxy/node_modules/.bin", runtime);
  const entry = process.env["GATEWAY_ENTRY"] ?? join(dist, `${runtime}.js`);
  const words = [...(process.env["GATEWAY_FLAGS"]?.split(" ") ?? []), entry, "start", "--log", "json"];
  const where = ["--port", String(port), "--data-dir", dataDir, "--config", config];
  const [command, args] = pinned(0, program, [...words, ...where]);
  const started = launchProcess({ command, args });
  const [, url = ""] = await started.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
  return { url, process: started };
}

/** How the devices of a fleet connect. */
type Connecting = "register" | "reconnect";

interface Fleet {
  /** Drops the sockets of these devices, and connects them at once. Resolves with the number of failed attempts when all are connected. */
  connect(how: Connecting, first: number, end: number): Promise<number>;
  close(): void;
}

/** Requests in progress and sockets that are being opened at a time. Other devices wait in the fleet, as on the network. */
const concurrency = 512;

function createFleet(url: string, keyOf: (index: number) => string): Fleet {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const sockets: (RawSocket | null)[] = Array.from({ length: deviceCount }, () => null);
  const addresses: string[] = Array.from({ length: deviceCount }, () => "");

  async function attempt(index: number, how: Connecting): Promise<boolean> {
    if (how === "register") addresses[index] = (await register(agent, url, `device-${index}`, keyOf(index))) ?? "";
    const address = addresses[index] ?? "";
    const socket = address === "" ? null : await openRawSocket(address, keyOf(index));
    sockets[index] = socket;
    await socket?.write(statusFrame);
    return socket !== null;
  }

  async function connect(how: Connecting, first: number, end: number): Promise<number> {
    for (let index = first; index < end; index++) sockets[index]?.tcp.destroy();
    let next = first;
    let failed = 0;
    const work = async (): Promise<void> => {
      for (let index = next++; index < end; index = next++) {
        for (let round = 0; !(await attempt(index, how).catch(() => false)); round++) {
          failed += 1;
          await delay(Math.min(8_000, 250 * 2 ** round) * (0.5 + Math.random() / 2));
        }
      }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    return failed;
  }

  return {
    connect,
    close() {
      for (const socket of sockets) socket?.tcp.destroy();
      agent.destroy();
    },
  };
}

function register(agent: Agent, url: string, deviceId: string, key: string): Promise<string | null> {
  return new Promise((resolvePromise, reject) => {
    const body = JSON.stringify({
      deviceId,
      connectionName: deviceId,
      metadata: { os: "linux", arch: "x64", protocol: 2 },
    });
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
    const outgoing = request(`${url}/v1/environments/register`, { agent, method: "POST", headers }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (part: string) => (text += part));
      incoming.on("end", () => {
        const isRegistered = incoming.statusCode === 200;
        resolvePromise(isRegistered ? (JSON.parse(text) as { readonly wsUrl: string }).wsUrl : null);
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Runs a storm and observes the gateway in the meantime, from a separate process, because the fleet is busy. */
async function observe(gateway: Gateway, storm: () => Promise<number>): Promise<Storm> {
  const cpuBefore = await cpuSeconds(gateway);
  const watcher = launchProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, "livez-worker.ts"), gateway.url],
  });
  await watcher.waitForOutput(/ready/);
  const startedAt = performance.now();
  const refused = await storm();
  const seconds = (performance.now() - startedAt) / 1_000;
  await watcher.stop("SIGTERM");
  const times = JSON.parse(/\[.*\]/.exec(watcher.output())?.[0] ?? "[]") as number[];
  const livezMaxMs = Math.max(...times);
  const cpu = (await cpuSeconds(gateway)) - cpuBefore;
  return { seconds, livezMs: quantile(times, 0.5), livezMaxMs, refused, cpuSeconds: cpu };
}

async function residentBytes({ process: { pid } }: Gateway): Promise<number> {
  return 1_024 * Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}

async function cpuSeconds({ process: { pid } }: Gateway): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
