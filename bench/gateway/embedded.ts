import { connectScriptedDevice, type ScriptedDevice } from "../../packages/testkit/src/scripted-device.ts";
import { runtimeVersion } from "../../apps/proxy/test/runtimes/runtime-commands.ts";
import { embeddedLoads, type LoadName, requestOf } from "./loads.ts";
import { type MeasuredLoad, measureRounds, type Participant, type RoundOptions } from "./measure-rounds.ts";
import { startGateway } from "./servers/start-gateway.ts";
import type { RunningSystem } from "./system.ts";

const devices = 20;

/** How often devices ping, in milliseconds. The server takes one that has not for 120 seconds to be offline. */
const pingEveryMs = 30_000;

/** The loads of the embedded server, measured. */
export interface MeasuredEmbedded {
  readonly names: ReadonlyMap<string, string>;
  readonly loads: ReadonlyMap<LoadName, MeasuredLoad>;
}

/**
 * Measures the gateway with its own environment server and 20 connected devices, which acknowledge every send. The devices live in this process,
 * on the core of the load; the data is on disk.
 */
export async function measureEmbedded(
  runtimes: readonly ("node" | "bun" | "deno")[],
  wanted: readonly LoadName[],
  options: RoundOptions,
): Promise<MeasuredEmbedded> {
  const running: RunningSystem[] = [];
  const connected: ScriptedDevice[] = [];
  const connections = new Map<string, readonly string[]>();
  const pings = setInterval(() => {
    for (const device of connected) device.send({ type: "ping" });
  }, pingEveryMs);
  try {
    for (const runtime of runtimes) {
      const gateway = await startGateway(runtime, { data: "disk" });
      running.push(gateway);
      const baseUrl = `http://127.0.0.1:${gateway.portOf("embedded-get")}`;
      const own: ScriptedDevice[] = [];
      for (let index = 0; index < devices; index++) {
        own.push(await connectScriptedDevice({ baseUrl, apiKey: gateway.key ?? "", deviceId: `device-${index}` }));
      }
      connected.push(...own);
      connections.set(
        runtime,
        own.map(({ connectionId }) => connectionId),
      );
    }
    const loads = new Map<LoadName, MeasuredLoad>();
    for (const load of embeddedLoads.filter((name) => wanted.includes(name))) {
      const participants = runtimes.flatMap((system, index): readonly Participant[] => {
        const gateway = running[index];
        if (gateway === undefined) return [];
        const request = requestOf(load, gateway.key ?? "", connections.get(system));
        return [{ system, port: gateway.portOf(load), request, pid: gateway.pid, helpers: [] }];
      });
      loads.set(load, await measureRounds(load, participants, options));
    }
    return { names: new Map(runtimes.map((runtime) => [runtime, `${runtime} ${runtimeVersion(runtime)}`])), loads };
  } finally {
    clearInterval(pings);
    await Promise.allSettled(connected.map((device) => device.terminate()));
    await Promise.allSettled(running.map((gateway) => gateway.stop()));
  }
}
