/** The OpenAPI document of the gateway: the schema package's document, plus the routes that only the gateway has, from their tables. */
import type { JsonSchema } from "../../../../packages/schema/scripts/json-schema.ts";
import { describeApi, type OpenApiParts } from "../../../../packages/schema/scripts/open-api/document.ts";
import { problemExamples } from "../../../../packages/schema/scripts/open-api/problems.ts";
import { rateLimitPath } from "../../src/limits/endpoint.ts";
import { adminBodies, adminOperation, describedEndpoints } from "./admin.ts";
import { responseSchemas } from "./schemas.ts";
import { rateLimitOperation, serviceOperations } from "./service.ts";

const tags: readonly JsonSchema[] = [
  { name: "rate limits", description: "What remains of the caller's limits." },
  {
    name: "administration",
    description:
      "Manage the keys of the gateway. Needs scope `admin`, or the operator's token. Where `admin.port` is set, these paths are on a listener of their " +
      "own, and 404 `endpoint_not_found` on the one for clients.",
  },
  { name: "service", description: "Health, and this document. These need no key." },
];

const headers: JsonSchema = {
  allow: { description: "The methods of the path.", schema: { type: "string" }, example: "GET, HEAD" },
  location: {
    description: "The path of the new key.",
    schema: { type: "string" },
    example: "/admin/v1/keys/p8DxxlMoq9Es",
  },
};

const keyIfMatch: JsonSchema = {
  name: "If-Match",
  in: "header",
  description:
    "The entity tag of the key that was read. If the key was changed since, the response is 412 and nothing happens.",
  schema: { type: "string" },
  example: '"3f1c0a"',
};

/** Responses that would be the same for each operation: those before any operation is known, and those of another server. */
const sharedRefusals: string =
  "Every operation can also be refused with `invalid_request` before it is known which one it is: 400 and 431 for a request head that is damaged or too " +
  "large, 408 for one that does not arrive in time, 414 for a path that is too long, 417 for an `Expect` other than `100-continue`. A path that " +
  "exists responds with 405 `method_not_allowed` to methods that it does not have. The administration refuses requests of other web sites with 403 and " +
  "those for a host name that is not its own with 421, both `invalid_request`. Behind a remote upstream, `upstream_error` has the status of the upstream, " +
  "which may be any from 400 to 599.";

/** Returns the OpenAPI document of the gateway. */
function describeGateway(): OpenApiParts {
  const api = describeApi();
  const paths: Record<string, JsonSchema> = { ...api.paths, [rateLimitPath]: { get: rateLimitOperation } };
  for (const endpoint of describedEndpoints) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: adminOperation(endpoint) };
  }
  for (const [path, operation] of Object.entries(serviceOperations)) paths[path] = { get: operation };
  const { components } = api;
  return {
    ...api,
    info: { ...api.info, description: `${String(api.info["description"])}\n\n${sharedRefusals}` },
    // Relative, since a gateway may be below a path of another server. Resolved against the document, this is the folder that it is in.
    servers: [{ url: ".", description: "The server of this document." }],
    tags: [...api.tags, ...tags],
    paths,
    components: {
      securitySchemes: {
        ...components.securitySchemes,
        operator: {
          type: "http",
          scheme: "bearer",
          description:
            "The operator's token (`ADMIN_TOKEN`), on the administration listener, and on Cloudflare Workers.",
        },
      },
      parameters: { ...components.parameters, KeyIfMatch: keyIfMatch },
      headers: { ...components.headers, ...headers },
      examples: problemExamples(paths),
      schemas: { ...components.schemas, ...responseSchemas, ...adminBodies() },
    },
  };
}

/** Returns the document as the text of a file. */
export function emitGatewayOpenApi(): string {
  return `${JSON.stringify(describeGateway(), null, 2)}\n`;
}
