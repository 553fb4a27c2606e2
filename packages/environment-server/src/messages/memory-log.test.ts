import { describeMessageLogContract } from "../../test/message-log-contract.ts";
import { separateLog } from "../../test/support/log-under-test.ts";
import { createMemoryMessageLog } from "./memory-log.ts";

describeMessageLogContract("in memory", (limits) => separateLog(createMemoryMessageLog(limits)));
