export { createDriftReporter, type Drift } from "./create-drift-reporter.ts";
