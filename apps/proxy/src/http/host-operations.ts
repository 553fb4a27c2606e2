/** The operations of the routes outside the API, as the log and the metrics name them, each with the path that stands for it in metrics. */

/** An operation of a route outside the API. */
export type HostOperation = "checkLiveness" | "checkReadiness" | "describeApi" | "readConsole" | "readDocs";

/** The path of every {@link HostOperation}. */
export const hostOperations: Readonly<Record<HostOperation, string>> = {
  checkLiveness: "/livez",
  checkReadiness: "/readyz",
  describeApi: "/openapi.json",
  readConsole: "/console/*",
  readDocs: "/docs/*",
};

/**
 * Whether a request is routine: a probe, or a file that was served. Probes come every few seconds and a page loads a dozen files, so their
 * lines have the level `debug`. A failing readiness check has its own event.
 */
export function isRoutine(operation: string | null, status: number): boolean {
  if (operation === null || !Object.hasOwn(hostOperations, operation)) return false;
  return status < 400 || (operation === "checkReadiness" && status === 503);
}
