import { jsonResponse } from "@letta-environments/schema";
import type { RecordedRequest, Topic } from "../topic.ts";
import { messageBody, remoteServer, scriptUpstream, send } from "./shared.ts";

const upstream = scriptUpstream();
const device = { as: "details", path: "/v1/environments/laptop" } as const;
const fails = (): void => void (upstream.current = () => Promise.resolve(jsonResponse(503, { message: "down" })));
const works = (): void => void (upstream.current = remoteServer);
const after = (durationMs: number) => (gateway: { readonly clock: { advance(ms: number): Promise<void> } }) =>
  gateway.clock.advance(durationMs);

const controls: readonly (readonly [title: string, headers: Readonly<Record<string, string>>])[] = [
  ["no-cache", { "cache-control": "no-cache" }],
  ["no-store", { "cache-control": "no-store" }],
  ["max-age=0", { "cache-control": "max-age=0" }],
  ["max-age=1", { "cache-control": "max-age=1" }],
  ["only-if-cached", { "cache-control": "only-if-cached" }],
  ["Pragma: no-cache", { pragma: "no-cache" }],
  ["any tag", { "if-none-match": "*" }],
  ["another tag", { "if-none-match": 'W/"other"' }],
  ["a date", { "if-modified-since": "Fri, 15 Jan 2027 08:00:00 GMT" }],
  ["a range", { range: "bytes=0-9" }],
];

export const cache: Topic = {
  name: "cache",
  gateway: { upstream: upstream.fetch, cache: true },
  keys: {
    details: { scopes: ["list", "read", "send", "details"] },
    plain: { scopes: ["list", "read", "send"] },
    "one device": { scopes: ["list", "read"], deviceIds: ["laptop"] },
    admin: { scopes: ["admin"] },
  },
  requests: [
    { title: "a first list", as: "details", before: works },
    { title: "a list that is fresh", as: "details" },
    { title: "a list of the same query in another form", as: "details", query: "" },
    { title: "a list with another query", as: "details", query: "limit=1" },
    { title: "a list that is fresh, as HEAD", as: "details", method: "HEAD" },
    { title: "the list of a key without details", as: "plain" },
    { title: "the list of a key without details again", as: "plain" },
    { title: "the list of a limited key", as: "one device" },
    { title: "a first device", ...device },
    { title: "a device that is fresh", ...device },
    { title: "an unknown device", ...device, path: "/v1/environments/nothing" },
    { title: "an unknown device again", ...device, path: "/v1/environments/nothing" },
    { title: "a list after a second", as: "details", before: after(1_000) },
    ...controls.map(([title, headers]): RecordedRequest => ({
      title: `a fresh list with ${title}`,
      as: "details",
      headers,
    })),
    {
      title: "an uncached list with only-if-cached",
      as: "details",
      query: "limit=2",
      headers: { "cache-control": "only-if-cached" },
    },
    { title: "a stale list while a newer one is read", as: "details", before: after(3_000) },
    { title: "the newer list", as: "details" },
    { title: "a list that is too old", as: "details", before: after(10_000) },
    {
      title: "a list while the upstream fails",
      as: "details",
      before: async (gateway) => (fails(), after(10_000)(gateway)),
    },
    { title: "a list while the upstream fails, without details", as: "plain" },
    { title: "a device while the upstream fails", ...device },
    {
      title: "a device that was never read while the upstream fails",
      as: "plain",
      path: "/v1/environments/ci-machine",
    },
    {
      title: "a list while the upstream fails, with no-cache",
      as: "details",
      headers: { "cache-control": "no-cache" },
    },
    { title: "a list that is too old to be served on an error", as: "details", before: after(120_000) },
    {
      title: "a list that is read again",
      as: "details",
      // An upstream that is down is tried again after a second.
      before: async (gateway) => (works(), after(1_000)(gateway)),
    },
    { title: "a send", as: "details", ...send("conn-laptop", messageBody("m-1")) },
    { title: "a device after a send", ...device },
    { title: "a list after a send", as: "details" },
    {
      title: "a purge of a device",
      as: "admin",
      method: "POST",
      path: "/admin/v1/cache/purge",
      body: { deviceId: "laptop" },
    },
    { title: "a device after a purge", ...device },
    { title: "a purge of lists", as: "admin", method: "POST", path: "/admin/v1/cache/purge", body: { group: "lists" } },
    { title: "a list after a purge", as: "details" },
    { title: "a purge of everything", as: "admin", method: "POST", path: "/admin/v1/cache/purge" },
    {
      title: "a purge of both",
      as: "admin",
      method: "POST",
      path: "/admin/v1/cache/purge",
      body: { group: "lists", deviceId: "x" },
    },
    {
      title: "a purge of another tenant",
      as: "admin",
      method: "POST",
      path: "/admin/v1/cache/purge",
      body: { tenant: "other" },
    },
    {
      title: "a purge of an unknown group",
      as: "admin",
      method: "POST",
      path: "/admin/v1/cache/purge",
      body: { group: "x" },
    },
    { title: "a purge without the scope", as: "details", method: "POST", path: "/admin/v1/cache/purge" },
    { title: "a list without a key", before: works },
  ],
};
