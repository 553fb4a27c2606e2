/** Descriptions of the members of `proxy.config.json` for editors. They are here because the gateway never reads them. */
import { scopesGrantedByName } from "../src/auth/jwt-claims.ts";
import { limitedRoutes } from "../src/limits/settings.ts";

type Texts = Readonly<Record<string, string>>;

/** The same texts for the members of a nested object. */
function below(path: string, texts: Texts): Texts {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [`${path}.${name}`, text]));
}

const claim = (what: string): string =>
  `Claim with ${what}: its name, or a list of names that leads to it through nested objects.`;

const claims: Texts = {
  tenant: claim("the tenant"),
  scopes: claim("the scopes, in a text separated by spaces or in a list (default scope)"),
  owner: claim("the owner's name (default sub)"),
  deviceIds: claim("the ids of the only devices that the token may use"),
  connectionNames: claim("patterns of the names of those devices"),
  deviceTags: claim("tags; those devices need at least one of them"),
  agentIds: claim("the ids of the only agents that the token may address"),
  maxMode: claim("the maximum mode of a device to which the token may send"),
};

const jwt: Texts = {
  issuer: "The exact value of `iss`.",
  audience: "`aud` must contain one of these values.",
  jwksUrl: "URL of the issuer's JWKS. https:, except for loopback. Redirects are not followed.",
  algorithms: "Signature algorithms that are accepted. Default: RS256, PS256, ES256, EdDSA, Ed25519.",
  type: "The value of `typ` in the header. Default: at+jwt (RFC 9068).",
  clockToleranceMs: "Tolerated difference to the issuer's clock, in milliseconds. Default: 5000.",
  maxTokenBytes: "Maximum length of a token. Default: 8192.",
  jwksMaxAgeMs: "Age from which the JWKS is reloaded. Default: 600000 (10 minutes).",
  jwksStaleMs: "Age up to which the JWKS stays usable while the issuer is unreachable. Default: 86400000 (a day).",
  jwksCooldownMs: "Shortest time between two reloads of the JWKS. Default: 30000.",
  jwksTimeoutMs: "Timeout of a reload, in milliseconds. Default: 5000.",
  tenant: "Tenant of every token, instead of claims.tenant.",
  ...below("claims", claims),
  scopeMap: `Scopes of the gateway by the values of the scopes claim. Default: ${scopesGrantedByName.join(", ")} by their own names.`,
};

const approvalPolicy: Texts = {
  deniedTools: "Tools that are always denied, by name patterns such as Bash or Web*.",
  deadlineMs: "How long a request for permission waits before it is denied. Default: no limit.",
};

const rateLimitPolicy: Texts = {
  per: "Dimensions of the counter: key, tenant, address, route, device. Each combination has its own counter.",
  limit: "Units that are refilled per window, evenly. For concurrent-requests: how many may run at once.",
  windowMs: "The window, in milliseconds. Default: 60000. For concurrent-requests: when an unreleased lease expires.",
  burst: "Units that an idle caller may spend at once. Default: limit.",
  unit: "Whether the policy limits the rate of requests or their concurrency. Default: requests.",
  routes:
    "Routes to which the policy applies. Default: every operation, without failedAuthentication and failedSignIn.",
  costs: "Units that a request costs, by route. Default: 1.",
  ...Object.fromEntries(limitedRoutes.map((route) => [`costs.${route}`, `Units that a request of ${route} costs.`])),
  mode: "enforce refuses requests; shadow only reports what it would refuse. Default: enforce.",
  onStoreError:
    "Decision while the store is unavailable: local counts in this process, open allows, closed refuses. Default: local.",
};

