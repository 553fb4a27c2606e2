import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createBackgroundWork } from "./background.ts";

test("a stopping process waits for background work, but only up to the time limit", async () => {
  const clock = createVirtualClock();
  const background = createBackgroundWork(clock);
  await background.finish(1_000);
  let end = (): void => undefined;
  background.start(new Promise<void>((resolve) => (end = resolve)));
  background.start(Promise.reject(new Error("reported by the work")));
  const stopped: string[] = [];
  void background.finish(1_000).then(() => stopped.push("in time"));
  void background.finish(500).then(() => stopped.push("too late"));
  await clock.advance(500);
  expect(stopped).toEqual(["too late"]);
  end();
  await clock.advance(0);
  expect(stopped).toEqual(["too late", "in time"]);
  expect(clock.timerCount).toBe(0);
});
