/** The command `start`: opens the gateway, and serves until a signal. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "@letta-environments/platform/node";
import { bufferLines, createConsoleTelemetry } from "../../adapters/log.ts";
import { filterByLevel } from "../../adapters/log-level.ts";
import type { ParsedLine } from "../../commands/program.ts";
import { openServing } from "../server/serving.ts";
import { printNextSteps } from "./first-start.ts";
import { loadSettings, watchSettings } from "./settings.ts";
import { stopOnSignal } from "./shutdown.ts";

/** Runs `start`. Resolves when the gateway listens. */
export async function startCommand(parsed: ParsedLine): Promise<void> {
  const changes = watchSettings(parsed);
  let settings = loadSettings(parsed);
  const output = openOutput();
  const write = createConsoleTelemetry(settings.log, output.write, systemClock.now);
  const serving = await openServing(settings, filterByLevel(settings.logLevel, write));
  const { log } = serving;
  const { main, admin } = await serving.listen();
  if (settings.log === "pretty") {
    output.flush();
    const { keys, keyStoreFor, deviceSockets } = serving.resources;
    await printNextSteps(keys, keyStoreFor, {
      url: settings.publicUrl ?? main.url,
      servesDevices: deviceSockets !== null,
      dataDir: settings.dataDir,
      console: serving.console,
    });
  }
  changes.begin(
    settings,
    async (next) => {
      await serving.replace(next);
      settings = next;
    },
    log,
  );

  stopOnSignal({
    log,
    async stop(graceMs, signal) {
      serving.drain();
      changes.end();
      // A load balancer learns from /readyz that it must not send requests here any more, while they are still accepted.
      if (signal === "SIGTERM") await delay(settings.readinessDelayMs);
      const listeners = [main, ...(admin === null ? [] : [admin])];
      await serving.close(
        graceMs,
        listeners.map(({ connections }) => connections),
      );
    },
  });
}

/** Opens standard output for the log. */
function openOutput(): ReturnType<typeof bufferLines> {
  const output = bufferLines((text) => void process.stdout.write(text), setImmediate);
  process.once("exit", output.flush);
  // The gateway keeps running when nobody reads its log any more.
  process.stdout.on("error", () => undefined);
  return output;
}
