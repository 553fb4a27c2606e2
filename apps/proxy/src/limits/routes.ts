/** The routes that rate limits count: their names, the one of a request, and which others it counts for. */
import type { Operation, RetrieveMessageQuery } from "@letta-environments/schema";

/**
 * The routes that limits can apply to. Most are operations of the API. `awaitMessage` is `retrieveMessage` with a wait, `controlDevice` every
 * control operation, `commandDevice` everything else that viewers send, `administerKeys` the administration and the sessions of the console, and
 * `signIn` signing in there. `failedAuthentication` and `failedSignIn` count failures.
 */
export const limitedRoutes = [
  "listEnvironments",
  "retrieveEnvironment",
  "sendMessage",
  "listMessages",
  "retrieveMessage",
  "awaitMessage",
  "updateEnvironment",
  "removeEnvironment",
  "retrieveLastRuntime",
  "listApprovals",
  "streamEvents",
  "registerEnvironment",
  "openDeviceSocket",
  "controlDevice",
  "commandDevice",
  "administerKeys",
  "signIn",
  "failedAuthentication",
  "failedSignIn",
] as const;

/** One of the {@link limitedRoutes}. */
export type LimitedRoute = (typeof limitedRoutes)[number];

/** Whether a route counts failures. A failure has no key, so its policies are per address. */
export function countsFailures(route: LimitedRoute): boolean {
  return route === "failedAuthentication" || route === "failedSignIn";
}

/**
 * Returns the routes whose policies count a request of a route. A wait for a message also counts as retrieving it, a sign-in as
 * administration of a key, and a failed sign-in as failed authentication.
 */
export function countedRoutes(route: LimitedRoute): readonly LimitedRoute[] {
  if (route === "awaitMessage") return [route, "retrieveMessage"];
  if (route === "signIn") return [route, "administerKeys"];
  return route === "failedSignIn" ? [route, "failedAuthentication"] : [route];
}

const waitParameter = "wait" satisfies keyof RetrieveMessageQuery;

/** Returns the route of an operation with a query that is not validated yet. */
export function routeOf(operation: Operation, query: string): LimitedRoute {
  switch (operation) {
    case "retrieveMessage":
      return query !== "" && new URLSearchParams(query).has(waitParameter) ? "awaitMessage" : operation;
    case "stopTurn":
    case "changeMode":
    case "changeDirectory":
    case "resumeQueue":
    case "removeQueueItem":
      return "controlDevice";
    case "openViewerSocket":
    case "createViewerTicket":
      return "commandDevice";
    default:
      return operation;
  }
}
