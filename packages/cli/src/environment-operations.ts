import {
  createTransport,
  type DeviceSelector,
  type Environment,
  type EnvironmentEvent,
  type EnvironmentList,
  type ListEnvironmentsInput,
  listEnvironments,
  retrieveEnvironment,
  type SendMessageBody,
  sendMessage,
  type SendOutcome,
  sendToDevice,
  type TransportEvent,
  watchEnvironments,
} from "@letta-environments/client";
import type { Host } from "./host.ts";
import type { Settings } from "./read-settings.ts";
import { createServerClock } from "./server-clock.ts";

/** How a message is sent. */
export interface SendSettings {
  readonly idempotencyKey: string | undefined;
  /** How long an offline device is waited for, in milliseconds. */
  readonly waitMs: number;
  /** Called when the message leaves, and not before. */
  onSend(): void;
}

/** What became of a message, and the connection that it went to. */
export interface Sent {
  readonly outcome: SendOutcome;
  readonly connectionId: string;
}

/** What the commands ask of a server: the one place that knows the client. All reject with a `LettaEnvironmentsError`. */
export interface EnvironmentOperations {
  list(query: ListEnvironmentsInput): Promise<EnvironmentList>;
  retrieve(deviceId: string): Promise<Environment>;
  send(connectionId: string, body: SendMessageBody, settings: SendSettings): Promise<Sent>;
  /** Sends to the connection that the device has by then; `device_offline` when it has none in time. */
  sendToDevice(device: DeviceSelector, body: SendMessageBody, settings: SendSettings): Promise<Sent>;
  /** Ends when the user ends the program; failures that may pass are waited out. */
  watch(query: ListEnvironmentsInput, intervalMs: number): AsyncIterable<EnvironmentEvent>;
  /** Epoch milliseconds by the clock of the server, as far as it has told. */
  now(): number;
}

/** The operations of a server; all end when the user ends the program. */
export function createEnvironmentOperations(host: Host, settings: Settings): EnvironmentOperations {
  const { interrupted: signal } = host;
  const { now, middleware } = createServerClock(host.clock);
  // What is printed has to be there.
  const transport = createTransport({ ...settings, middleware, validate: "throw" });
  // A message that was taken is not to be called unknown because the answer says less than promised.
  const sender = (onSend: () => void) =>
    createTransport({
      ...settings,
      middleware,
      onEvent(event: TransportEvent) {
        if (event.type === "start" && event.call.operation === "sendMessage") onSend();
      },
    });
  return {
    list: async (query) => listEnvironments(transport, query, { signal }),
    retrieve: async (deviceId) => retrieveEnvironment(transport, deviceId, { signal }),
    async send(connectionId, body, { idempotencyKey, onSend }) {
      const { outcome } = await sendMessage(sender(onSend), connectionId, body, { signal, idempotencyKey });
      return { outcome, connectionId };
    },
    async sendToDevice(device, body, { idempotencyKey, waitMs, onSend }) {
      const options = { signal, idempotencyKey, waitUntilOnlineMs: waitMs };
      const { outcome, environment } = await sendToDevice(sender(onSend), device, body, options);
      return { outcome, connectionId: environment.connectionId ?? "" };
    },
    watch: (query, intervalMs) => watchEnvironments(transport, query, { signal, intervalMs }),
    now,
  };
}
