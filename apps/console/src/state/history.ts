/** The messages of a device as the gateway lists them, read a page at a time while the view of the device is open. */
import { isLettaEnvironmentsError, listMessages, type MessageStatus } from "@letta-environments/client";
import { signal, type Signal } from "@preact/signals";
import { failureText, transport } from "./api.ts";
import { hasExtensions, may } from "./session.ts";

/** The messages that were read so far. */
export interface ReadHistory {
  /** The latest first. */
  readonly messages: readonly MessageStatus[];
  /** Where older messages begin; `null`: there are none. */
  readonly cursor: string | null;
  /** Why the last request failed; `null` if it did not. `missing`: this server has no list. */
  readonly failure: string | null;
  /** Whether the list is read, or will be for the first time. */
  readonly isReading: boolean;
}

/** The history of one device. */
export interface DeviceHistory {
  readonly state: Signal<ReadHistory>;
  /** Reads the latest messages, or the next older ones. */
  read(which: "latest" | "older"): Promise<void>;
}

const pageSize = 20;

/** Opens the history of a device by its id, which also works while it is offline. */
export function openHistory(deviceId: string): DeviceHistory {
  const failure = hasExtensions() ? null : "missing";
  const isReadable = hasExtensions() && may("read");
  const state: Signal<ReadHistory> = signal({ messages: [], cursor: null, failure, isReading: isReadable });
  let isBusy = !isReadable;
  return {
    state,
    async read(which) {
      if (isBusy) return;
      isBusy = true;
      const before = state.value;
      state.value = { ...before, isReading: true };
      const after = which === "older" ? (before.cursor ?? undefined) : undefined;
      const include = may("view") ? ("text" as const) : undefined;
      try {
        const page = await listMessages(transport, deviceId, { limit: pageSize, after, include });
        const cursor = page.hasNextPage ? page.cursor : null;
        const messages = which === "older" ? [...before.messages, ...page.messages] : page.messages;
        state.value = { messages, cursor, failure: null, isReading: false };
      } catch (error) {
        const isMissing =
          isLettaEnvironmentsError(error) && (error.status === 405 || error.code === "endpoint_not_found");
        state.value = { ...before, failure: isMissing ? "missing" : failureText(error), isReading: false };
      }
      isBusy = false;
    },
  };
}
