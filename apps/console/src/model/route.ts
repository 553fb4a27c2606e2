/**
 * The address of a view: a path and parameters in the fragment, such as `#/devices?status=online`. Everything that a view filters or
 * sorts by is part of it, so that an address can be shared and "back" works.
 */

/** Names of the views. */
export type ViewName = "devices" | "device" | "approvals" | "overview" | "keys" | "audit";

/** A view with its parameters. */
export interface Route {
  readonly view: ViewName;
  /** The device of the view `device`; `null` for others. */
  readonly id: string | null;
  readonly parameters: Readonly<Record<string, string>>;
}

const views: readonly ViewName[] = ["devices", "device", "approvals", "overview", "keys", "audit"];

/** Reads a fragment. Anything that is not an address of the console is the list of devices. */
export function parseRoute(fragment: string): Route {
  const [path = "", query = ""] = fragment.replace(/^\//, "").split("?", 2);
  const [name = "", rawId] = path.split("/");
  const id = decode(rawId ?? "");
  const parameters = Object.fromEntries([...new URLSearchParams(query)].filter(([, value]) => value !== ""));
  const view = views.find((known) => known === name) ?? "devices";
  if (view === "device" && id === "") return { view: "devices", id: null, parameters: {} };
  return { view, id: view === "device" ? id : null, parameters };
}

/** Writes the fragment of a route. Empty parameters are left out. */
export function formatRoute(
  view: ViewName,
  {
    id = null,
    parameters = {},
  }: { readonly id?: string | null; readonly parameters?: Readonly<Record<string, string>> } = {},
): string {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "")).toString();
  return `/${view}${id === null ? "" : `/${encodeURIComponent(id)}`}${query === "" ? "" : `?${query}`}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
