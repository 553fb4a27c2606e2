import {
  createTransport,
  type Environment,
  type EnvironmentEvent,
  type EnvironmentList,
  type ListEnvironmentsInput,
  listEnvironments,
  retrieveEnvironment,
  type SendMessageBody,
  sendMessage,
  type SendOutcome,
  watchEnvironments,
} from "@letta-environments/client";
import type { Host } from "./host.ts";
import type { Settings } from "./read-settings.ts";

/** What the commands ask of a server: the one place that knows the client. All reject with a `LettaEnvironmentsError`. */
export interface EnvironmentOperations {
  list(query: ListEnvironmentsInput): Promise<EnvironmentList>;
  retrieve(deviceId: string): Promise<Environment>;
  /** Resolves with what became of the messages. */
  send(connectionId: string, body: SendMessageBody, idempotencyKey: string | undefined): Promise<SendOutcome>;
  /** Ends when the user ends the program; failures that may pass are waited out. */
  watch(query: ListEnvironmentsInput, intervalMs: number): AsyncIterable<EnvironmentEvent>;
}

/** The operations of a server; all end when the user ends the program. */
export function createEnvironmentOperations(host: Host, settings: Settings): EnvironmentOperations {
  // What is printed has to be there.
  const transport = createTransport({ ...settings, clock: host.clock, validate: "throw" });
  const options = { signal: host.interrupted };
  return {
    list: async (query) => listEnvironments(transport, query, options),
    retrieve: async (deviceId) => retrieveEnvironment(transport, deviceId, options),
    async send(connectionId, body, idempotencyKey) {
      const { outcome } = await sendMessage(transport, connectionId, body, { ...options, idempotencyKey });
      return outcome;
    },
    watch: (query, intervalMs) => watchEnvironments(transport, query, { ...options, intervalMs }),
  };
}
