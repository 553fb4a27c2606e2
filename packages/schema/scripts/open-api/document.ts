/** The OpenAPI 3.1 document of the API, from the endpoint table, the problem codes and the shapes of the bodies. */
import { endpoints, type Endpoint } from "../../src/index.ts";
import { components, type JsonSchema, objectSchemaOf } from "../json-schema.ts";
import { objectsOf } from "../shape.ts";
import { wireTypes } from "../wire-types.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { eventSchemas } from "./events.ts";
import { operationOf } from "./operation.ts";
import { problemExamples } from "./problems.ts";
import { tags } from "./texts.ts";

/** The parts of an OpenAPI document to which a server with more endpoints adds its own. */
export interface OpenApiParts {
  readonly openapi: string;
  readonly info: JsonSchema;
  readonly servers: readonly JsonSchema[];
  readonly tags: readonly JsonSchema[];
  readonly security: readonly JsonSchema[];
  readonly paths: Readonly<Record<string, JsonSchema>>;
  readonly components: Readonly<
    Record<"securitySchemes" | "parameters" | "headers" | "examples" | "schemas", JsonSchema>
  >;
}

/** Returns the OpenAPI document of the endpoint table. */
export function describeApi(): OpenApiParts {
  const objects = wireTypes.filter(({ name }) => !name.endsWith("Query")).flatMap(({ shape }) => objectsOf(shape));
  // `Object.values` needs a record type, and an interface has no index signature: the copy has one.
  const table = Object.values<Endpoint>({ ...endpoints });
  const paths: Record<string, JsonSchema> = {};
  for (const endpoint of table) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(endpoint) };
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Letta Code Environments API",
      version: "1.0.0",
      description:
        "Lists the devices on which Letta Code runs, sends messages to them, reports their turns, and controls them. Servers may add members to any object at any time.",
      contact: { name: "Letta environments" },
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "The server of this document." }],
    tags,
    security: [{ key: [] }],
    paths,
    components: {
      securitySchemes: {
        key: {
          type: "http",
          scheme: "bearer",
          description: "A gateway key (`lek_...`), or what else the server accepts as a bearer token, such as a JWT.",
        },
      },
      parameters: requestHeaders,
      headers: responseHeaders,
      examples: problemExamples(paths),
      schemas: {
        ...Object.fromEntries(objects.map((object) => [object.name, objectSchemaOf(object, components)])),
        ...eventSchemas,
      },
    },
  };
}

/** Returns the document as the text of a file. */
export function emitOpenApi(): string {
  return `${JSON.stringify(describeApi(), null, 2)}\n`;
}
