/** A client object whose methods are the operations of this package bound to one transport. */
import { approve, decideApproval, deny, listApprovals } from "./operations/approvals.ts";
import { removeQueueItem, resumeQueue, setDirectory, setMode, stop } from "./operations/control.ts";
import { removeEnvironment, retrieveEnvironment, updateEnvironment } from "./operations/environment.ts";
import { streamEvents } from "./operations/events.ts";
import type { DeviceSelector } from "./operations/find-device.ts";
import { listAllEnvironments, listEnvironmentPages, listEnvironments } from "./operations/list.ts";
import { listAllMessages, listMessages } from "./operations/messages.ts";
import type { SendMessageInput } from "./operations/message.ts";
import { sendMessage } from "./operations/send.ts";
import {
  type SendAndMaybeWaitOptions,
  type SendAndWaitOptions,
  type SendAndWaitResult,
  sendToDevice,
  type SendToDeviceOptions,
  type SendToDeviceResult,
} from "./operations/send-to-device.ts";
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
  /** Lists one page of the messages of a device, the latest first, each with its state and how its turn ended. See {@link listMessages}. */
  readonly list: Bound<typeof listMessages>;
  /** Lists the messages of a device over all pages. See {@link listAllMessages}. */
  readonly listAll: Bound<typeof listAllMessages>;
  /** Retrieves the status of a message that was sent to a device. See {@link retrieveMessage}. */
  readonly retrieve: Bound<typeof retrieveMessage>;
  /** Waits until the turn of a message has ended, or until the time is over. See {@link waitForTurn}. */
  readonly wait: Bound<typeof waitForTurn>;
}

/** Operations on requests for permission. */
export interface ApprovalsResource {
  /** Lists the pending requests for permission of every device that the key can reach, the oldest first. See {@link listApprovals}. */
  readonly list: Bound<typeof listApprovals>;
  /** Decides a request for permission that was listed or streamed. See {@link decideApproval}. */
  readonly decide: Bound<typeof decideApproval>;
}

/** Looks up a device and sends messages to its present connection. See {@link sendToDevice}. */
export interface SendToDevice {
  (device: DeviceSelector, body: SendMessageInput, options: SendAndWaitOptions): PendingCall<SendAndWaitResult>;
  (
    device: DeviceSelector,
    body: SendMessageInput,
    options?: SendToDeviceOptions & { readonly wait?: undefined },
  ): PendingCall<SendToDeviceResult>;
  (
    device: DeviceSelector,
    body: SendMessageInput,
    options: SendAndMaybeWaitOptions,
  ): PendingCall<SendToDeviceResult | SendAndWaitResult>;
}

/** Operations on environments. `list`, `retrieve` and `sendMessage` take the same arguments as in the official SDK. */
export interface EnvironmentsResource {
  /** Lists one page of environments. See {@link listEnvironments}. */
  readonly list: Bound<typeof listEnvironments>;
  /** Lists environments page by page; each page is requested when the iteration needs it. See {@link listEnvironmentPages}. */
  readonly listPages: Bound<typeof listEnvironmentPages>;
  /** Lists environments row by row over all pages. See {@link listAllEnvironments}. */
  readonly listAll: Bound<typeof listAllEnvironments>;
  /** Reads one environment by its `deviceId`. See {@link retrieveEnvironment}. */
  readonly retrieve: Bound<typeof retrieveEnvironment>;
  /** Assigns a display name and tags to a device, and resolves with it. See {@link updateEnvironment}. */
  readonly update: Bound<typeof updateEnvironment>;
  /** Removes a device with all its rows, or one row. See {@link removeEnvironment}. */
  readonly remove: Bound<typeof removeEnvironment>;
  /** Sends messages to the device behind a connection. See {@link sendMessage}. */
  readonly sendMessage: Bound<typeof sendMessage>;
  /** Looks up a device and sends messages to its present connection. See {@link sendToDevice}. */
  readonly sendToDevice: SendToDevice;
  /** Operations on messages that were sent. */
  readonly messages: MessagesResource;
  /** Operations on requests for permission. */
  readonly approvals: ApprovalsResource;
  /** Allows tool calls. See {@link approve}. */
  readonly approve: Bound<typeof approve>;
  /** Denies tool calls. See {@link deny}. */
  readonly deny: Bound<typeof deny>;
  /** Stops the turn of a conversation, or the request for permission that it waits for. See {@link stop}. */
  readonly stop: Bound<typeof stop>;
  /** Changes the permission mode of a conversation. See {@link setMode}. */
  readonly setMode: Bound<typeof setMode>;
  /** Changes the working directory of a conversation. See {@link setDirectory}. */
  readonly setDirectory: Bound<typeof setDirectory>;
  /** Releases the messages that a stop has paused. See {@link resumeQueue}. */
  readonly resumeQueue: Bound<typeof resumeQueue>;
  /** Removes a waiting message by the id that the device gave it. See {@link removeQueueItem}. */
  readonly removeQueueItem: Bound<typeof removeQueueItem>;
  /** Streams events of environments, messages and requests for permission, and the output of turns. See {@link streamEvents}. */
  readonly events: Bound<typeof streamEvents>;
  /** Watches environments: yields the changes of the list. See {@link watchEnvironments}. */
  readonly watch: Bound<typeof watchEnvironments>;
}

/** A client of the Environments API. */
export interface Client {
  /** Operations on environments. */
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
