/**
 * The gateway's responses to several hundred requests of every kind, recorded. A difference is either a mistake or a change that the recording has to
 * show: `UPDATE_RECORDED_RESPONSES=1 vitest run test/recorded-responses.test.ts` writes the recordings again, and their diff is for review.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { beforeAll, describe, expect, test } from "vitest";
import { type RecordedResponse, runTopic, type Topic } from "./recorded-responses/topic.ts";
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

  test("every recording has its request", () => {
    expect(Object.keys(recorded)).toEqual(Object.keys(responses));
  });
});

test("every recording belongs to a topic, and there are at least 300 responses", () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  expect(files.toSorted()).toEqual(topics.map(({ name }) => `${name}.json`).toSorted());
  expect(topics.flatMap((topic) => topic.requests).length).toBeGreaterThanOrEqual(300);
});
