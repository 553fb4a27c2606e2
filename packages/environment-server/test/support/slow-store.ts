import type { EnvironmentStore } from "../../src/index.ts";
import type { Random } from "@letta-environments/testkit";

/** A store with random delays before and after each effect. It can stop like a killed process. */
export interface SlowStore {
  readonly store: EnvironmentStore;
  /** From now on no call has an effect and no pending call resolves. */
  kill(): void;
}

/** Wraps a store. `faults` is the probability that `reserve` fails, in half of the cases after its effect. */
export function createSlowStore(inner: EnvironmentStore, random: Random, faults: number = 0): SlowStore {
  let dead = false;
  const never = new Promise<never>(() => undefined);

  async function pause(): Promise<void> {
    for (let turns = random.below(6); turns > 0; turns--) await Promise.resolve();
    if (dead) await never;
  }

  function slow<Values extends unknown[], Result>(
    run: (...values: Values) => Promise<Result>,
  ): (...values: Values) => Promise<Result> {
    return async (...values) => {
      await pause();
      const result = await run(...values);
      await pause();
      return result;
    };
  }

  const reserve = slow(inner.reserve);
  return {
    store: {
      enrol: slow(inner.enrol),
      findConnection: slow(inner.findConnection),
      openConnection: slow(inner.openConnection),
      findEnvironments: slow(inner.findEnvironments),
      listEnvironments: slow(inner.listEnvironments),
      listDevices: slow(inner.listDevices),
      releaseDevice: slow(inner.releaseDevice),
      removeDevice: slow(inner.removeDevice),
      labelDevice: slow(inner.labelDevice),
      findRemovedConnections: slow(inner.findRemovedConnections),
      readVersion: slow(inner.readVersion),
      listNames: slow(inner.listNames),
      findIdleEnvironments: slow(inner.findIdleEnvironments),
      removeEnvironments: slow(inner.removeEnvironments),
      saveStatus: slow(inner.saveStatus),
      saveLastSeen: slow(inner.saveLastSeen),
      findMessages: slow(inner.findMessages),
      findRuns: slow(inner.findRuns),
      async reserve(delivery, nowMs) {
        const fails = random.happens(faults);
        if (fails && random.happens(0.5)) throw new Error("the store failed before it acted");
        const reserved = await reserve(delivery, nowMs);
        if (fails) throw new Error("the store failed after it acted");
        return reserved;
      },
      release: slow(inner.release),
      forget: slow(inner.forget),
      settle: slow(inner.settle),
      async findUnresolved(...values) {
        // Without random delays, so that the seeds of earlier simulations stay what they were.
        for (let turns = 3; turns > 0; turns--) await Promise.resolve();
        return dead ? never : inner.findUnresolved(...values);
      },
      // Without random delays, for the same reason.
      finishRemoval: (environmentIds) => (dead ? never : inner.finishRemoval(environmentIds)),
      saveMessages: (messages) => (dead ? never : inner.saveMessages(messages)),
      findUses: (...values) => (dead ? never : inner.findUses(...values)),
      findLastUses: (...values) => (dead ? never : inner.findLastUses(...values)),
      readMessages: (...values) => (dead ? never : inner.readMessages(...values)),
      listMessages: (...values) => (dead ? never : inner.listMessages(...values)),
      findOpenMessages: (...values) => (dead ? never : inner.findOpenMessages(...values)),
      pruneMessages: (...values) => (dead ? never : inner.pruneMessages(...values)),
      saveApprovals: (...values) => (dead ? never : inner.saveApprovals(...values)),
      findPendingApprovals: (...values) => (dead ? never : inner.findPendingApprovals(...values)),
      findDecidedApproval: (...values) => (dead ? never : inner.findDecidedApproval(...values)),
      pruneApprovals: (...values) => (dead ? never : inner.pruneApprovals(...values)),
      appendChanges: (...values) => (dead ? never : inner.appendChanges(...values)),
      readChanges: (...values) => (dead ? never : inner.readChanges(...values)),
      readChangeLog: () => (dead ? never : inner.readChangeLog()),
      restartChangeLog: (epoch) => (dead ? never : inner.restartChangeLog(epoch)),
      listRecordings: () => (dead ? never : inner.listRecordings()),
      saveRecording: (recording) => (dead ? never : inner.saveRecording(recording)),
      pruneChanges: (...values) => (dead ? never : inner.pruneChanges(...values)),
      prune: slow(inner.prune),
      get savedTime() {
        return inner.savedTime;
      },
      saveTime: slow(inner.saveTime),
    },
    kill() {
      dead = true;
    },
  };
}
