export { type ContractTest, storeContract } from "./store-contract.ts";
