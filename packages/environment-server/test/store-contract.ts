import type { EnvironmentStore } from "../src/index.ts";
import { describeDeliveryLogContract } from "./delivery-log-contract.ts";
import { describeDevicesContract } from "./devices-contract.ts";
import { describeRowsContract } from "./rows-contract.ts";

/** The contract suite of the store port. */
export function describeStoreContract(name: string, createStore: () => EnvironmentStore): void {
  describeRowsContract(name, createStore);
  describeDevicesContract(name, createStore);
  describeDeliveryLogContract(name, createStore);
}
