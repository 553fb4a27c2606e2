import { expect, test } from "vitest";
import { maxReferenceLength } from "@letta-environments/schema";
import { planDelivery } from "./plan.ts";

test("a decision is deduplicated under an id longer than any message id, so that the two cannot collide", () => {
  const decision = { approve: true, tool_call_id: "c" };
  const planned = planDelivery(
    { agentId: "a", messages: [{ type: "approval", approvals: [decision] }] },
    null,
    () => "digest",
  );
  const [id = ""] = planned.kind === "planned" ? planned.plan.parts[0].messageIds : [];
  expect(id.length).toBeGreaterThan(maxReferenceLength);
});
