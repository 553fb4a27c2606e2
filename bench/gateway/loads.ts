/** The requests that a gateway is measured with. */
import { connectionIdOf } from "../systems/fixed-answer.ts";

/** Kinds of request. */
export type LoadName =
  | "hit-one"
  | "hit-list"
  | "miss-one"
  | "miss-list"
  | "send"
  | "embedded-get"
  | "embedded-list"
  | "embedded-send";

/** A request to repeat. `{n}` in path and body is another number each time, always as long; `{value}` in the path goes through `values`. */
export interface LoadRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly values: readonly string[];
}

/** The name of the load in the tables. */
export const loadTitles: Readonly<Record<LoadName, string>> = {
  "hit-one": "Cache hit, one device (0.8 KB)",
  "hit-list": "Cache hit, list of 20 (16 KB)",
  "miss-one": "Cache miss, one device",
  "miss-list": "Cache miss, list of 20",
  send: "Send to an HTTP upstream",
  "embedded-get": "Embedded server: one device, uncached",
  "embedded-list": "Embedded server: list of 20, uncached",
  "embedded-send": "Embedded server: send that the device acknowledges",
};

/** The loads in front of the origin. */
export const remoteLoads: readonly LoadName[] = ["hit-one", "hit-list", "miss-one", "miss-list", "send"];
/** The loads of the gateway with its own environment server. */
export const embeddedLoads: readonly LoadName[] = ["embedded-get", "embedded-list", "embedded-send"];

const sendBody = JSON.stringify({
  agentId: "agent-1",
  conversationId: "conv-1",
  messages: [{ role: "user", content: "Please run the tests and fix whatever fails.", client_message_id: "cm-{n}" }],
});

/** Whether the load must not be answered by a cache. */
export function isUncached(load: LoadName): boolean {
  return !load.startsWith("hit-");
}

/** The request of a load; `connections` are ids of connected devices, which only sends need. */
export function requestOf(
  load: LoadName,
  key: string,
  connections: readonly string[] = [connectionIdOf(1)],
): LoadRequest {
  const authorised = { authorization: `Bearer ${key}`, accept: "application/json" };
  const get = (path: string, headers = {}): LoadRequest => ({
    method: "GET",
    path: `/v1/environments${path}`,
    headers: { ...authorised, ...headers },
    body: null,
    values: [""],
  });
  switch (load) {
    case "hit-one":
      return get("/bench-device");
    case "hit-list":
      return get("");
    case "miss-one":
      return get("/device-{n}");
    case "miss-list":
    case "embedded-list":
      return get("", { "cache-control": "no-cache" });
    case "embedded-get":
      return get("/device-0", { "cache-control": "no-cache" });
    case "send":
    case "embedded-send":
      return {
        method: "POST",
        path: "/v1/environments/{value}/messages",
        headers: { ...authorised, "content-type": "application/json" },
        body: sendBody,
        values: connections,
      };
  }
}
