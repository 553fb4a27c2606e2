/** The suite's description of its tests. */
export type SuiteTests = readonly {
  readonly tests: readonly {
    readonly id: string;
    readonly name: string;
    readonly kind?: SuiteKind;
    readonly browser_only?: boolean;
  }[];
}[];

/** A `check` test describes behaviour; no result of it is wrong. */
export type SuiteKind = "required" | "optimal" | "check";

/** The number of passed tests by kind, and the tests that failed. */
export interface SuiteSummary {
  readonly passed: Readonly<Record<SuiteKind, number>>;
  readonly total: Readonly<Record<SuiteKind, number>>;
  readonly missed: readonly { readonly id: string; readonly kind: SuiteKind; readonly name: string }[];
}

/**
 * Counts results as the suite does.
 *
 * @param resultOf returns the suite's symbol for a test's result, including failed dependencies
 */
export function summarise(suite: SuiteTests, resultOf: (id: string) => string): SuiteSummary {
  const passed = { required: 0, optimal: 0, check: 0 };
  const total = { required: 0, optimal: 0, check: 0 };
  const missed: { id: string; kind: SuiteKind; name: string }[] = [];
  for (const test of suite.flatMap(({ tests }) => tests)) {
    if (test.browser_only === true) continue;
    const kind = test.kind ?? "required";
    total[kind]++;
    if (["✅", "Y"].includes(resultOf(test.id))) passed[kind]++;
    else if (kind !== "check") missed.push({ id: test.id, kind, name: test.name });
  }
  return { passed, total, missed };
}