/** By the path of the member. `*` stands for the name of a tenant, a key or a policy. */
export const configTexts: Texts = {
  $schema: "For editors; not read.",
  host: "Address to listen on. Default: 127.0.0.1.",
  port: "Port to listen on; 0 lets the system choose. Default: 8787.",
  publicUrl: "URL under which devices and callers reach the proxy.",
  dataDir: "Directory of keys, devices and logs. Default: .data.",
  maxOpenFiles: "Files and sockets that the process may have open. Default: the limit of the process, or 1024 on Deno.",
  log: "Log format. Default: pretty.",
  "upstream.url": "URL of the upstream. Default: the embedded environment server.",
  "upstream.allowInsecure": "Accept an http: upstream that is not on loopback.",
  "upstream.timeoutMs": "Timeout of upstream calls for one request, in milliseconds. Default: 30000.",
  "upstream.maxResponseBytes": "Maximum size of an upstream response. Default: 8388608 (8 MiB).",
  "upstream.maxConcurrentPerTenant": "How many calls of one tenant to the upstream may run at once. Default: 128.",
  ...below("auth.jwt", jwt),
  "auth.passThrough": "Forward a caller's own key of the HTTP upstream. Default: false.",
  tenants: "Settings of tenants, by name.",
  "tenants.*.upstream.credentialEnv":
    "Environment variable with the tenant's credential for the upstream. Default: LETTA_API_KEY.",
  "tenants.*.upstream.credentialFile": "File with the credential. It is read again when it changes.",
  "tenants.*.publicName": "Shown as organizationId to callers without the scope details. Default: the tenant's name.",
  "tenants.*.deviceIds": "The only devices that keys of the tenant may use, by id.",
  "tenants.*.connectionNames": "The same by name patterns; * matches any characters.",
  approvals: "What decides on requests of devices for permission to use a tool when nobody does.",
  ...below("approvals", approvalPolicy),
  "approvals.tenants": "Further policies of tenants, by name.",
  ...below("approvals.tenants.*", approvalPolicy),
  "approvals.keys": "Further policies of keys, by id.",
  ...below("approvals.keys.*", approvalPolicy),
  "admin.host": "Address of the administration listener. Default: 127.0.0.1.",
  "admin.port": "Its port; 0 lets the system choose. The main listener then serves no administration.",
  "admin.allowRemote": "Accept a host that is not loopback. Default: false.",
  "admin.hostnames": "Host names under which it is reached, in addition to addresses and localhost.",
  "console.enabled": "Whether the web console is served at /console. Default: on loopback with the pretty log.",
  "cors.origins": "Origins of web pages that may call the gateway, such as https://console.example.",
  "cache.enabled": "Whether responses to reads are cached. Default: true.",
  "cache.store":
    "Store of the cache. Default: memory. valkey (VALKEY_URL) shares it between gateways and costs a round trip.",
  "cache.maxBytes": "Maximum memory of cached responses. Default: 67108864 (64 MiB).",
  "cache.maxEntries": "Maximum number of cached responses. Default: 100000.",
  "cache.statusFor": "Who sees Cache-Status: everybody, keys of scope details, or nobody. Default: everybody.",
  "rateLimits.enabled": "Whether requests are limited. Default: true.",
  "rateLimits.store": "Store of the counters. Default: valkey if VALKEY_URL is set, else memory.",
  "rateLimits.deadlineMs": "How long a request waits for the store, in milliseconds. Default: 100.",
  "rateLimits.instances":
    "Number of gateway processes that share the limits, for decisions without the store. Default: 1.",
  "rateLimits.trustedHops":
    "Number of reverse proxies in front that append to clientAddressHeader. Default: 0 (the peer is the client).",
  "rateLimits.clientAddressHeader": "The only header that is trusted. Default: x-forwarded-for.",
  "rateLimits.policies": "Policies by name. They replace the default policies.",
  ...below("rateLimits.policies.*", rateLimitPolicy),
  "rateLimits.exempt.keyIds": "Keys without limits, by their public ids.",
  "rateLimits.exempt.tenants": "Tenants without limits.",
  "rateLimits.exempt.addresses": "Client addresses without limits. An IPv6 address stands for its /64.",
  "shutdown.readinessDelayMs":
    "How long the listener stays open after SIGTERM while /readyz is 503, in milliseconds. Default: 250.",
  "audit.content": "Whether the audit log contains the messages. Default: false.",
  "audit.retentionDays": "Days after which records of the audit log are dropped. Default: never.",
  logLevel:
    "Lowest level of events in the log. Default: info. With debug, also probes, files of pages, and what devices report.",
  "shadow.keyIds":
    "Keys whose restrictions are logged and counted, and NOT enforced: they can do what their scopes allow.",
  "shadow.rules": "Only these: devices, agents, maxMode. Default: all three.",
  "metrics.enabled": "Whether events are counted, and /metrics is served to scope admin. Default: true.",
  "metrics.labels": "Ids that become labels: tenant, key, device. Needs admin.port. Default: none.",
  "otlp.endpoint": "Base URL of an OTLP/HTTP receiver, such as http://127.0.0.1:4318. Default: nothing is pushed.",
  "otlp.intervalMs": "Time between two pushes of metrics, in milliseconds. Default: 60000.",
  "otlp.sampleRatio":
    "Share of the requests whose spans are pushed where the caller has not decided, from 0 to 1. Default: 0.",
  "otlp.serviceName": "The `service.name` of the gateway. Default: letta-proxy.",
};
