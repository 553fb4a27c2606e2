/**
 * The gateway's responses to several hundred requests of every kind, recorded. A difference is either a mistake or a change that the recording has to
 * show: `UPDATE_RECORDED_RESPONSES=1 vitest run test/recorded-responses.test.ts` writes the recordings again, and their diff is for review.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { beforeAll, describe, expect, test } from "vitest";
import { type RecordedRequest, type RecordedResponse, runTopic, type Topic } from "./recorded-responses/topic.ts";
import { administration, adminListener, operator } from "./recorded-responses/topics/administration.ts";
import { authentication, passThrough } from "./recorded-responses/topics/authentication.ts";
import { cache } from "./recorded-responses/topics/cache.ts";
import { embedded } from "./recorded-responses/topics/embedded.ts";
import { messageStatus } from "./recorded-responses/topics/message-status.ts";
import { keyLifecycle, keys } from "./recorded-responses/topics/keys.ts";
import { rateLimits } from "./recorded-responses/topics/rate-limits.ts";
import { requests } from "./recorded-responses/topics/requests.ts";
import { upstreamResponses } from "./recorded-responses/topics/upstream.ts";
import { health, webPages } from "./recorded-responses/topics/web.ts";
import { describedPath, document, undeclared } from "./support/api-description.ts";

const topics: readonly Topic[] = [
  ...[authentication, passThrough, keys, keyLifecycle, requests, upstreamResponses, cache, rateLimits],
  ...[administration, operator, adminListener, embedded, messageStatus, webPages, health],
];

const folder = join(import.meta.dirname, "recorded-responses");
const isUpdate = process.env["UPDATE_RECORDED_RESPONSES"] === "1";
type Recording = Readonly<Record<string, RecordedResponse>>;

describe.each(topics)("$name", (topic) => {
  const file = join(folder, `${topic.name}.json`);
  let responses: Recording = {};
  let recorded: Recording = {};

  beforeAll(async () => {
    responses = await runTopic(topic);
    if (isUpdate) writeFileSync(file, `${JSON.stringify(responses, null, 2)}\n`);
    recorded = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Recording) : {};
  });

  test.each(topic.requests.map(({ title }) => title))("the response to %s is as recorded", (title) => {
    expect(responses[title]).toEqual(recorded[title]);
  });

  test("every status, problem code and header is in the API description", () => {
    const unknown = topic.requests.flatMap((request) => {
      const recording = recorded[request.title];
      return recording === undefined ? [] : undeclaredIn(request, recording);
    });
    expect([...new Set(unknown)].filter((entry) => !invented.has(entry))).toEqual([]);
  });

  test("every recording has its request", () => {
    expect(Object.keys(recorded)).toEqual(Object.keys(responses));
  });
});

/** Responses of the scripted upstream that no server has a reason for: a code of sends and a replay, both to reads. */
const invented: ReadonlySet<string> = new Set(
  ["GET /v1/environments", "GET /v1/environments/{deviceId}"].flatMap((operation) => [
    `${operation} 409 device_offline: status 409`,
    `${operation} 200: idempotency-replayed`,
  ]),
);

/** Refusals that the introduction of the API description has, and not each operation; it also says that `upstream_error` has any status. */
const shared: ReadonlySet<string> = new Set(["invalid_request 403", "invalid_request 421"]);

/** Returns what a response has and the description of its operation has not. */
function undeclaredIn(request: RecordedRequest, { status, headers, body }: RecordedResponse): string[] {
  const { path = "/v1/environments", method = "GET", via } = request;
  const described = describedPath(path);
  const operation = method === "HEAD" ? "GET" : method;
  if (described === null || document.paths[described]?.[operation.toLowerCase()] === undefined) return [];
  const errorCode = status < 400 ? null : codeIn(body);
  // Another listener has fewer paths, and most are no socket. Nobody receives the response after a caller has gone.
  if ((via !== undefined && errorCode === "endpoint_not_found") || status === 499) return [];
  if (errorCode === "upstream_error" || shared.has(`${errorCode} ${status}`)) return [];
  const shown = Object.entries(headers).filter(([name, value]) => value !== null && !name.startsWith("x-ratelimit-"));
  return undeclared(described, operation, { status, headers: Object.fromEntries(shown), errorCode }).map(
    (missing) => `${operation} ${described} ${status}${errorCode === null ? "" : ` ${errorCode}`}: ${missing}`,
  );
}

function codeIn(body: unknown): string | null {
  const isProblem = typeof body === "object" && body !== null && "errorCode" in body;
  return isProblem ? String(body.errorCode) : null;
}

test("every recording belongs to a topic, and there are at least 300 responses", () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  expect(files.toSorted()).toEqual(topics.map(({ name }) => `${name}.json`).toSorted());
  expect(topics.flatMap((topic) => topic.requests).length).toBeGreaterThanOrEqual(300);
});
