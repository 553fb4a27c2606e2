/** Sends messages to a device by its id or name instead of its present connection: looks the device up, and waits for it if asked to. */
import type { MessageStatus } from "@letta-environments/schema";
import { isText } from "@letta-environments/schema/guards";
import { monotonic, sleep } from "../adapters/platform.ts";
import { check, checkInteger, checkRecord } from "../check.ts";
import { type EnvironmentsError, isLettaEnvironmentsError } from "../error.ts";
import { checkSignal } from "../options.ts";
import type { PendingCall, TransportResponse } from "../request.ts";
import { createResponseError } from "../response.ts";
import { absenceCodes, isOfThisApi } from "../retry.ts";
import type { Transport } from "../transport.ts";
import { type DeviceSelector, findDevice, type FoundDevice } from "./find-device.ts";
import { type EncodedMessages, encodeMessages, type SendMessageInput } from "./message.ts";
import { describeSend, pendingSend, postMessages, type SendMessageResult, type SendOptions } from "./send.ts";
import { awaitTurn, defaultWaitMs, readTurn, type Turn, type WaitForTurnOptions } from "./turn.ts";

/** Options of a send to a device. `timeoutMs` applies to each of its requests. */
export interface SendToDeviceOptions extends SendOptions {
  /**
   * How long to wait for an offline device, in milliseconds. Default 0: the send is refused immediately. During the wait,
   * look-ups with temporary failures are repeated, too. A device that the server does not list is not waited for.
   */
  readonly waitUntilOnlineMs?: number | undefined;
  /** Time between look-ups during that wait, in milliseconds. Default 2,000. */
  readonly intervalMs?: number | undefined;
}

/** Options of a send that waits for the end of the turn. */
export interface SendAndWaitOptions extends SendToDeviceOptions, Pick<WaitForTurnOptions, "waitUntilFinishedMs"> {
  /** Resolves when the turn of the last message has ended, or when `waitUntilFinishedMs` have passed. */
  readonly wait: "finished";
}

/** Options of a send whose wait is decided at run time. */
export interface SendAndMaybeWaitOptions extends Omit<SendAndWaitOptions, "wait"> {
  /** As in {@link SendAndWaitOptions}, if it is given. */
  readonly wait?: SendAndWaitOptions["wait"] | undefined;
}

/** The result of a send, with the row of the device that took it. */
export interface SendToDeviceResult extends SendMessageResult {
  readonly environment: FoundDevice;
}

/** The result of a send that waited for the end of the turn. */
export interface SendAndWaitResult extends SendToDeviceResult {
  readonly turn: Turn;
}

/**
 * Looks up a device and sends messages to its present connection. An offline device is a `device_offline` error before anything is
 * sent, unless `waitUntilOnlineMs` allows waiting. If the server refuses the send because the connection is gone, the device is looked up once
 * more, and the same messages go to its new connection, if it has one, under the same ids.
 *
 * With `wait: "finished"` the call continues until the turn has ended. A turn that failed or was stopped is a result, not an error. An
 * error after the message has left has the outcome `unknown`: use {@link waitForTurn} with its `clientMessageIds`, or repeat the send
 * with them.
 *
 * Rejects with a `LettaEnvironmentsError`, or with whatever a rule throws.
 */
export function sendToDevice(
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  options: SendAndWaitOptions,
): PendingCall<SendAndWaitResult>;
export function sendToDevice(
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  options?: SendToDeviceOptions & { readonly wait?: undefined },
): PendingCall<SendToDeviceResult>;
export function sendToDevice(
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  options: SendAndMaybeWaitOptions,
): PendingCall<SendToDeviceResult | SendAndWaitResult>;
export function sendToDevice(
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  options: SendAndMaybeWaitOptions = {},
): PendingCall<SendToDeviceResult | SendAndWaitResult> {
  return pendingSend(async () => {
    checkRecord("options", options);
    const { wait, waitUntilFinishedMs, ...sendOptions } = options;
    if (wait !== undefined) check("wait", wait === "finished", 'must be "finished"');
    const messages = encodeMessages(body);
    if (wait === undefined) return findAndSend(transport, device, messages, sendOptions);
    return sendAndWait(transport, device, { body, messages }, sendOptions, waitUntilFinishedMs);
  });
}

