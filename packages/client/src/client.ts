/** A client object whose methods are the operations of this package bound to one transport. */
import { approve, decideApproval, deny, listApprovals } from "./operations/approvals.ts";
import { removeQueueItem, resumeQueue, setDirectory, setMode, stop } from "./operations/control.ts";
import {
  type DeviceSelector,
  type SendAndMayWaitOptions,
  type SendAndWaitOptions,
  type SendAndWaitResult,
  sendToDevice,
  type SendToDeviceOptions,
  type SendToDeviceResult,
} from "./operations/device.ts";
import { streamEvents } from "./operations/events.ts";
import { listAllEnvironments, listEnvironmentPages, listEnvironments } from "./operations/list.ts";
import { removeEnvironment, updateEnvironment } from "./operations/manage.ts";
import { listAllMessages, listMessages } from "./operations/messages.ts";
import type { SendMessageInput } from "./operations/message.ts";
import { retrieveEnvironment } from "./operations/retrieve.ts";
import { sendMessage } from "./operations/send.ts";
import { retrieveMessage, waitForTurn } from "./operations/turn.ts";
import { watchEnvironments } from "./operations/watch.ts";
import type { TransportOptions } from "./options.ts";
import type { PendingCall } from "./request.ts";
import { createTransport, type Transport } from "./transport.ts";

/** Options of {@link createClient}; see {@link TransportOptions}. */
export type ClientOptions = TransportOptions;

/** A function over a transport as a method. */
type Bound<Operation> = Operation extends (transport: Transport, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

/** Operations on messages that were sent. */
export interface MessagesResource {
  /** See {@link listMessages}. */
  readonly list: Bound<typeof listMessages>;
  /** See {@link listAllMessages}. */
  readonly listAll: Bound<typeof listAllMessages>;
  /** See {@link retrieveMessage}. */
  readonly retrieve: Bound<typeof retrieveMessage>;
  /** See {@link waitForTurn}. */
  readonly wait: Bound<typeof waitForTurn>;
}

/** Operations on requests for permission. */
export interface ApprovalsResource {
  /** See {@link listApprovals}. */
  readonly list: Bound<typeof listApprovals>;
  /** See {@link decideApproval}. */
  readonly decide: Bound<typeof decideApproval>;
}

/** See {@link sendToDevice}. */
export interface SendToDevice {
  (device: DeviceSelector, body: SendMessageInput, options: SendAndWaitOptions): PendingCall<SendAndWaitResult>;
  (device: DeviceSelector, body: SendMessageInput, options?: SendToDeviceOptions): PendingCall<SendToDeviceResult>;
  (
    device: DeviceSelector,
    body: SendMessageInput,
    options: SendAndMayWaitOptions,
  ): PendingCall<SendToDeviceResult | SendAndWaitResult>;
}

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
  readonly sendToDevice: SendToDevice;
  readonly messages: MessagesResource;
  readonly approvals: ApprovalsResource;
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
  /** See {@link streamEvents}. */
  readonly events: Bound<typeof streamEvents>;
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
      // Binding keeps one of the signatures.
      sendToDevice: bind(sendToDevice) as SendToDevice,
      messages: {
        list: bind(listMessages),
        listAll: bind(listAllMessages),
        retrieve: bind(retrieveMessage),
        wait: bind(waitForTurn),
      },
      approvals: { list: bind(listApprovals), decide: bind(decideApproval) },
      approve: bind(approve),
      deny: bind(deny),
      stop: bind(stop),
      setMode: bind(setMode),
      setDirectory: bind(setDirectory),
      resumeQueue: bind(resumeQueue),
      removeQueueItem: bind(removeQueueItem),
      events: bind(streamEvents),
      watch: bind(watchEnvironments),
    },
  };
}
