import fc from "fast-check";
import { expect, test } from "vitest";
import { createHarness, reply, textOf } from "./harness.ts";

const behaviour = fc.constantFrom("public", "private", "vary", "error", "refused", "broken");
const client = fc.record({
  tenant: fc.constantFrom("a", "b"),
  language: fc.constantFrom("de", "en"),
  isAuthorised: fc.boolean(),
  goesAway: fc.boolean(),
});

test("every client gets its own response or a shareable one, whatever the origin and other clients do, in any order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(client, { minLength: 2, maxLength: 12 }),
      fc.array(behaviour, { minLength: 1, maxLength: 6 }),
      async (scheduler, clients, behaviours) => {
        const { replies, requests, send } = createHarness({ policy: { matchesContentLanguage: false } });
        let turn = 0;
        replies.push(async ({ headers, signal }) => {
          const does = behaviours[turn++ % behaviours.length];
          await scheduler.schedule(Promise.resolve(), does ?? "public");
          if (signal?.aborted === true) throw new Error("aborted");
          const owner = headers["x-owner"] ?? "";
          const shared = `${headers["x-tenant"]} shared`;
          if (does === "broken") throw new Error("broken");
          if (does === "error") return reply({}, `error ${owner}`, 503);
          if (does === "refused") return reply({ "cache-control": "max-age=60, private" }, `refused ${owner}`, 403);
          if (does === "private") return reply({ "cache-control": "private, max-age=60" }, `private ${owner}`);
          if (does === "vary") {
            const vary = { "cache-control": "public, max-age=60", vary: "accept-language" };
            return reply(vary, `${shared} ${headers["accept-language"]}`);
          }
          return reply(
            { "cache-control": "max-age=60" },
            headers["authorization"] === undefined ? shared : `own ${owner}`,
          );
        });
        const running = clients.map(async ({ tenant, language, isAuthorised, goesAway }, index) => {
          await scheduler.schedule(Promise.resolve(), "arrives");
          const abort = new AbortController();
          if (goesAway)
            void scheduler.schedule(Promise.resolve(), "goes away").then(() => abort.abort(new Error("gone")));
          const owner = `${index}`;
          const headers = {
            "x-owner": owner,
            "x-tenant": tenant,
            "accept-language": language,
            ...(isAuthorised ? { authorization: owner } : {}),
          };
          const response = await send({ partition: [tenant], headers }, abort.signal).catch(() => null);
          if (response === null) return;
          const own = ["error", "refused", "private", "own"].map((kind) => `${kind} ${owner}`);
          expect([`${tenant} shared`, `${tenant} shared ${language}`, ...own]).toContain(textOf(response));
        });
        await scheduler.waitFor(Promise.all(running));
        expect(requests.length).toBeLessThanOrEqual(clients.length);
      },
    ),
    { numRuns: 400 },
  );
});
