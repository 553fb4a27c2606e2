/** The command `start`: opens the gateway, and serves until a signal. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "@letta-environments/platform/node";
import { bufferLines, createLogWriter, dropUnread } from "../../adapters/log.ts";
import { filterByLevel } from "../../adapters/log-level.ts";
import { lastReadMs, standardOutput } from "../../adapters/node/standard-output.ts";
import type { ParsedLine } from "../../commands/program.ts";
import type { Settings } from "../../config/settings.ts";
import type { DrainingServer } from "../../host/node/drain.ts";
import { openServing, type Serving } from "../server/serving.ts";
import { printNextSteps } from "./first-start.ts";
import { loadSettings, type SettingsWatch, watchSettings } from "./settings.ts";
import { stopOnSignal } from "./shutdown.ts";

/** Runs `start`. Resolves when the gateway listens. After a failure everything is closed, so that the process ends. */
export async function startCommand(parsed: ParsedLine): Promise<void> {
  const changes = watchSettings(parsed);
  const settings = loadSettings(parsed);
  const output = openOutput();
  const write = createLogWriter(settings.log, output.write, systemClock.now);
  const { log, dropped } = dropUnread(write, standardOutput());
  const serving = await openServing(settings, filterByLevel(settings.logLevel, log), dropped);
  const connections: DrainingServer[] = [];
  try {
    const { main, admin } = await serving.listen();
    for (const listener of [main, admin]) if (listener !== null) connections.push(listener.connections);
    if (settings.log === "pretty") {
      output.flush();
      await printSteps(serving, settings, main.url);
    }
  } catch (cause) {
    await serving.close(0, connections);
    throw cause;
  }
  serveUntilSignal(serving, settings, changes, connections, output.flush);
}

/** Prints the next steps for people. */
function printSteps(serving: Serving, { publicUrl, dataDir }: Settings, url: string): Promise<void> {
  const { keys, keyStoreFor, deviceSockets } = serving.resources;
  return printNextSteps(keys, keyStoreFor, {
    url: publicUrl ?? url,
    servesDevices: deviceSockets !== null,
    dataDir,
    console: serving.console,
  });
}

/** Applies changes of the configuration, until a signal stops the gateway. */
function serveUntilSignal(
  serving: Serving,
  initialSettings: Settings,
  changes: SettingsWatch,
  connections: readonly DrainingServer[],
  flushLog: () => void,
): void {
  const { log } = serving;
  let settings = initialSettings;
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
      // A load balancer learns from /readyz that it must stop sending requests here, while they are still accepted.
      if (signal === "SIGTERM") await delay(settings.readinessDelayMs);
      await serving.close(graceMs, connections);
    },
    async end() {
      flushLog();
      await standardOutput().settled(lastReadMs);
    },
  });
}

/** Opens standard output for the log. */
function openOutput(): ReturnType<typeof bufferLines> {
  const output = bufferLines(standardOutput().write, setImmediate);
  process.once("exit", output.flush);
  return output;
}
