import { type Environment, isOnline } from "@letta-environments/client";

/** What happened to a device. `gone`: it is not listed any more, and the row is the last one seen. */
export interface EnvironmentEvent {
  readonly type: "appeared" | "changed" | "online" | "offline" | "gone";
  readonly environment: Environment;
  readonly online: boolean;
}

/** A device as it was seen, and whether it could be messaged then. */
export interface SeenEnvironment {
  readonly environment: Environment;
  readonly online: boolean;
}

/** Devices by the id of their row, as they are at `nowMs`. */
export function lookAt(environments: readonly Environment[], nowMs: number): ReadonlyMap<string, SeenEnvironment> {
  return new Map(
    environments.map((environment) => [environment.id, { environment, online: isOnline(environment, nowMs) }]),
  );
}

/** What happened between two looks, at most one event a device; signs of life alone are no event. */
export function compareEnvironments(
  before: ReadonlyMap<string, SeenEnvironment>,
  now: ReadonlyMap<string, SeenEnvironment>,
): EnvironmentEvent[] {
  const events: EnvironmentEvent[] = [];
  for (const [id, { environment, online }] of now) {
    const old = before.get(id);
    if (old === undefined) events.push({ type: "appeared", environment, online });
    else if (old.online !== online) events.push({ type: online ? "online" : "offline", environment, online });
    else if (lasting(old.environment) !== lasting(environment)) events.push({ type: "changed", environment, online });
  }
  for (const [id, { environment }] of before) {
    if (!now.has(id)) events.push({ type: "gone", environment, online: false });
  }
  return events;
}

function lasting({ lastHeartbeat: _heartbeat, lastSeenAt: _seen, ...members }: Environment): string {
  return JSON.stringify(members);
}
