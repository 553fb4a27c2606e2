import { describeApprovalLogContract } from "../../test/approval-log-contract.ts";
import { describeChangeLogContract } from "../../test/change-log-contract.ts";
import { describeMessageLogContract } from "../../test/message-log-contract.ts";
import { separateLog } from "../../test/support/log-under-test.ts";
import { createMemoryApprovalLog, createMemoryChangeLog, createMemoryMessageLog } from "./memory.ts";

describeMessageLogContract("in memory", (limits) => separateLog(createMemoryMessageLog(limits)));
describeApprovalLogContract("in memory", (limits) => separateLog(createMemoryApprovalLog(limits)));
describeChangeLogContract("memory", (limits) => createMemoryChangeLog("0123456789abcdef", limits));
