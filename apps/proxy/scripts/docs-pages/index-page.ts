/** The page of the API description: every operation by its tag, and every schema. */
import { type OpenApi, type Schema, typeOf } from "./document.ts";
import { escapeHtml, htmlPage } from "./html.ts";
import { operationSection, type PageContext } from "./operation.ts";

/** Returns the page. */
export function indexPage(context: PageContext, assets: { readonly style: string; readonly script: string }): string {
  const { document, markdown } = context;
  const { info, tags } = document;
  const body = `<nav aria-label="Contents"><p><a href="#top">${escapeHtml(info.title)}</a></p>${tags.map((tag) => navigation(document, tag.name)).join("")}
<p><a href="#schemas">Schemas</a></p></nav>
<main id="top"><h1>${escapeHtml(info.title)}</h1>
${markdown(info.description ?? "")}<p>The same as data: <a href="/openapi.json">openapi.json</a>. Every error has a page: <a href="/docs/problems/">problems</a>.</p>
<form id="credentials"><label>Gateway key for the examples <input type="password" name="key" autocomplete="off" spellcheck="false" placeholder="lek_..."></label>
<p>It stays in the memory of this page, and is sent to this gateway alone.</p></form>
${tags.map((tag) => tagSection(context, tag)).join("\n")}
<h2 id="schemas">Schemas</h2>
${Object.entries(document.components.schemas)
  .map(([name, schema]) => schemaSection(context, name, schema))
  .join("\n")}
</main>`;
  return htmlPage({ title: info.title, ...assets, body });
}

function operationsOf({ paths }: OpenApi, tag: string) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { tags }]) => tags.includes(tag))
      .map(([method, operation]) => ({ method, path, operation })),
  );
}

function navigation(document: OpenApi, tag: string): string {
  const links = operationsOf(document, tag).map(
    ({ operation: { operationId } }) => `<li><a href="#${escapeHtml(operationId)}">${escapeHtml(operationId)}</a></li>`,
  );
  return `<p>${escapeHtml(tag)}</p><ul>${links.join("")}</ul>`;
}

function tagSection(context: PageContext, { name, description = "" }: OpenApi["tags"][number]): string {
  const sections = operationsOf(context.document, name).map(({ method, path, operation }) =>
    operationSection(context, method, path, operation),
  );
  return `<h2>${escapeHtml(name)}</h2>\n${context.markdown(description)}${sections.join("\n")}`;
}

function schemaSection({ markdown }: PageContext, name: string, schema: Schema): string {
  const members = Object.entries(schema.properties ?? {}).map(([member, { description = "", ...rest }]) => {
    const required = schema.required?.includes(member) === true ? " <strong>required</strong>" : "";
    return `<tr><td><code>${escapeHtml(member)}</code>${required}</td><td>${escapeHtml(typeOf(rest))}</td><td>${markdown(description)}</td></tr>`;
  });
  const table =
    members.length === 0
      ? `<p>${escapeHtml(typeOf(schema))}</p>`
      : `<table><thead><tr><th>member</th><th>type</th><th></th></tr></thead><tbody>${members.join("")}</tbody></table>`;
  return `<section id="schema-${escapeHtml(name)}"><h3>${escapeHtml(name)}</h3>${markdown(schema.description ?? "")}${table}</section>`;
}
