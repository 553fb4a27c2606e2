import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { launchProcess, type LaunchedProcess } from "../../packages/testkit/src/process.ts";
import { runLettaProxy } from "../../packages/testkit/src/proxy.ts";
import { connectScriptedDevice, type ScriptedDevice } from "../../packages/testkit/src/scripted-device.ts";
import { type Attack, attacks } from "./attacks.ts";
import { pinned } from "../harness/pin.ts";
import type { BenchmarkResult } from "../harness/result.ts";
import { quantile, summarise } from "../harness/statistics.ts";

/** The gateway under test. Name another checkout's entry to compare it. */
const entry = process.env["GATEWAY_ENTRY"] ?? resolve(import.meta.dirname, "../../apps/proxy/src/runtimes/node.ts");
const seconds = Number(process.env["ATTACK_SECONDS"] ?? 10);
const runs = Number(process.env["ATTACK_RUNS"] ?? 5);
/** A long attack is compared with a short quiet time. */
const longestQuietSeconds = 10;

interface Observed {
  readonly sendMs: number;
  readonly sends: number;
  readonly failedSends: number;
  readonly livezMs: number;
  readonly livezMaxMs: number;
  readonly grownMb: number;
  /** Time on its core, as a share of the time that passed. Other programs do not change it much. */
  readonly cpuShare: number;
  readonly logMb: number;
}

interface MeasuredLists {
  readonly onlinePageMs: number;
  readonly namedListMs: number;
  readonly tenNamedLists: { readonly totalMs: number; readonly blockedMs: number };
}

interface Measured {
  readonly attack: string;
  readonly quiet: Observed;
  readonly attacked: Observed;
}

/**
 * Measures the effect on a caller of another tenant while the devices of one key misbehave: its sends to its own device, /livez, and the memory of the
 * process. Each run starts a new gateway on one core and the attackers on the other.
 */
export async function measureDeviceAttacks(): Promise<BenchmarkResult> {
  const measured: Measured[] = [];
  const wanted = process.env["ATTACK"];
  for (const attack of attacks.filter(({ name }) => wanted === undefined || name.includes(wanted))) {
    const observed: Measured[] = [];
    for (let run = 0; run < runs; run++) observed.push(await runAttack(attack));
    measured.push(medianOf(observed));
    process.stderr.write(`${JSON.stringify(measured.at(-1))}\n`);
  }
  const lists = measureLists();
  const figure = (value: number): string => value.toFixed(1);
  return {
    tables: [
      {
        caption:
          `Median of ${runs} runs of ${seconds} s. Send: time until the device of another tenant has acknowledged, median of a run, quiet and ` +
          "under attack. /livez: median and largest of a run. Memory: largest resident set, minus the one before.",
        columns: [
          "attack by the devices of one key",
          "send, quiet ms",
          "send ms",
          "/livez ms",
          "/livez largest ms",
          "memory MB",
          "CPU of the gateway",
        ],
        rows: measured.map(({ attack, quiet, attacked }) => [
          attack,
          figure(quiet.sendMs),
          figure(attacked.sendMs),
          figure(attacked.livezMs),
          figure(attacked.livezMaxMs),
          figure(attacked.grownMb),
          `${(100 * attacked.cpuShare).toFixed(0)} % (quiet ${(100 * quiet.cpuShare).toFixed(0)} %)`,
        ]),
      },
      {
        caption:
          "Lists in process: a page of 50 of 10,000 online devices; a list of a key limited to a name pattern over 3,000 rows with 16 KB of metadata; " +
          "and the longest time for which ten such lists at once block the event loop.",
        columns: ["online page ms", "named list ms", "ten at once, blocked ms"],
        rows: [[lists.onlinePageMs.toFixed(2), figure(lists.namedListMs), figure(lists.tenNamedLists.blockedMs)]],
      },
    ],
    goals: [
      ...measured.flatMap(goalsOf),
      atMost("a page of 10,000 online devices", lists.onlinePageMs, 1, "ms"),
      atMost("ten lists by name block the event loop", lists.tenNamedLists.blockedMs, 50, "ms"),
    ],
    data: { measured, lists },
  };
}

function goalsOf({ attack, quiet, attacked }: Measured): BenchmarkResult["goals"] {
  const mostMs = Math.max(2 * quiet.sendMs, quiet.sendMs + 10);
  return [
    atMost(`${attack}: sends of others, twice the quiet time or 10 ms more`, attacked.sendMs, mostMs, "ms"),
    atMost(`${attack}: /livez`, attacked.livezMs, 50, "ms"),
    atMost(`${attack}: growth of memory`, attacked.grownMb, 256, "MB"),
  ];
}

function atMost(text: string, value: number, most: number, unit: string): BenchmarkResult["goals"][number] {
  return {
    goal: `${text}: at most ${most.toFixed(1)} ${unit}`,
    shown: `${value.toFixed(2)} ${unit}`,
    met: value <= most,
  };
}

function measureLists(): MeasuredLists {
  const worker = join(import.meta.dirname, "..", "in-process", "list-worker.ts");
  return JSON.parse(execFileSync(process.execPath, [worker], { encoding: "utf8" })) as MeasuredLists;
}

