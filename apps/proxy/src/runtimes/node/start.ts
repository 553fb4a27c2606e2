/** The command `start`: opens the gateway, and serves until a signal. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "@letta-environments/platform/node";
import { bufferLines, createLogWriter, dropUnread } from "../../adapters/log.ts";
import { filterByLevel, type LogEvent } from "../../adapters/log-event.ts";
import { onNpxEnd } from "../../adapters/node/npx.ts";
import { lastReadMs, standardOutput } from "../../adapters/node/standard-output.ts";
import type { ParsedLine } from "../../commands/program.ts";
import type { Settings } from "../../config/settings.ts";
import type { DrainingServer } from "../../host/node/drain.ts";
import { openInstance, type GatewayInstance } from "../server/instance.ts";
import { printNextSteps } from "./first-start.ts";
import { isInTerminal, loadSettings, type SettingsWatch, watchSettings } from "./settings.ts";

/** Runs `start`. Resolves when the gateway listens. After a failure everything is closed, so that the process ends. */
export async function startCommand(parsed: ParsedLine): Promise<void> {
  const changes = watchSettings(parsed);
  const settings = loadSettings(parsed);
  const output = bufferLines(standardOutput().write, setImmediate);
  process.once("exit", output.flush);
  const write = createLogWriter(settings.log, output.write, systemClock.now);
  const { log, dropped } = dropUnread(write, standardOutput());
  const instance = await openInstance(settings, filterByLevel(settings.logLevel, log), dropped);
  await serveUntilSignal(instance, settings, changes, output.flush);
}

/** Opens the ports, and prints the next steps for people. After a failure everything is closed. */
async function listen(
  instance: GatewayInstance,
  { log, publicUrl, dataDir }: Settings,
  flushLog: () => void,
): Promise<readonly DrainingServer[]> {
  const connections: DrainingServer[] = [];
  try {
    const { main, admin } = await instance.listen();
    for (const listener of [main, admin]) if (listener !== null) connections.push(listener.connections);
    if (log === "pretty") {
      flushLog();
      const { keys, keyStoreFor, deviceSockets } = instance.resources;
      await printNextSteps(keys, keyStoreFor, {
        url: publicUrl ?? main.url,
        servesDevices: deviceSockets !== null,
        dataDir,
        console: instance.console,
      });
    }
  } catch (cause) {
    await instance.close(0, connections);
    throw cause;
  }
  return connections;
}

/** Listens, and applies changes of the configuration until a signal stops the gateway. Resolves when the gateway listens. */
async function serveUntilSignal(
  instance: GatewayInstance,
  initialSettings: Settings,
  changes: SettingsWatch,
  flushLog: () => void,
): Promise<void> {
  const { log } = instance;
  let settings = initialSettings;
  // Never resolves if the start fails: the command then ends on its own.
  const listening = Promise.withResolvers<readonly DrainingServer[]>();
  // Before the line that says that the gateway listens, because a signal may follow it at once. An earlier signal ends the process, which loses
  // nothing.
  stopOnSignal(log, flushLog, async (signal) => {
    const connections = await listening.promise;
    instance.drain();
    changes.end();
    // A load balancer learns from /readyz that it must stop sending requests here, while they are still accepted.
    if (signal === "SIGTERM") await delay(settings.readinessDelayMs);
    await instance.close(graceMs, connections);
  });

  const connections = await listen(instance, settings, flushLog);
  changes.begin(
    settings,
    async (next) => {
      await instance.replace(next);
      settings = next;
    },
    log,
  );
  listening.resolve(connections);
}

/** The longest time for requests in flight after the first signal, in milliseconds. */
const graceMs = 10_000;

/**
 * Calls `stop` on SIGTERM or SIGINT, when the terminal is closed, or when the npx that started the process has ended, and then exits. A second
 * signal exits immediately.
 */
function stopOnSignal(
  log: (event: LogEvent) => void,
  flushLog: () => void,
  stop: (signal: NodeJS.Signals) => Promise<void>,
): void {
  let isStopping = false;
  const end = async (code: number, event: LogEvent): Promise<void> => {
    log(event);
    flushLog();
    await standardOutput().settled(lastReadMs);
    process.exit(code);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    log({ type: "stopping", signal });
    void stop(signal).then(
      () => end(0, { type: "stopped" }),
      (cause: unknown) => end(1, { type: "internal_error", requestId: "-", cause }),
    );
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  if (isInTerminal()) process.on("SIGHUP", onSignal);
  onNpxEnd(() => {
    if (!isStopping) onSignal("SIGTERM");
  });
}
