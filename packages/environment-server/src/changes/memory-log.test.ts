import { describeChangeLogContract } from "../../test/change-log-contract.ts";
import { createMemoryChangeLog } from "./memory-log.ts";

describeChangeLogContract("memory", (limits) => createMemoryChangeLog("0123456789abcdef", limits));
