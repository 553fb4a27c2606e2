import { describeMessageLogContract } from "../../test/message-log-contract.ts";
import { createMemoryMessageLog } from "./memory-log.ts";

describeMessageLogContract("in memory", createMemoryMessageLog);
