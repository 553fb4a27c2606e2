/**
 * Closes the sockets of devices that have no tag that their keys require, and reports the devices that only shadow mode keeps connected. The row of a
 * device is read when its socket has opened and when its key is restricted to other tags, and not more often: a device that loses its tags stays
 * connected.
 */
import type { ConnectedDevice, DeviceFilter } from "@letta-environments/environment-server";
import { allowsDevice } from "@letta-environments/schema";
import { type CurrentRules, isViewer, type Permissions, type SocketHolder } from "./socket-permissions.ts";

/** The stored devices. */
export interface TaggedDevices {
  list(filter: DeviceFilter): Promise<readonly { readonly tags: readonly string[] }[]>;
}

/** Sockets that can be closed, and the stored devices. */
export interface TaggedSockets {
  readonly devices: TaggedDevices;
  closeEnded(isEnded: (holder: SocketHolder) => boolean): void;
}

/** Closes those of the open sockets whose device lacks the tags, and resolves with the others. Adds to `failures`, by key, why a device could not be read. */
export type CloseUntagged = (
  open: ReadonlyMap<SocketHolder, Permissions>,
  rules: Pick<CurrentRules, "configure">,
  failures: Map<string, unknown>,
) => Promise<readonly SocketHolder[]>;

/** Returns the tags of a device; none if it is not known. All rows of a device have the same. */
export async function readTags(devices: TaggedDevices, tenant: string, deviceId: string): Promise<readonly string[]> {
  const [row] = await devices.list({ tenant, deviceId, afterId: null, limit: 1 });
  return row?.tags ?? [];
}

/** Creates a {@link CloseUntagged}. `onShadowed` receives each device that its key would not allow without shadow mode, once per socket. */
export function createCloseUntagged(
  sockets: TaggedSockets,
  onShadowed: (device: ConnectedDevice) => void = () => undefined,
): CloseUntagged {
  const hasTags = createTagCheck(sockets.devices);
  const reported = new WeakSet<ConnectedDevice>();

  /** @param required the tags that count, `null` if none do: shadow mode lifts those of the key */
  async function isUntagged(holder: SocketHolder, own: Permissions, required: TagList): Promise<boolean> {
    // The tags of a viewer's device are checked for each frame.
    if (isViewer(holder) || (required === null && reported.has(holder))) return false;
    const isTagged = await hasTags(holder, required ?? own.deviceTags ?? null);
    if (!isTagged && required !== null) return true;
    if (reported.has(holder) || (isTagged && allowsDevice({ ...own, deviceTags: null }, holder))) return false;
    reported.add(holder);
    onShadowed(holder);
    return false;
  }

  return async (open, { configure }, failures) => {
    const untagged = new Set<SocketHolder>();
    const check = async (holder: SocketHolder, own: Permissions): Promise<void> => {
      if (await isUntagged(holder, own, configure(own).deviceTags ?? null)) untagged.add(holder);
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

/** A device must have at least one of these tags; `null` allows every device. */
type TagList = readonly string[] | null;

/**
 * Creates a function that returns whether a device has at least one of the tags. It remembers the tags with which it last allowed the device, and
 * does not read the row again while the list still contains all of them.
 */
function createTagCheck(devices: TaggedDevices): (device: ConnectedDevice, deviceTags: TagList) => Promise<boolean> {
  const allowed = new WeakMap<ConnectedDevice, TagList>();
  return async (device, deviceTags) => {
    const before = allowed.get(device) ?? null;
    const isRestricted = deviceTags !== null && before?.every((tag) => deviceTags.includes(tag)) !== true;
    if (isRestricted) {
      const tags = await readTags(devices, device.tenant, device.deviceId);
      if (!deviceTags.some((tag) => tags.includes(tag))) return false;
    }
    allowed.set(device, deviceTags);
    return true;
  };
}
