/** An operation as a section of the page: what it does, its input, its responses, and a form that sends it. */
import {
  type Content,
  nameOf,
  type OpenApi,
  type Operation,
  type Parameter,
  parametersOf,
  type Schema,
  typeOf,
} from "./document.ts";
import { escapeHtml } from "./html.ts";

/** The document and the Markdown of the page, for all its sections. */
export interface PageContext {
  readonly document: OpenApi;
  readonly markdown: (text: string) => string;
}

/** Returns the section of an operation. */
export function operationSection(context: PageContext, method: string, path: string, operation: Operation): string {
  const { markdown, document } = context;
  const parameters = parametersOf(document, operation);
  const scope = operation["x-scope"];
  const needs =
    operation.security?.length === 0
      ? "Needs no key."
      : scope === undefined
        ? "Needs a key."
        : `Needs the scope <code>${escapeHtml(scope)}</code>.`;
  return `<section class="operation" id="${escapeHtml(operation.operationId)}">
<h3>${escapeHtml(operation.summary)}</h3>
<p class="target"><span class="method ${method}">${method.toUpperCase()}</span> <code>${escapeHtml(path)}</code></p>
${markdown(operation.description ?? "")}<p>${needs}</p>
${parameterTable(context, parameters)}${bodyPart(operation)}${responsePart(context, operation)}${tryForm(method, path, operation, parameters)}
</section>`;
}

function parameterTable({ markdown }: PageContext, parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return "";
  const rows = parameters.map(
    ({ name, in: place, required, schema, description = "" }) =>
      `<tr><td><code>${escapeHtml(name)}</code>${required === true ? " <strong>required</strong>" : ""}</td><td>${place}</td>` +
      `<td>${typeText(schema)}</td><td>${markdown(description)}</td></tr>`,
  );
  return `<table><caption>Parameters</caption><thead><tr><th>name</th><th>in</th><th>type</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table>\n`;
}

/** The type of a schema, with a link if it is a component. */
function typeText(schema: Schema): string {
  const reference = schema.$ref ?? schema.items?.$ref;
  const text = escapeHtml(typeOf(schema));
  return reference === undefined ? text : `<a href="#schema-${escapeHtml(nameOf(reference))}">${text}</a>`;
}

function bodyPart({ requestBody }: Operation): string {
  if (requestBody === undefined) return "";
  const [type = "", body] = Object.entries(requestBody.content)[0] ?? [];
  const schema = body?.schema === undefined ? "" : ` of ${typeText(body.schema)}`;
  const optional = requestBody.required === false ? ", optional" : "";
  return `<h4>Body</h4><p><code>${escapeHtml(type)}</code>${schema}${optional}</p>${example(body?.example)}\n`;
}

function example(value: unknown): string {
  return value === undefined
    ? ""
    : `<pre><code>${escapeHtml(typeof value === "string" ? value : JSON.stringify(value, null, 2))}</code></pre>`;
}

function responsePart(context: PageContext, { responses }: Operation): string {
  const rows = Object.entries(responses).map(([status, { description, content }]) => {
    const codes = Number(status) >= 400 ? codesOf(content) : [];
    const links = codes.map((code) => `<a href="/docs/problems/${code}"><code>${code}</code></a>`).join(" ");
    const schema = Number(status) < 400 ? firstSchema(content) : undefined;
    const text = `${context.markdown(description)}${links === "" ? "" : `<p>${links}</p>`}`;
    return `<tr><td>${status}</td><td>${schema === undefined ? "" : typeText(schema)}</td><td>${text}</td></tr>`;
  });
  const success = Object.entries(responses).find(([status]) => Number(status) < 300)?.[1];
  const shown = example(Object.values(success?.content ?? {})[0]?.example);
  return (
    `<table><caption>Responses</caption><thead><tr><th>status</th><th>body</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table>\n` +
    (shown === "" ? "" : `<details><summary>Example</summary>${shown}</details>\n`)
  );
}

function firstSchema(content: Content | undefined): Schema | undefined {
  return Object.values(content ?? {})[0]?.schema;
}

/** The error codes of a response, which name its examples. */
function codesOf(content: Content | undefined): readonly string[] {
  const names = Object.values(content ?? {}).flatMap(({ examples = {} }) => Object.keys(examples));
  return [...new Set(names)].filter((name) => /^[a-z_]+$/.test(name));
}

/** A form that sends the request from the page, except for sockets and streams. */
function tryForm(method: string, path: string, operation: Operation, parameters: readonly Parameter[]): string {
  const types = Object.values(operation.responses).flatMap(({ content }) => Object.keys(content ?? {}));
  if ("101" in operation.responses || types.includes("text/event-stream")) return "";
  const fields = parameters
    .filter((parameter) => parameter.in !== "header")
    .map(({ name, in: place, required, example: value }) => {
      const shown = typeof value === "string" && place === "path" ? ` placeholder="${escapeHtml(value)}"` : "";
      return `<label>${escapeHtml(name)} <input name="${place}:${escapeHtml(name)}" autocomplete="off"${shown}${required === true ? " required" : ""}></label>`;
    });
  const content = Object.entries(operation.requestBody?.content ?? {})[0];
  const body =
    content === undefined
      ? ""
      : `<label>body <textarea name="body" rows="6" spellcheck="false" data-type="${escapeHtml(content[0])}">${escapeHtml(JSON.stringify(content[1].example ?? {}, null, 2))}</textarea></label>`;
  return `<details><summary>Try it</summary><form data-method="${method.toUpperCase()}" data-path="${escapeHtml(path)}">${fields.join("")}${body}
<button>Send</button><output></output></form></details>`;
}
