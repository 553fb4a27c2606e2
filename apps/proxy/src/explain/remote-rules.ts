/** Refusals by the gateway itself in the steps that call a remote upstream, which a dry run skips. */
import { readSendIds } from "../idempotency/entries.ts";
import type { PipelineParts } from "../pipeline.ts";
import type { DryRunExchange } from "./dry-run.ts";
import { refuseWith, type UpstreamExplanation } from "./embedded-rules.ts";
import { finding } from "./explanation.ts";

/** Explains a request that passed the other steps. The upstream is not called. */
export async function explainRemote(
  { services, features }: Pick<PipelineParts, "services" | "features">,
  { request, state, principal, input, idempotencyKey = null }: DryRunExchange,
): Promise<UpstreamExplanation> {
  const decoded = input?.decoded;
  if (input !== undefined && principal !== undefined) {
    // In front of a remote upstream, extensions only refuse.
    const response = await features.extensions?.respond(request, { input, principal, state });
    if (response) return refuseWith("respond without the upstream", response);
  }
  if (decoded?.operation === "sendMessage") {
    const ids = readSendIds(decoded.body, idempotencyKey, services.digests.sha256);
    if (ids.kind === "refused") return refuseWith("check the input", ids.response);
  }
  const detail =
    decoded?.operation === "retrieveMessage"
      ? "the gateway's log of sends was not read: whether it has the message is not known"
      : "the upstream is remote and was not called: what it decides, and which devices it has, is not known";
  return { rules: [finding("call the upstream", "unknown", detail)], verdict: null };
}
