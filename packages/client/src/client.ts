import { approve, deny } from "./operations/answer-approvals.ts";
import { listAllEnvironments } from "./operations/list-all-environments.ts";
import { listEnvironmentPages } from "./operations/list-environment-pages.ts";
import { listEnvironments } from "./operations/list-environments.ts";
import { retrieveEnvironment } from "./operations/retrieve-environment.ts";
import { sendMessage } from "./operations/send-message.ts";
import { sendToDevice } from "./operations/send-to-device.ts";
import { watchEnvironments } from "./operations/watch-environments.ts";
import { createTransport, type Transport } from "./transport.ts";
import type { TransportOptions } from "./transport-options.ts";

/** How to reach a server. */
export type ClientOptions = TransportOptions;

/** A function over a transport as a method. */
type Bound<Operation> = Operation extends (transport: Transport, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

/** The environments of an organisation; `list`, `retrieve` and `sendMessage` are those of the official SDK. */
export interface EnvironmentsResource {
  /** See {@link listEnvironments}. */
  readonly list: Bound<typeof listEnvironments>;
  /** See {@link listEnvironmentPages}. */
  readonly listPages: Bound<typeof listEnvironmentPages>;
  /** See {@link listAllEnvironments}. */
  readonly listAll: Bound<typeof listAllEnvironments>;
  /** See {@link retrieveEnvironment}. */
  readonly retrieve: Bound<typeof retrieveEnvironment>;
  /** See {@link sendMessage}. */
  readonly sendMessage: Bound<typeof sendMessage>;
  /** See {@link sendToDevice}. */
  readonly sendToDevice: Bound<typeof sendToDevice>;
  /** See {@link approve}. */
  readonly approve: Bound<typeof approve>;
  /** See {@link deny}. */
  readonly deny: Bound<typeof deny>;
  /** See {@link watchEnvironments}. */
  readonly watch: Bound<typeof watchEnvironments>;
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
export const createClient = (options: ClientOptions): Client => {
  const transport = createTransport(options);
  const bind =
    <Rest extends readonly unknown[], Result>(operation: (transport: Transport, ...rest: Rest) => Result) =>
    (...rest: Rest): Result =>
      operation(transport, ...rest);
  return {
    environments: {
      list: bind(listEnvironments),
      listPages: bind(listEnvironmentPages),
      listAll: bind(listAllEnvironments),
      retrieve: bind(retrieveEnvironment),
      sendMessage: bind(sendMessage),
      sendToDevice: bind(sendToDevice),
      approve: bind(approve),
      deny: bind(deny),
      watch: bind(watchEnvironments),
    },
  };
};
