/** A setting that breaks a rule. The value is not repeated: it may be a secret. */
export interface SettingProblem {
  /** Where it was set: `--port`, `PORT`, or the member of the file, such as `upstream.url`. */
  readonly setting: string;
  readonly rule: string;
}
