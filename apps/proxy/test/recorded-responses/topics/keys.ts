import type { RecordedRequest, Topic } from "../topic.ts";
import { approvalBody, keysOfEveryKind, messageBody, remoteServer, send } from "./shared.ts";

const adminOfKeys = { admin: { scopes: ["admin"] } } as const;

/** The use of every kind of key. */
function useOf(key: string): readonly RecordedRequest[] {
  return [
    { title: `${key}: list`, as: key },
    { title: `${key}: a page of one`, as: key, query: "limit=1" },
    { title: `${key}: the laptop`, as: key, path: "/v1/environments/laptop" },
    { title: `${key}: the CI machine`, as: key, path: "/v1/environments/ci-machine" },
    { title: `${key}: an unknown device`, as: key, path: "/v1/environments/nothing" },
    { title: `${key}: send to the laptop`, as: key, ...send("conn-laptop", messageBody("m-1")) },
    { title: `${key}: send to the CI machine`, as: key, ...send("conn-ci", messageBody("m-2")) },
    {
      title: `${key}: send for another agent`,
      as: key,
      ...send("conn-laptop", messageBody("m-3", { agentId: "agent-2" })),
    },
    {
      title: `${key}: send without an agent`,
      as: key,
      ...send("conn-laptop", messageBody("m-4", { agentId: undefined })),
    },
    { title: `${key}: send to an unknown connection`, as: key, ...send("conn-nothing", messageBody("m-5")) },
    { title: `${key}: approve`, as: key, ...send("conn-laptop", approvalBody()) },
    { title: `${key}: rate limits`, as: key, path: "/v1/ratelimit" },
    { title: `${key}: administration`, as: key, path: "/admin/v1/keys", query: "limit=1" },
    { title: `${key}: register a device`, as: key, method: "POST", path: "/v1/environments/register", body: {} },
  ];
}

function admin(title: string, path: string, more: Partial<RecordedRequest> = {}): RecordedRequest {
  return { title, as: "admin", method: "POST", path: `/admin/v1/keys/${path}`, ...more };
}

export const keys: Topic = {
  name: "keys",
  gateway: { upstream: remoteServer },
  keys: keysOfEveryKind,
  requests: Object.keys(keysOfEveryKind).flatMap((key) => useOf(key)),
};

const tenants = new Map([
  ["named", { credential: null, publicName: "Public name", deviceIds: null, connectionNames: null }],
  ["limited", { credential: null, publicName: null, deviceIds: ["laptop"], connectionNames: ["ci-2"] }],
]);

export const keyLifecycle: Topic = {
  name: "key-lifecycle",
  gateway: { upstream: remoteServer, tenants },
  keys: {
    ...adminOfKeys,
    disabled: {},
    revoked: {},
    rotated: {},
    "rotated at once": {},
    "named tenant": { tenant: "named" },
    "limited tenant": { tenant: "limited" },
    "limited key of a limited tenant": { tenant: "limited", connectionNames: ["ci-*"] },
  },
  requests: [
    { title: "a key before it is disabled", as: "disabled" },
    admin("disable it", "<id disabled>", { method: "PATCH", body: { disabled: true } }),
    { title: "a key after it was disabled", as: "disabled" },
    admin("enable it", "<id disabled>", { method: "PATCH", body: { disabled: false } }),
    { title: "a key after it was enabled", as: "disabled" },
    { title: "a key before it is revoked", as: "revoked" },
    admin("revoke it", "<id revoked>/revoke"),
    { title: "a key after it was revoked", as: "revoked" },
    admin("rotate a key", "<id rotated>/rotate", { body: { overlapMs: 60_000 } }),
    { title: "the old secret within the overlap", as: "rotated" },
    { title: "the new secret within the overlap", as: "created-1" },
    { title: "the old secret after the overlap", as: "rotated", before: ({ clock }) => clock.advance(60_000) },
    { title: "the new secret after the overlap", as: "created-1" },
    admin("rotate a key at once", "<id rotated at once>/rotate", { body: { overlapMs: 0 } }),
    { title: "the old secret of a key that was rotated at once", as: "rotated at once" },
    { title: "the list of a tenant with a public name", as: "named tenant" },
    { title: "the device of a tenant with a public name", as: "named tenant", path: "/v1/environments/laptop" },
    { title: "the list of a limited tenant", as: "limited tenant" },
    { title: "the device of a limited tenant", as: "limited tenant", path: "/v1/environments/laptop" },
    { title: "a device outside a limited tenant", as: "limited tenant", path: "/v1/environments/ci-machine" },
    { title: "a send outside a limited tenant", as: "limited tenant", ...send("conn-ci", messageBody("m-1")) },
    { title: "the list of a limited key of a limited tenant", as: "limited key of a limited tenant" },
  ],
};
