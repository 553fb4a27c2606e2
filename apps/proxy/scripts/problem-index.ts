/** Writes `docs/problems/README.md`, the index of the pages of all problem codes. */
import { problemDefinitions } from "@letta-environments/schema";

const introduction = `# Problems

Every error but that of \`/readyz?verbose\` is \`application/problem+json\` (RFC 9457); its member \`errorCode\` is one of these codes. Codes, titles and
statuses are stable. Retryable is the usual value of \`x-should-retry\`: whether the same request may succeed when it is repeated, without any effect happening
twice. A response that knows more says otherwise.
`;

/** Writes the index: the codes by status, and those of a status by name. */
export function writeProblemIndex(): string {
  const definitions = Object.entries(problemDefinitions).toSorted(
    ([code, { status }], [otherCode, other]) => status - other.status || (code < otherCode ? -1 : 1),
  );
  const rows = definitions.map(
    ([code, { status, retryable, title }]) =>
      `| ${status} | [${code}](${code}.md) | ${title} | ${retryable ? "yes" : "no"} |`,
  );
  return [introduction, "| status | code | title | retryable |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}
