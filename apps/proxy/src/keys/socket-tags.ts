/**
 * Closes the sockets of devices that have no tag that their keys require. The row of a device is read when its socket has opened and when
 * the tags of its key change, and not more often: a device that loses its tags stays connected.
 */
import type { DeviceFilter } from "@letta-environments/environment-server";
import { allowsDevice } from "@letta-environments/schema";
import { type CurrentRules, isViewer, type Permissions, type SocketHolder } from "./socket-permissions.ts";

/** Sockets that can be closed, and the stored devices. */
export interface TaggedSockets {
  readonly devices: { list(filter: DeviceFilter): Promise<readonly { readonly tags: readonly string[] }[]> };
  closeEnded(isEnded: (holder: SocketHolder) => boolean): void;
}

/** Closes those of the open sockets whose device lacks the tags, and resolves with the others. Adds to `failures`, by key, why a device could not be read. */
export type CloseUntagged = (
  open: ReadonlyMap<SocketHolder, Permissions>,
  rules: Pick<CurrentRules, "configure">,
  failures: Map<string, unknown>,
) => Promise<readonly SocketHolder[]>;

/** Creates a {@link CloseUntagged}. */
export function createCloseUntagged(sockets: TaggedSockets): CloseUntagged {
  /** The required tags, as JSON, with which each device was found permitted. */
  const permitted = new WeakMap<SocketHolder, string>();

  async function isUntagged(holder: SocketHolder, deviceTags: readonly string[] | null): Promise<boolean> {
    const required = JSON.stringify(deviceTags);
    // The tags of a viewer's device are checked for each frame.
    if (isViewer(holder) || permitted.get(holder) === required) return false;
    if (deviceTags !== null) {
      const { tenant, deviceId } = holder;
      const [row] = await sockets.devices.list({ tenant, deviceId, afterId: null, limit: 1 });
      const device = { ...holder, tags: row?.tags };
      if (!allowsDevice({ deviceIds: null, connectionNames: null, deviceTags }, device)) return true;
    }
    permitted.set(holder, required);
    return false;
  }

  return async (open, { configure }, failures) => {
    const untagged = new Set<SocketHolder>();
    const check = async (holder: SocketHolder, own: Permissions): Promise<void> => {
      if (await isUntagged(holder, configure(own).deviceTags ?? null)) untagged.add(holder);
    };
    await Promise.all(
      [...open].map(([holder, own]) =>
        check(holder, own).catch((cause: unknown) => void failures.set(holder.keyId, cause)),
      ),
    );
    if (untagged.size > 0) sockets.closeEnded((holder) => untagged.has(holder));
    return [...open.keys()].filter((holder) => !untagged.has(holder) && !failures.has(holder.keyId));
  };
}