async function runAttack(attack: Attack): Promise<Measured> {
  const dataDir = await mkdtemp(join(tmpdir(), "letta-attacks-"));
  const gateway = await startGateway(dataDir);
  try {
    const { url } = gateway;
    const createKey = async (tenant: string, ...scopes: readonly string[]): Promise<string> => {
      const words = ["keys", "create", "--name", "n", "--tenant", tenant, "--data-dir", dataDir];
      const { stdout } = await runLettaProxy([...words, ...scopes.flatMap((scope) => ["--scope", scope])]);
      return stdout.trim();
    };
    const attackerKey = await createKey("attacker", "connect");
    const victim = await connectScriptedDevice({
      baseUrl: url,
      apiKey: await createKey("victim", "connect"),
      deviceId: "victim",
    });
    const callerKey = await createKey("victim", "send");
    // The socket's first message waits for its pause.
    await delay(500);
    const quiet = await observe(gateway, victim, callerKey, Math.min(seconds, longestQuietSeconds));
    const attacker = startAttacker(attack, url, attackerKey);
    const attacked = await observe(gateway, victim, callerKey, seconds);
    await attacker.stop("SIGKILL");
    return { attack: attack.name, quiet, attacked };
  } finally {
    await gateway.process.stop("SIGKILL");
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface Gateway {
  readonly url: string;
  readonly process: LaunchedProcess;
}

async function startGateway(dataDir: string): Promise<Gateway> {
  const config = join(dataDir, "proxy.config.json");
  // The caller sends more often than its limits allow. Those of the attackers are the default ones.
  await writeFile(config, JSON.stringify({ rateLimits: { exempt: { tenants: ["victim"] } } }));
  const words = [entry, "start", "--port", "0", "--log", "json", "--data-dir", dataDir, "--config", config];
  const [command, args] = pinned(0, process.execPath, words);
  const started = launchProcess({ command, args });
  const [, url = ""] = await started.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
  return { url, process: started };
}

function startAttacker(attack: Attack, url: string, key: string): LaunchedProcess {
  const script = join(import.meta.dirname, "attacker.ts");
  const [command, args] = pinned(1, process.execPath, [script, attack.name, url, key]);
  // The caller is measured on the same core.
  return launchProcess({ command: "nice", args: ["-n", "19", command, ...args] });
}

/** Sends one message after the other, and asks for /livez beside it, for some seconds. */
async function observe(
  { url, process: { pid, output } }: Gateway,
  victim: ScriptedDevice,
  key: string,
  durationSeconds: number,
): Promise<Observed> {
  const before = residentMb(pid);
  const [cpuBefore, startedAtMs] = [cpuSeconds(pid), performance.now()];
  const logBefore = output().length;
  const endsAt = performance.now() + durationSeconds * 1_000;
  const isOver = (): boolean => performance.now() >= endsAt;
  const sendTimes: number[] = [];
  const livezTimes: number[] = [];
  let failedSends = 0;
  let largestMb = before;
  await Promise.all([
    every(20, isOver, async () => {
      const startedAt = performance.now();
      if (!(await send(url, victim.connectionId, key))) failedSends += 1;
      sendTimes.push(performance.now() - startedAt);
    }),
    every(50, isOver, async () => {
      const startedAt = performance.now();
      await fetch(`${url}/livez`).then((response) => response.arrayBuffer());
      livezTimes.push(performance.now() - startedAt);
      largestMb = Math.max(largestMb, residentMb(pid));
    }),
    every(10_000, isOver, () => Promise.resolve(victim.send({ type: "ping" }))),
  ]);
  return {
    sendMs: quantile(sendTimes, 0.5),
    sends: sendTimes.length,
    failedSends,
    livezMs: quantile(livezTimes, 0.5),
    livezMaxMs: Math.max(...livezTimes),
    grownMb: largestMb - before,
    cpuShare: (1_000 * (cpuSeconds(pid) - cpuBefore)) / (performance.now() - startedAtMs),
    logMb: (output().length - logBefore) / 1_048_576,
  };
}

async function every(pauseMs: number, isOver: () => boolean, run: () => Promise<void>): Promise<void> {
  while (!isOver()) {
    await run();
    await delay(pauseMs);
  }
}

let messages = 0;

async function send(url: string, connectionId: string, key: string): Promise<boolean> {
  const message = { role: "user", content: "hello", client_message_id: `m-${(messages += 1)}` };
  const response = await fetch(`${url}/v1/environments/${connectionId}/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ agentId: "agent-1", messages: [message] }),
  });
  await response.arrayBuffer();
  return response.status === 200;
}

/** Resident set of a process, in megabytes; 0 where the system does not tell. */
function residentMb(pid: number): number {
  const file = `/proc/${pid}/status`;
  if (!existsSync(file)) return 0;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(file, "utf8"))?.[1] ?? 0) / 1_024;
}

/** Processor time of a process, in seconds; 0 where the system does not tell. */
function cpuSeconds(pid: number): number {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return 0;
  // The name of the program is in brackets; user and system time are fields 14 and 15, in hundredths of a second.
  const fields = readFileSync(file, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function medianOf(observed: readonly Measured[]): Measured {
  const middle = (pick: (measured: Measured) => Observed): Observed => {
    const of = (name: keyof Observed): number => summarise(observed.map((measured) => pick(measured)[name])).median;
    return {
      sendMs: of("sendMs"),
      sends: of("sends"),
      failedSends: of("failedSends"),
      livezMs: of("livezMs"),
      livezMaxMs: of("livezMaxMs"),
      grownMb: of("grownMb"),
      cpuShare: of("cpuShare"),
      logMb: of("logMb"),
    };
  };
  return {
    attack: observed[0]?.attack ?? "",
    quiet: middle(({ quiet }) => quiet),
    attacked: middle(({ attacked }) => attacked),
  };
}
