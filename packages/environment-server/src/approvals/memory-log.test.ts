import { describeApprovalLogContract } from "../../test/approval-log-contract.ts";
import { separateLog } from "../../test/support/log-under-test.ts";
import { createMemoryApprovalLog } from "./memory-log.ts";

describeApprovalLogContract("in memory", (limits) => separateLog(createMemoryApprovalLog(limits)));
