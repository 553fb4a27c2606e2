import type { Environment } from "@letta-environments/schema";
import { callError } from "../call-error.ts";
import { checkValue } from "../check-value.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import { sleep } from "../sleep.ts";
import type { Transport } from "../transport.ts";
import type { TransportResponse } from "../transport-request.ts";
import type { SendMessageInput } from "./assign-message-ids.ts";
import { encodeMessages } from "./encode-messages.ts";
import { type DeviceSelector, findDevice, type FoundDevice } from "./find-device.ts";
import { postMessages, type SendMessageResult, type SendOptions, withIds } from "./send-message.ts";

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
  return pendingCall(() => send(transport, device, body, options));
}

async function send(
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  { waitUntilOnlineMs = 0, intervalMs = 2_000, ...options }: SendToDeviceOptions,
): Promise<TransportResponse<SendToDeviceResult>> {
  const { clock } = transport;
  const messages = encodeMessages(body);
  const everyMs = checkValue("intervalMs", intervalMs, /^[1-9]\d{0,8}$/);
  const endsAtMs = clock.now() + checkValue("waitUntilOnlineMs", waitUntilOnlineMs, /^\d{1,9}$/);

  const findOnline = async (): Promise<FoundDevice & { readonly connectionId: string }> => {
    let isSeen = false;
    for (;;) {
      const leftMs = endsAtMs - clock.now();
      let waitMs = everyMs;
      try {
        const { environment, connectionId } = await findDevice(transport, device, options);
        if (connectionId) return { environment, connectionId };
        if (leftMs <= 0) throw callError("once", "device_offline", { environments: [environment] });
        isSeen = true;
      } catch (error) {
        if (!isLettaEnvironmentsError(error)) throw error;
        // A server that restarts is no reason to give up a device that is waited for.
        if (!isSeen || leftMs <= 0 || !error.retryable) throw withIds(error, messages, "refused");
        waitMs = Math.max(waitMs, error.retryAfterMs ?? 0);
      }
      await sleep(clock, Math.min(leftMs, waitMs), options.signal);
    }
  };
  const deliver = async (
    connectionId: string,
    environment: Environment,
  ): Promise<TransportResponse<SendToDeviceResult>> => {
    const { data, response } = await postMessages(transport, connectionId, messages, options);
    return { data: { ...data, environment }, response };
  };

  const found = await findOnline();
  try {
    return await deliver(found.connectionId, found.environment);
  } catch (error) {
    if (!isLettaEnvironmentsError(error) || !lostConnection.test(error.code)) throw error;
    const again = await findOnline();
    if (again.connectionId === found.connectionId) throw error;
    return deliver(again.connectionId, again.environment);
  }
}

/** Codes of a send that found nobody at its connection. */
const lostConnection = /^(connection_(not_found|replaced)|device_offline)$/;
