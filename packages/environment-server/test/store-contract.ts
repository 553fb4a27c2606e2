import type { Enrolment, EnvironmentStore } from "../src/index.ts";
import type { EnvironmentStoreLimits } from "../src/sqlite.ts";
import { describeApprovalLogContract } from "./approval-log-contract.ts";
import { describeDeliveryLogContract } from "./delivery-log-contract.ts";
import { describeDevicesContract } from "./devices-contract.ts";
import { enrolment } from "./enrolment.ts";
import { describeMessageLogContract } from "./message-log-contract.ts";
import { describeRowsContract } from "./rows-contract.ts";
import type { LogUnderTest } from "./support/log-under-test.ts";

/** The contract suite of the store port. */
export function describeStoreContract(
  name: string,
  createStore: (limits?: EnvironmentStoreLimits) => EnvironmentStore,
): void {
  describeRowsContract(name, createStore);
  describeDevicesContract(name, createStore);
  describeDeliveryLogContract(name, createStore);
  const createWithRows = async (limits: EnvironmentStoreLimits): Promise<LogUnderTest<EnvironmentStore>> => {
    const store = createStore(limits);
    for (const environmentId of ["env-1", "env-2"]) await store.enrol(enrolmentOf(environmentId));
    await store.enrol({ ...enrolmentOf("env-3"), tenant: "other" });
    return {
      log: store,
      async removeRow(environmentId) {
        await store.removeEnvironments([environmentId]);
        await store.finishRemoval([environmentId]);
      },
    };
  };
  describeMessageLogContract(name, (messages) => createWithRows(messages === undefined ? {} : { messages }));
  describeApprovalLogContract(name, (approvals) => createWithRows(approvals === undefined ? {} : { approvals }));
}

function enrolmentOf(environmentId: string): Enrolment {
  return {
    ...enrolment,
    deviceId: `device of ${environmentId}`,
    environmentId,
    connectionId: `conn of ${environmentId}`,
  };
}
