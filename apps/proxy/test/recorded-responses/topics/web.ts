import type { RecordedGateway } from "../gateway.ts";
import type { RecordedRequest, Topic } from "../topic.ts";
import { messageBody, remoteServer, send } from "./shared.ts";

const origins = [
  "https://page.example",
  "https://other.example",
  "null",
  "https://PAGE.example",
  "http://page.example",
];
const preflight = { "access-control-request-method": "POST", "access-control-request-headers": "authorization" };
const healthPaths = ["/livez", "/readyz", "/openapi.json"];
const drain = (gateway: RecordedGateway): void => void (gateway.isDraining = true);

function fromPage(title: string, more: Partial<RecordedRequest>): RecordedRequest {
  return { title, ...more, headers: { origin: "https://page.example", ...more.headers } };
}

export const webPages: Topic = {
  name: "web-pages",
  gateway: { upstream: remoteServer, corsOrigins: ["https://page.example"] },
  keys: { plain: { scopes: ["list", "read", "send"] }, admin: { scopes: ["admin"] } },
  requests: [
    ...origins.map((origin): RecordedRequest => ({ title: `a list for ${origin}`, as: "plain", headers: { origin } })),
    ...origins.map((origin): RecordedRequest => ({
      title: `a preflight of ${origin}`,
      method: "OPTIONS",
      headers: { origin, ...preflight },
    })),
    { title: "a list without an origin", as: "plain" },
    fromPage("a preflight without a method", { method: "OPTIONS" }),
    fromPage("a preflight of a send", { method: "OPTIONS", path: "/v1/environments/c/messages", headers: preflight }),
    fromPage("a preflight of an unknown path", { method: "OPTIONS", path: "/v1/nothing", headers: preflight }),
    fromPage("a preflight of the administration", { method: "OPTIONS", path: "/admin/v1/keys", headers: preflight }),
    fromPage("a preflight of health", { method: "OPTIONS", path: "/livez", headers: preflight }),
    fromPage("a list without a key", {}),
    fromPage("a send", { as: "plain", ...send("conn-laptop", messageBody("m")) }),
    fromPage("a broken send", { as: "plain", ...send("conn-laptop", "{") }),
    fromPage("a list as HEAD", { as: "plain", method: "HEAD" }),
    fromPage("a device", { as: "plain", path: "/v1/environments/laptop" }),
    fromPage("the rate limits", { as: "plain", path: "/v1/ratelimit" }),
    fromPage("the administration", { as: "admin", path: "/admin/v1/keys" }),
    fromPage("health", { path: "/livez" }),
    fromPage("the description of the API", { path: "/openapi.json", method: "HEAD" }),
  ],
};

export const health: Topic = {
  name: "health",
  gateway: { upstream: remoteServer },
  keys: { plain: {} },
  requests: [
    ...healthPaths.flatMap((path): readonly RecordedRequest[] => [
      ...(path === "/openapi.json" ? [] : [{ title: `GET ${path}`, path }]),
      ...["HEAD", "POST", "OPTIONS", "DELETE"].map((method): RecordedRequest => ({
        title: `${method} ${path}`,
        path,
        method,
      })),
      { title: `${path} with a slash`, path: `${path}/` },
      { title: `${path} with a request id`, path, method: "HEAD", headers: { "x-request-id": "trace-1" } },
    ]),
    { title: "the description when it is unchanged", path: "/openapi.json", headers: { "if-none-match": "*" } },
    {
      title: "the description under another tag",
      path: "/openapi.json",
      method: "HEAD",
      headers: { "if-none-match": '"x"' },
    },
    { title: "readiness while stopping", path: "/readyz", before: drain },
    { title: "health while stopping", path: "/livez" },
    { title: "a list while stopping", as: "plain" },
    ...["HEAD", "GET"].flatMap((method): readonly RecordedRequest[] => [
      { title: `${method} of a list`, as: "plain", method },
      { title: `${method} of a device`, as: "plain", method, path: "/v1/environments/laptop" },
      { title: `${method} of a device that is not there`, as: "plain", method, path: "/v1/environments/nothing" },
      { title: `${method} without a key`, method },
      { title: `${method} of messages`, as: "plain", method, path: "/v1/environments/c/messages" },
    ]),
  ],
};
