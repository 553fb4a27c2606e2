/** Validation of `approvals` of the configuration file, with descriptions for editors. */
import * as v from "valibot";
import type { ApprovalPolicyFile, ApprovalsFile } from "./file.ts";
import { list, number, object, record, setting, text } from "./schema-helpers.ts";

const policy = {
  deniedTools: v.exactOptional(
    setting(list(text(128), 1_000), "Tools that are always denied, by name patterns such as Bash or Web*."),
  ),
  deadlineMs: v.exactOptional(
    setting(
      number(1_000, 604_800_000),
      "How long a request for permission waits before it is denied. Default: no limit.",
    ),
  ),
};

const PolicySchema: v.GenericSchema<unknown, ApprovalPolicyFile> = object(policy);

/** Schema of {@link ApprovalsFile}. */
export const ApprovalsSchema: v.GenericSchema<unknown, ApprovalsFile> = object({
  ...policy,
  tenants: v.exactOptional(setting(record(text(128), PolicySchema), "Further policies of tenants, by name.")),
  keys: v.exactOptional(setting(record(text(128), PolicySchema), "Further policies of keys, by id.")),
});
