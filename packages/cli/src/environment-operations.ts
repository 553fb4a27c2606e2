import {
  createTransport,
  type Environment,
  type EnvironmentList,
  type ListEnvironmentsInput,
  listEnvironments,
  retrieveEnvironment,
  type SendMessageBody,
  sendMessage,
  type Transport,
} from "@letta-environments/client";
import type { Host } from "./host.ts";
import type { Settings } from "./read-settings.ts";

/** What the commands ask of a server: the one place that knows the client. All reject with a `LettaEnvironmentsError`. */
export interface EnvironmentOperations {
  list(query: ListEnvironmentsInput): Promise<EnvironmentList>;
  retrieve(deviceId: string): Promise<Environment>;
  /** Resolves when the device has taken the messages. */
  send(connectionId: string, body: SendMessageBody, idempotencyKey: string | undefined): Promise<void>;
}

/** The operations of a server; all end when the user ends the program. */
export function createEnvironmentOperations(host: Host, settings: Settings): EnvironmentOperations {
  const transport = createTransport({ ...settings, clock: host.clock });
  const options = { signal: host.interrupted };
  const transportOf = (idempotencyKey: string | undefined): Transport =>
    idempotencyKey === undefined
      ? transport
      : createTransport({ ...settings, clock: host.clock, fetch: withHeader("idempotency-key", idempotencyKey) });
  return {
    list: (query) => listEnvironments(transport, query, options),
    retrieve: (deviceId) => retrieveEnvironment(transport, deviceId, options),
    async send(connectionId, body, idempotencyKey) {
      await sendMessage(transportOf(idempotencyKey), connectionId, body, options);
    },
  };
}

/** A `fetch` that sends one more field with every request. */
function withHeader(name: string, value: string): (url: string, init: RequestInit) => Promise<Response> {
  return (url, init) => {
    const headers = new Headers(init.headers);
    headers.set(name, value);
    return fetch(url, { ...init, headers });
  };
}
