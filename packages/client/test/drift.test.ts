import { expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { createDriftReporter, type Drift } from "../src/drift.ts";
import { exampleEnvironment, respondWithJson, scriptFetch } from "../src/testing/index.ts";

test("unknown members and modes are reported, and the response is returned unchanged", async () => {
  const row = { ...exampleEnvironment({ deviceId: "d-1", currentMode: "plan" }), future: 1 };
  const page = { connections: [row], hasNextPage: false };
  const drifts: Drift[] = [];
  const onDrift = createDriftReporter((drift) => void drifts.push(drift));
  const responses = [page, row, { success: true, message: "ok", newer: 1 }].map((value) => respondWithJson(200, value));
  const { fetch } = scriptFetch(...responses);
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "k", fetch, onDrift });
  await expect(environments.list()).resolves.toEqual(page);
  expect(
    drifts
      .splice(0)
      .map(({ kind }) => kind)
      .sort(),
  ).toEqual(["unknown_member", "unknown_value"]);
  await environments.retrieve("d-1");
  expect(drifts.splice(0)).toHaveLength(2);
  await environments.sendMessage("c-1", { messages: [{ role: "user", content: "hello" }] });
  expect(drifts).toEqual([expect.objectContaining({ kind: "unknown_member", path: "newer" })]);
});
