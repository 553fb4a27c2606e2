/** The views of people who work with devices, in one file that is loaded when one of them is first shown. */
export { Approvals } from "./approvals.tsx";
export { Device } from "./device.tsx";
