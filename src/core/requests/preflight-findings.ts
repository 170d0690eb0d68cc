import type { PreflightFinding } from '../model/preflight.ts';
import type { SureRefusal } from '../ports/provider-rules.ts';

/** Lines of a kind that are named; of more, only their number is said. */
const MAX_LINES = 10;

/** Requests that the provider is sure to refuse: counted by kind, with the first lines of each. */
export class PreflightFindings {
  readonly #byKind: Map<string, PreflightFinding>;

  /** @param before what an earlier worker has found. Default: nothing. */
  constructor(before: readonly PreflightFinding[] = []) {
    this.#byKind = new Map(structuredClone([...before]).map((finding) => [finding.kind, finding]));
  }

  add({ kind, problem, instead }: SureRefusal, line: number): void {
    const finding = this.#byKind.get(kind) ?? { kind, problem, instead, requests: 0, lines: [] };
    finding.requests++;
    if (finding.lines.length < MAX_LINES) finding.lines.push(line);
    this.#byKind.set(kind, finding);
  }

  /** In the order in which kinds were found first. */
  list(): PreflightFinding[] {
    return structuredClone([...this.#byKind.values()]);
  }
}
