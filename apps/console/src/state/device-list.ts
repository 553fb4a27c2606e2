/** The part of the devices that the list shows. Its values keep their identity while they do not change, so that the list is rarely redrawn. */
import type { Environment } from "@letta-environments/client";
import { printable } from "@letta-environments/command-line/printable";
import { computed, type ReadonlySignal } from "@preact/signals";
import { lookOf, nameOf, selectDevices, ambiguousLooks, tagsOf } from "../model/device-filter.ts";
import { pendingOf } from "./approvals.ts";
import { devices, findDevice } from "./environments.ts";
import { route } from "./route.ts";

/** The ids of the rows that match the filters, in their order. */
export const selectedIds: ReadonlySignal<readonly string[]> = stable(() =>
  selectDevices(devices.value, route.value.parameters, pendingOf).map(({ id }) => id),
);

/** Every tag, in ascending order. */
export const allTags: ReadonlySignal<readonly string[]> = stable(() => tagsOf(devices.value));

/** The number of connected devices. */
export const onlineCount: ReadonlySignal<number> = computed(
  () => devices.value.filter(({ connectionId }) => connectionId !== null).length,
);

/** The number of devices. */
export const deviceCount: ReadonlySignal<number> = computed(() => devices.value.length);

const ambiguous: ReadonlySignal<readonly string[]> = stable(() => ambiguousLooks(devices.value));

/** The name of a device for people, with the id if the name could be mistaken for another device's. */
export function shownName(device: Environment): string {
  const name = nameOf(device);
  return ambiguous.value.includes(lookOf(name)) ? `${name} (${device.deviceId})` : name;
}

/** The name of a device by its id; the id while the page does not know the device. */
export function shownNameOf(deviceId: string): string {
  const device = findDevice(deviceId);
  return device === null ? printable(deviceId) : shownName(device);
}

/** A computed list that stays the same object while its items do. */
function stable(compute: () => readonly string[]): ReadonlySignal<readonly string[]> {
  let last: readonly string[] = [];
  return computed(() => {
    const next = compute();
    const isSame = next.length === last.length && next.every((item, index) => item === last[index]);
    if (!isSame) last = next;
    return last;
  });
}
