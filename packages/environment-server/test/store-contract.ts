import type { EnvironmentStore } from "../src/index.ts";
import { describeDeliveryLogContract } from "./delivery-log-contract.ts";
import { describeRowsContract } from "./rows-contract.ts";

/** The promises of the store port. Every adapter passes this suite. */
export function describeStoreContract(name: string, createStore: () => EnvironmentStore): void {
  describeRowsContract(name, createStore);
  describeDeliveryLogContract(name, createStore);
}
