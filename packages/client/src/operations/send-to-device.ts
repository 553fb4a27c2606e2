import type { Environment } from "@letta-environments/schema";
import type { EnvironmentsError } from "../error-codes.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { checkWholeNumber } from "../check-whole-number.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import { sleep } from "../sleep.ts";
import type { Transport } from "../transport.ts";
import type { TransportResponse } from "../transport-request.ts";
import type { SendMessageInput } from "./assign-message-ids.ts";
import { encodeMessages } from "./encode-messages.ts";
import { deviceError, type DeviceSelector, findDevice, type FoundDevice } from "./find-device.ts";
import { postMessages, type SendMessageResult, type SendOptions } from "./send-message.ts";

/** What a send to a device may set. `timeoutMs` holds for each of its requests. */
export interface SendToDeviceOptions extends SendOptions {
  /**
   * How long to wait for an offline device, in milliseconds. Default 0: it is refused at once. Failures that may pass are waited
   * out once the device has been seen.
   */
  readonly waitUntilOnlineMs?: number | undefined;
  /** How often to look meanwhile, in milliseconds. Default 2,000. */
  readonly intervalMs?: number | undefined;
}

/** The result of a send, and the row of the device that took it. */
export interface SendToDeviceResult extends SendMessageResult {
  readonly environment: Environment;
}

/**
 * Sends messages to a device by what it is, not by its present connection. An offline device is refused with `device_offline`
 * before anything is sent, or waited for. When the connection turns out to be gone, the device is looked up once more
 * and the same messages go to its new connection, under the same ids.
 *
 * Rejects with a `LettaEnvironmentsError`.
 */
export function sendToDevice(
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  options: SendToDeviceOptions = {},
): PendingCall<SendToDeviceResult> {
  return pendingCall(send(transport, device, body, options));
}

async function send(
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  { waitUntilOnlineMs = 0, intervalMs = 2_000, ...options }: SendToDeviceOptions,
): Promise<TransportResponse<SendToDeviceResult>> {
  const messages = encodeMessages(body);
  const everyMs = checkWholeNumber("intervalMs", intervalMs, 1);
  const endsAtMs = transport.clock.now() + checkWholeNumber("waitUntilOnlineMs", waitUntilOnlineMs);
  const resolve = async (): Promise<FoundDevice & { readonly connectionId: string }> => {
    try {
      return await waitForDevice(transport, device, options, endsAtMs, everyMs);
    } catch (error) {
      const { clientMessageIds } = messages;
      throw isLettaEnvironmentsError(error) ? Object.assign(error, { clientMessageIds, outcome: "refused" }) : error;
    }
  };
  let lost: { readonly connectionId: string; readonly error: EnvironmentsError } | undefined;
  for (;;) {
    const { connectionId, environment } = await resolve();
    if (connectionId === lost?.connectionId) throw lost.error;
    try {
      const answer = await postMessages(transport, connectionId, messages, options);
      return { ...answer, data: { ...answer.data, environment } };
    } catch (error) {
      const isLost =
        isLettaEnvironmentsError(error) && /^(connection_(not_found|replaced)|device_offline)$/.test(error.code);
      if (lost || !isLost) throw error;
      lost = { connectionId, error };
    }
  }
}

async function waitForDevice(
  transport: Transport,
  device: DeviceSelector,
  options: SendOptions,
  endsAtMs: number,
  everyMs: number,
): Promise<FoundDevice & { readonly connectionId: string }> {
  const { clock, random } = transport;
  let isSeen = false;
  for (;;) {
    let waitMs = everyMs * (0.75 + random() / 2);
    const leftMs = endsAtMs - clock.now();
    try {
      const { environment, connectionId } = await findDevice(transport, device, options);
      if (connectionId !== null) return { environment, connectionId };
      if (leftMs <= 0) throw deviceError("device_offline", "The device is offline; nothing was sent.", [environment]);
      isSeen = true;
    } catch (error) {
      // A server that restarts is no reason to give up a device that is waited for.
      if (!isSeen || leftMs <= 0 || !isLettaEnvironmentsError(error) || !error.retryable) throw error;
      waitMs = Math.max(waitMs, error.retryAfterMs ?? 0);
    }
    await sleep(clock, Math.min(Math.max(0, endsAtMs - clock.now()), waitMs), options.signal);
  }
}
