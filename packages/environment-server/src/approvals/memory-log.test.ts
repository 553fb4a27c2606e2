import { describeApprovalLogContract } from "../../test/approval-log-contract.ts";
import { createMemoryApprovalLog } from "./memory-log.ts";

describeApprovalLogContract("in memory", createMemoryApprovalLog);
