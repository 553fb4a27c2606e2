/** The suite's own description of its tests. */
export type SuiteTests = readonly {
  readonly tests: readonly {
    readonly id: string;
    readonly name: string;
    readonly kind?: SuiteKind;
    readonly browser_only?: boolean;
  }[];
}[];

/** `check` asks how a cache behaves; neither answer is wrong. */
export type SuiteKind = "required" | "optimal" | "check";

/** What passed, by kind, and which of the others did not. */
export interface SuiteSummary {
  readonly passed: Readonly<Record<SuiteKind, number>>;
  readonly total: Readonly<Record<SuiteKind, number>>;
  readonly missed: readonly { readonly id: string; readonly kind: SuiteKind; readonly name: string }[];
}

/**
 * Counts results as the suite does.
 *
 * @param resultOf the suite's symbol for a test's result, failed dependencies included
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
