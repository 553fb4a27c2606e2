/** Those who watch the turns of a simulation and decide on them: people over HTTP, viewers, and readers of events. */
import type { Clock } from "@letta-environments/platform";
import type { Random, Trace } from "@letta-environments/testkit";
import type { Pipeline } from "../../../src/pipeline.ts";
import type { SimulatedKey } from "../callers.ts";
import type { Network } from "../network.ts";
import type { Truth } from "../truth.ts";
import { checkTenant } from "../tenants.ts";
import { createPeople, type People } from "./people.ts";
import { createReader, type SimulatedReader } from "./readers.ts";
import type { DeviceRecord } from "./record.ts";
import { createViewer, type SimulatedViewer } from "./viewers.ts";

/** See the description of this file. */
export interface Conversations {
  readonly record: DeviceRecord;
  readonly people: People;
  readonly viewers: readonly SimulatedViewer[];
  readonly readers: readonly SimulatedReader[];
  /** Keys that may see what turns say. */
  readonly keys: readonly SimulatedKey[];
  /** Creates a reader that continues after an event. */
  createReader(key: SimulatedKey, from: string): SimulatedReader;
  /** The gateway was killed: nothing is open. */
  drop(): void;
}

/** Dependencies of {@link Conversations}. */
export interface ConversationsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly record: DeviceRecord;
  readonly network: Network;
  /** When the present gateway started, in monotonic milliseconds. */
  readonly startedAtMs: () => number;
  readonly pipeline: () => Pipeline | null;
  readonly keys: readonly SimulatedKey[];
}

/** Creates the people, viewers and readers of a world: a viewer of each device and a reader for each key that may see turns. */
export function createConversations(options: ConversationsOptions): Conversations {
  const { truth, record } = options;
  const keys = options.keys.filter(({ name }) => !/\/(?:reader|wrong)$/.test(name));
  const readers = keys.map((key) => createReader({ ...options, key }));
  const viewers = keys.flatMap((key) =>
    ["d1", "d2"].map((deviceId) => createViewer({ ...options, counts: record.counts, key, deviceId })),
  );
  return {
    record,
    people: createPeople({ ...options, onResponse: (key, response) => checkTenant(truth, key, response) }),
    viewers,
    readers,
    keys,
    createReader: (key, from) => createReader({ ...options, key, from }),
    drop() {
      for (const viewer of viewers) viewer.drop();
      for (const reader of readers) reader.drop();
    },
  };
}
