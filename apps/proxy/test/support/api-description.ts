/** The API description, and what of a response is not in it. */
import { readFileSync } from "node:fs";
import type { PlainResponse } from "@letta-environments/schema";
import { Ajv2020 } from "ajv/dist/2020.js";

interface Content {
  readonly schema: object;
  readonly examples?: object;
}

interface Described {
  readonly responses: Readonly<
    Record<string, { readonly headers?: object; readonly content?: Readonly<Record<string, Content>> }>
  >;
}

interface Document {
  readonly info: { readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** The description. */
export const document = JSON.parse(readFileSync(new URL("../../openapi.json", import.meta.url), "utf8")) as Document;
const formats = { int64: true, double: true } as const;
// Clients must accept members that they do not know. Here each member of a schema must be described.
const closed = Object.entries(document.components.schemas).map(([name, schema]) => [
  name,
  "properties" in schema ? { additionalProperties: false, ...schema } : schema,
]);
const validator = new Ajv2020({ strict: false, formats }).addSchema({
  $id: "openapi",
  components: { ...document.components, schemas: Object.fromEntries(closed) },
});

/** Headers that every HTTP response may have. */
const unlisted = /^(?:connection$|content-|date$|vary$|x-content-type-options$|access-control-)/;

/** A response without its body. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: object;
  readonly errorCode: string | null;
}

/** Returns the status, the problem code or the names of headers that a response has and its description has not. */
export function undeclared(path: string, method: string, { status, headers, errorCode }: ResponseHead): string[] {
  const described = document.paths[path]?.[method.toLowerCase()]?.responses[String(status)];
  if (described === undefined) return [`status ${status}`];
  const names = Object.keys(described.headers ?? {});
  const codes = Object.keys(described.content?.["application/problem+json"]?.examples ?? {});
  return [
    ...(errorCode === null || codes.includes(errorCode) ? [] : [`code ${errorCode}`]),
    ...Object.keys(headers).filter((name) => !unlisted.test(name) && !names.includes(name)),
  ];
}

/** As {@link undeclared}, or the errors of the body. */
export function undescribed(path: string, method: string, response: PlainResponse): unknown {
  const { status, headers, body } = response;
  const text = body === null || typeof body === "string" ? body : new TextDecoder().decode(body as Uint8Array);
  const type = headers["content-type"] ?? "";
  const isProblem = type === "application/problem+json" && text !== null;
  const errorCode = isProblem ? (JSON.parse(text) as { readonly errorCode: string }).errorCode : null;
  const missing = undeclared(path, method, { status, headers, errorCode });
  const { schema } = document.paths[path]?.[method.toLowerCase()]?.responses[String(status)]?.content?.[type] ?? {};
  if (text === null || schema === undefined) return missing;
  const validate = validator.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/')) as object);
  return validate(JSON.parse(text)) ? missing : validate.errors;
}

/** Returns the path of the description that a path of a request matches, first one without parameters; `null`: none. */
export function describedPath(path: string): string | null {
  return templates.find(({ pattern }) => pattern.test(path))?.template ?? null;
}

const templates = Object.keys(document.paths)
  .toSorted((left, right) => left.split("{").length - right.split("{").length)
  .map((template) => ({ template, pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`) }));
