/** Building blocks of HTML. Text is escaped unless it is made by these functions. */
import { createHash } from "node:crypto";
import { Marked } from "marked";

/** Escapes a text for HTML, in attributes too. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/**
 * Creates a function that turns Markdown into HTML. HTML in the Markdown is shown as text.
 *
 * @param linkTo returns the target of a link; `null` for a link that has no target here: only its text remains
 */
export function createMarkdown(linkTo: (href: string) => string | null): (text: string) => string {
  const marked = new Marked({
    gfm: true,
    renderer: {
      html: ({ text }) => escapeHtml(text),
      image: ({ text }) => escapeHtml(text),
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        const target = linkTo(href);
        return target === null ? text : `<a href="${escapeHtml(target)}">${text}</a>`;
      },
    },
  });
  return (text) => marked.parse(text, { async: false });
}

/** The source expression of an inline script or style in a Content-Security-Policy. */
export function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** A page with its style and script inside, so that it requests nothing else. */
export function htmlPage(page: {
  readonly title: string;
  readonly style: string;
  readonly script?: string;
  readonly body: string;
}): string {
  const script = page.script === undefined ? "" : `<script>${page.script}</script>\n`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(page.title)}</title>
<style>${page.style}</style>
</head>
<body>
${page.body}
${script}</body>
</html>
`;
}
