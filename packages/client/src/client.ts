import type { Environment, EnvironmentList } from "@letta-environments/schema";
import type { SendMessageInput } from "./operations/assign-message-ids.ts";
import { listEnvironments, type ListEnvironmentsInput } from "./operations/list-environments.ts";
import { retrieveEnvironment } from "./operations/retrieve-environment.ts";
import { sendMessage, type SendMessageResult } from "./operations/send-message.ts";
import type { RequestOptions, TransportOptions } from "./settings.ts";
import { createTransport } from "./transport.ts";

/** How to reach a server. */
export type ClientOptions = TransportOptions;

/** The environments of an organisation; names and arguments are those of the official SDK. */
export interface EnvironmentsResource {
  /** See {@link listEnvironments}. */
  list(query?: ListEnvironmentsInput | null, options?: RequestOptions): Promise<EnvironmentList>;
  /** See {@link retrieveEnvironment}. */
  retrieve(deviceId: string, options?: RequestOptions): Promise<Environment>;
  /** See {@link sendMessage}. */
  sendMessage(connectionId: string, body: SendMessageInput, options?: RequestOptions): Promise<SendMessageResult>;
}

/** A client of the Environments API. */
export interface Client {
  readonly environments: EnvironmentsResource;
}

/**
 * Makes a client. Every operation is also exported as a function over a transport.
 *
 * @throws LettaEnvironmentsError `invalid_argument` when an option is not usable.
 */
export function createClient(options: ClientOptions): Client {
  const transport = createTransport(options);
  return {
    environments: {
      list: (query, requestOptions) => listEnvironments(transport, query, requestOptions),
      retrieve: (deviceId, requestOptions) => retrieveEnvironment(transport, deviceId, requestOptions),
      sendMessage: (connectionId, body, requestOptions) => sendMessage(transport, connectionId, body, requestOptions),
    },
  };
}
