import type { Environment } from "@letta-environments/schema";
import { now, sleep } from "../adapters/time.ts";
import { checkValue } from "../check-value.ts";
import type { EnvironmentsError } from "../error-codes.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import type { Transport } from "../transport.ts";
import type { SendMessageInput } from "./assign-message-ids.ts";
import { encodeMessages } from "./encode-messages.ts";
import { type DeviceSelector, findDevice } from "./find-device.ts";
import { postMessages, type SendMessageResult, type SendOptions, withIds } from "./send-message.ts";

/** What a send to a device may set. `timeoutMs` holds for each of its requests. */
export interface SendToDeviceOptions extends SendOptions {
  /**
   * How long to wait for an offline device, in milliseconds. Default 0: it is refused at once. Failures of the
   * look-up that may pass are waited out too.
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
 * before anything is sent, or waited for. When the send is refused with 404 or 409, its connection may be gone:
 * the device is looked up once more and the same messages go to its new connection, if it has one, under the same ids.
 *
 * Rejects with a `LettaEnvironmentsError`, or with what a rule throws.
 */
export const sendToDevice = (
  transport: Transport,
  device: DeviceSelector,
  body: SendMessageInput,
  { waitUntilOnlineMs = 0, intervalMs = 2_000, ...options }: SendToDeviceOptions = {},
): PendingCall<SendToDeviceResult> =>
  pendingCall(async () => {
    const messages = encodeMessages(body);
    checkValue("intervalMs", intervalMs);
    const endsAtMs = now() + checkValue("waitUntilOnlineMs", waitUntilOnlineMs, /^\d+$/);
    /** Where the messages went, and how that failed. */
    let connectionId: string | undefined;
    let lost: EnvironmentsError | undefined;
    for (;;) {
      const leftMs = endsAtMs - now();
      try {
        const environment = await findDevice(transport, device, options);
        if (connectionId === environment.connectionId) throw lost;
        ({ connectionId } = environment);
        const { data, response } = await postMessages(transport, connectionId, messages, options);
        return { data: { ...data, environment }, response };
      } catch (error) {
        // Of what is none of ours nobody knows whether it is safe to go on.
        if (!isLettaEnvironmentsError(error)) throw error;
        const { outcome, status, retryable, retryAfterMs = 0 } = error;
        // Nobody may be at the connection any more (404, 409): the device may have another one.
        if (!lost && (status === 404 || status === 409) && outcome === "refused") lost = error;
        else {
          // What was sent is not sent again.
          if (outcome || leftMs <= 0 || !retryable) throw withIds(error, messages);
          await sleep(Math.min(leftMs, Math.max(intervalMs, retryAfterMs)), options.signal);
        }
      }
    }
  });
