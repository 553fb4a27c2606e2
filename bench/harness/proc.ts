/** Reads CPU time and memory from proc(5): of a process with its threads and children, of a core, and of ended children. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { pins } from "./pin.ts";

/** A tick of the times in `stat` files: a hundredth of a second on every Linux. */
const tickUs = 10_000;

/** Time that a core was not idle, and that its hypervisor gave to other machines, in microseconds since the start of the machine. */
export interface CoreTimes {
  readonly busyUs: number;
  readonly stolenUs: number;
}

/** A process and all its descendants. */
export function processTree(pid: number): readonly number[] {
  const threads = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : [];
  const children = threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
  return [pid, ...children.filter((child) => existsSync(`/proc/${child}`)).flatMap(processTree)];
}

/** CPU time of a process and its descendants so far, threads included, in microseconds. */
export function cpuUsOfTree(pid: number): number {
  return processTree(pid).reduce((sum, member) => sum + cpuUsOf(member), 0);
}

/** CPU time of a process alone, with its threads: to the nanosecond where the kernel counts so, else in ticks. */
export function cpuUsOf(pid: number): number {
  if (!existsSync(`/proc/${pid}/schedstat`)) {
    const [, , , , , , , , , , , user, system] = statFields(pid);
    return (Number(user) + Number(system)) * tickUs;
  }
  return readdirSync(`/proc/${pid}/task`).reduce(
    (sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1_000,
    0,
  );
}

/** CPU time of the children of this process that have ended, in microseconds. */
export function endedChildrenCpuUs(): number {
  const [, , , , , , , , , , , , , user, system] = statFields(process.pid);
  return (Number(user) + Number(system)) * tickUs;
}

/** The fields of `/proc/PID/stat` after the name, which may contain spaces: the first is the state, field 3 of proc(5). */
function statFields(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** The times of a core. */
export function timesOfCore(core: number): CoreTimes {
  const line = new RegExp(`^cpu${core} (.*)$`, "m").exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, stolen = 0] = line.split(" ").map(Number);
  return { busyUs: (user + nice + system + irq + softIrq) * tickUs, stolenUs: stolen * tickUs };
}

/** Memory of a process, in bytes: resident, what it shares with others included. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1_024;
}

/** Moves a process with its threads to one core, where that can be done. */
export function moveToCore(pid: number, core: number): void {
  if (pins()) execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)]);
}
