import { expect, test } from "vitest";
import { maxReferenceLength } from "@letta-environments/schema";
import { planDelivery } from "./plan.ts";

test("the id under which a decision is deduplicated is longer than any id that a caller can choose for a message", () => {
  const decision = { approve: true, tool_call_id: "c" };
  const planned = planDelivery(
    { agentId: "a", messages: [{ type: "approval", approvals: [decision] }] },
    null,
    () => "digest",
  );
  const [id = ""] = planned.kind === "planned" ? planned.plan.parts[0].messageIds : [];
  expect(id.length).toBeGreaterThan(maxReferenceLength);
});
