/** The address of the page as a signal. */
import { effect, signal, type Signal } from "@preact/signals";
import { onFragment, pushFragment, readFragment, replaceFragment } from "../platform/browser.ts";
import { leavePage } from "../platform/place.ts";
import { info } from "./session.ts";
import { formatRoute, parseRoute, type Route, type ViewName } from "../model/route.ts";

/** The view that is shown. */
export const route: Signal<Route> = signal(parseRoute(readFragment()));

onFragment(() => {
  const next = parseRoute(readFragment());
  if (pageOf(next) !== pageOf(route.value)) leavePage(addressOf(route.value));
  route.value = next;
});

/** Identifies the page of a route. Parameters only change its content. */
export function pageOf({ view, id }: Route): string {
  return id ?? view;
}

/** The fragment of a route. */
export function addressOf({ view, ...target }: Route): string {
  return formatRoute(view, target);
}

/** Goes to a view. */
export function go(view: ViewName, target: Parameters<typeof formatRoute>[1] = {}): void {
  pushFragment(formatRoute(view, target));
}

/** Changes a parameter of the present view, without a new entry in the history. */
export function setParameter(name: string, value: string): void {
  const { view, id, parameters } = route.value;
  const fragment = formatRoute(view, { id, parameters: { ...parameters, [name]: value } });
  replaceFragment(fragment);
  route.value = parseRoute(fragment);
}

/** The latest filters of the list of devices in this session, for the way back from a device. */
let filters: Route["parameters"] = {};
effect(() => {
  const { view, parameters } = route.value;
  if (info.value === null) filters = {};
  else if (view === "devices") filters = parameters;
});

/** The address of a view for a link. From a device, the address of the list has its latest filters unless `target` says otherwise. */
export function href(
  view: ViewName,
  target: Parameters<typeof formatRoute>[1] = view === "devices" && route.value.view === "device"
    ? { parameters: filters }
    : {},
): string {
  return `#${formatRoute(view, target)}`;
}
