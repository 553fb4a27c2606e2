/**
 * Asks an origin for every content coding through `createOriginFetch`, and prints what arrived as one line of JSON. It runs in each runtime.
 *
 *     content-codings.ts ORIGIN CODINGS TEXT
 */
import process from "node:process";
import { createOriginFetch } from "../../src/rfc9111.ts";

const [, , origin = "", codings = "[]", text = ""] = process.argv;
const next = createOriginFetch({ origin });
const arrived: Record<string, readonly [body: string, coding: string | null]> = {};
for (const coding of JSON.parse(codings) as string[]) {
  const response = await next(new Request(`https://example.test/${encodeURIComponent(coding)}`));
  const body = (await response.text()) === text ? "decoded" : "encoded";
  arrived[coding] = [body, response.headers.get("content-encoding")];
}
process.stdout.write(`${JSON.stringify(arrived)}\n`);
