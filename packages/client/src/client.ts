/** A client object whose methods are the operations of this package bound to one transport. */
import { approve, deny } from "./operations/approvals.ts";
import { removeQueueItem, resumeQueue, setDirectory, setMode, stop } from "./operations/control.ts";
import { sendToDevice } from "./operations/device.ts";
import { listAllEnvironments, listEnvironmentPages, listEnvironments } from "./operations/list.ts";
import { removeEnvironment, updateEnvironment } from "./operations/manage.ts";
import { retrieveEnvironment } from "./operations/retrieve.ts";
import { sendMessage } from "./operations/send.ts";
import { watchEnvironments } from "./operations/watch.ts";
import type { TransportOptions } from "./options.ts";
import { createTransport, type Transport } from "./transport.ts";

/** Options of {@link createClient}; see {@link TransportOptions}. */
export type ClientOptions = TransportOptions;

/** A function over a transport as a method. */
type Bound<Operation> = Operation extends (transport: Transport, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

/** Operations on environments. `list`, `retrieve` and `sendMessage` take the same arguments as in the official SDK. */
export interface EnvironmentsResource {
  /** See {@link listEnvironments}. */
  readonly list: Bound<typeof listEnvironments>;
  /** See {@link listEnvironmentPages}. */
  readonly listPages: Bound<typeof listEnvironmentPages>;
  /** See {@link listAllEnvironments}. */
  readonly listAll: Bound<typeof listAllEnvironments>;
  /** See {@link retrieveEnvironment}. */
  readonly retrieve: Bound<typeof retrieveEnvironment>;
  /** See {@link updateEnvironment}. */
  readonly update: Bound<typeof updateEnvironment>;
  /** See {@link removeEnvironment}. */
  readonly remove: Bound<typeof removeEnvironment>;
  /** See {@link sendMessage}. */
  readonly sendMessage: Bound<typeof sendMessage>;
  /** See {@link sendToDevice}. */
  readonly sendToDevice: Bound<typeof sendToDevice>;
  /** See {@link approve}. */
  readonly approve: Bound<typeof approve>;
  /** See {@link deny}. */
  readonly deny: Bound<typeof deny>;
  /** See {@link stop}. */
  readonly stop: Bound<typeof stop>;
  /** See {@link setMode}. */
  readonly setMode: Bound<typeof setMode>;
  /** See {@link setDirectory}. */
  readonly setDirectory: Bound<typeof setDirectory>;
  /** See {@link resumeQueue}. */
  readonly resumeQueue: Bound<typeof resumeQueue>;
  /** See {@link removeQueueItem}. */
  readonly removeQueueItem: Bound<typeof removeQueueItem>;
  /** See {@link watchEnvironments}. */
  readonly watch: Bound<typeof watchEnvironments>;
}

/** A client of the Environments API. */
export interface Client {
  readonly environments: EnvironmentsResource;
}

/**
 * Creates a client. Every operation is also exported as a function over a transport.
 *
 * @throws LettaEnvironmentsError `invalid_argument` if an option breaks its rule.
 */
export function createClient(options: ClientOptions): Client {
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
      update: bind(updateEnvironment),
      remove: bind(removeEnvironment),
      sendMessage: bind(sendMessage),
      sendToDevice: bind(sendToDevice),
      approve: bind(approve),
      deny: bind(deny),
      stop: bind(stop),
      setMode: bind(setMode),
      setDirectory: bind(setDirectory),
      resumeQueue: bind(resumeQueue),
      removeQueueItem: bind(removeQueueItem),
      watch: bind(watchEnvironments),
    },
  };
}
