import type { Clock } from "@letta-environments/platform";
import { momentOf } from "../socket/connection.ts";
import type { DeviceHub } from "../socket/hub.ts";
import type { LocalDevices } from "./router.ts";

/** Creates the {@link LocalDevices} of a process from its sockets. */
export function createLocalDevices({
  clock,
  hub,
  podId,
  deliver,
}: {
  readonly clock: Clock;
  readonly hub: DeviceHub;
  readonly podId: string;
  readonly deliver: LocalDevices["deliver"];
}): LocalDevices {
  return {
    presence(environmentIds) {
      const now = momentOf(clock);
      return environmentIds.map((environmentId) => hub.presence(environmentId, now));
    },
    onlineIds(tenant, afterId, limit) {
      const found: string[] = [];
      for (let after = afterId; ;) {
        const ids = hub.openIds(tenant, after, limit);
        found.push(...ids.filter((id) => hub.onlineConnectionOf(id) !== null));
        after = ids.at(-1) ?? after;
        if (found.length >= limit || ids.length < limit) return found.slice(0, limit);
      }
    },
    locate(environmentId) {
      const connection = hub.connectionOf(environmentId);
      if (connection === null) return null;
      return { podId, connectionId: connection.device.connectionId, generation: connection.generation };
    },
    deliver,
    replace: hub.replace,
  };
}