async function sendAndWait(
  transport: Transport,
  device: DeviceSelector,
  { body, messages }: { readonly body: SendMessageInput; readonly messages: EncodedMessages },
  options: SendToDeviceOptions,
  waitUntilFinishedMs = defaultWaitMs,
): Promise<TransportResponse<SendAndWaitResult>> {
  const id = messages.clientMessageIds.at(-1);
  checkInteger("waitUntilFinishedMs", waitUntilFinishedMs, 0);
  check("wait", id !== undefined, "needs a user message");
  const sent = await findAndSend(transport, device, messages, options, waitUntilFinishedMs);
  if (sent.data.outcome === "refused") {
    const { message } = sent.data;
    throw describeSend(createResponseError("input_rejected", sent, isText(message) ? message : ""), messages);
  }
  const endsAtMs = sent.sentAtMs + waitUntilFinishedMs;
  const { agentId, conversationId } = body;
  try {
    const { data: turn, response } = await awaitTurn(
      transport,
      sent.data.environment.connectionId,
      id,
      { ...(agentId && { agentId }), conversationId: conversationId || "default" },
      options,
      endsAtMs,
      sent.status && { data: readTurn(sent.status), response: sent.response },
    );
    return { data: { ...sent.data, turn }, response };
  } catch (error) {
    if (isLettaEnvironmentsError(error))
      Object.assign(error, {
        outcome: "unknown",
        clientMessageIds: messages.clientMessageIds,
        message: `the message was sent, but its turn cannot be followed: ${error.message}`,
      });
    throw error;
  }
}

interface FoundAndSent extends TransportResponse<SendToDeviceResult> {
  readonly status: MessageStatus | undefined;
  /** When the request that delivered the messages began, in {@link monotonic} milliseconds. */
  readonly sentAtMs: number;
}

async function findAndSend(
  transport: Transport,
  device: DeviceSelector,
  messages: EncodedMessages,
  options: SendToDeviceOptions,
  waitMs?: number,
): Promise<FoundAndSent> {
  const { waitUntilOnlineMs = 0, intervalMs = 2_000, ...sendOptions } = options;
  checkInteger("intervalMs", intervalMs);
  checkInteger("waitUntilOnlineMs", waitUntilOnlineMs, 0, Number.MAX_SAFE_INTEGER);
  checkSignal(sendOptions.signal);
  const endsAtMs = monotonic() + waitUntilOnlineMs;
  /** The connection that refused the messages, and its error. */
  let connectionId: string | undefined;
  let refusal: EnvironmentsError | undefined;
  for (;;) {
    try {
      const environment = await findDevice(transport, device, sendOptions);
      // The device still has the connection that refused the messages: the `catch` below handles that refusal again, and waits or gives up.
      if (connectionId === environment.connectionId) throw refusal;
      ({ connectionId } = environment);
      const sentAtMs = monotonic();
      const posted = await postMessages(transport, connectionId, messages, sendOptions, waitMs);
      return { ...posted, sentAtMs, data: { ...posted.data, environment } };
    } catch (error) {
      // Any other error does not say whether the messages were sent.
      if (!isLettaEnvironmentsError(error)) throw error;
      const { code, outcome, retryable, retryAfterMs = 0 } = error;
      const isRefusal = mayConcernConnection(error);
      const mayHaveMoved = isRefusal && !refusal;
      if (isRefusal) refusal = error;
      if (!mayHaveMoved) {
        const leftMs = endsAtMs - monotonic();
        // Look-ups have no outcome. After a send there is nothing left to wait for, except for the device's next connection.
        const mayPass = outcome ? outcome === "refused" && absenceCodes.includes(code) : retryable;
        if (leftMs <= 0 || retryAfterMs > leftMs || !mayPass) {
          // A refusal of another server may have another reason than the connection, which a failed look-up must not hide.
          if (refusal && !absenceCodes.includes(refusal.code) && !outcome && !lookUpResults.includes(code))
            throw Object.assign(refusal, { cause: error });
          throw describeSend(error, messages);
        }
        await sleep(Math.min(leftMs, Math.max(intervalMs, retryAfterMs)), sendOptions.signal);
      }
    }
  }
}

/** Codes of look-ups that have found out something about the device, and of a call that its caller has ended. */
const lookUpResults: readonly string[] = ["environment_not_found", "device_offline", "ambiguous_device", "aborted"];

/**
 * Whether a refusal may mean that the device has another connection by now. Other refusals of this API are about the messages, and the device may
 * have given them itself. A server with other codes may mean the connection, also behind the gateway, which makes them `upstream_error`.
 */
function mayConcernConnection({ code, outcome, status, problem }: EnvironmentsError): boolean {
  if (outcome !== "refused" || (status !== 404 && status !== 409)) return false;
  return !isOfThisApi(problem?.type) || code === "upstream_error" || absenceCodes.includes(code);
}
