/** The application suite against the built Worker in workerd. */
import { describeRuntime } from "./suite.ts";
import { createWorkerdLauncher } from "./workerd-launcher.ts";

describeRuntime(createWorkerdLauncher());
