import type { KeyStore } from "../ports.ts";
import type { Telemetry } from "../telemetry.ts";
import { innermostReason } from "./innermost-reason.ts";
import { KeyStoreUnavailableError } from "./key-store-unavailable-error.ts";

/**
 * A key store whose outages are told, each once and in full: an outage begins with something that is not answered, and ends with
 * the next answer.
 */
export function reportOutages(keyStore: KeyStore, telemetry: Telemetry): KeyStore {
  let isAway = false;

  async function watched<Answer>(asked: Promise<Answer>): Promise<Answer> {
    try {
      const answer = await asked;
      isAway = false;
      return answer;
    } catch (cause) {
      if (cause instanceof KeyStoreUnavailableError && !isAway) {
        isAway = true;
        telemetry({ type: "key_store_failed", requestId: "-", reason: innermostReason(cause), cause });
      }
      throw cause;
    }
  }

  return {
    find: (id) => watched(keyStore.find(id)),
    list: () => watched(keyStore.list()),
    create: (record) => watched(keyStore.create(record)),
    update: (id, change) => watched(keyStore.update(id, change)),
    recordUse: (uses) => watched(keyStore.recordUse(uses)),
    lastUses: () => watched(keyStore.lastUses()),
    generation: () => keyStore.generation(),
  };
}
