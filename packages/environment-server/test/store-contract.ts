import type { Enrolment, EnvironmentStore } from "../src/index.ts";
import { describeApprovalLogContract } from "./approval-log-contract.ts";
import { describeDeliveryLogContract } from "./delivery-log-contract.ts";
import { describeDevicesContract } from "./devices-contract.ts";
import { describeMessageLogContract } from "./message-log-contract.ts";
import { describeRowsContract } from "./rows-contract.ts";

/** The contract suite of the store port. */
export function describeStoreContract(name: string, createStore: () => EnvironmentStore): void {
  describeRowsContract(name, createStore);
  describeDevicesContract(name, createStore);
  describeDeliveryLogContract(name, createStore);
  const createWithRows = async (): Promise<EnvironmentStore> => {
    const store = createStore();
    for (const environmentId of ["env-1", "env-2"]) await store.enrol(enrolmentOf(environmentId));
    return store;
  };
  describeMessageLogContract(name, createWithRows);
  describeApprovalLogContract(name, createWithRows);
}

function enrolmentOf(environmentId: string): Enrolment {
  return {
    tenant: "acme",
    deviceId: `device of ${environmentId}`,
    listenerInstanceId: "default",
    connectionName: "box",
    metadata: null,
    keyId: "key-1",
    owner: "ada",
    shared: false,
    knownNames: null,
    labels: null,
    environmentId,
    connectionId: `conn of ${environmentId}`,
    nowMs: 1_000,
    maxEnvironments: 10,
  };
}
