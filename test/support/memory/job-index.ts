import {
  addAmounts,
  byDrop,
  dayOf,
  type EndedJob,
  type JobEnd,
  type MonthRow,
  monthOf,
  noAmounts,
} from '../../../src/core/model/job-end.ts';
import type { JobIndex } from '../../../src/core/ports/job-index.ts';

/** {@link JobIndex} in memory. */
export class MemoryJobIndex implements JobIndex {
  #ended = new Map<string, EndedJob>();
  /** By month, then by what it is of. */
  #months = new Map<string, Map<string, MonthRow>>();

  /** What stands now. Call what this gives to go back to it, as a table that is restored to a point in time. */
  snapshot(): () => void {
    const [ended, months] = [structuredClone(this.#ended), structuredClone(this.#months)];
    return () => {
      [this.#ended, this.#months] = [structuredClone(ended), structuredClone(months)];
    };
  }

  async recordEnd({ ended, rows }: JobEnd): Promise<boolean> {
    if (this.#ended.has(ended.jobId)) return false;
    this.#ended.set(ended.jobId, structuredClone(ended));
    const month = monthOf(ended.endedAt);
    const sums = this.#months.get(month) ?? new Map<string, MonthRow>();
    this.#months.set(month, sums);
    for (const { of, name, amounts } of rows) {
      const sum = sums.get(`${of}#${name}`) ?? { of, name, amounts: noAmounts() };
      sums.set(`${of}#${name}`, sum);
      addAmounts(sum.amounts, amounts);
    }
    return true;
  }

  async *listEndedOn(day: string): AsyncGenerator<EndedJob> {
    const found = [...this.#ended.values()].filter(({ endedAt }) => dayOf(endedAt) === day);
    const place = ({ endedAt, jobId }: EndedJob): string => `${new Date(endedAt).toISOString()}#${jobId}`;
    yield* structuredClone(found.sort((one, other) => (place(one) < place(other) ? 1 : -1)));
  }

  async listEndedOf(bucket: string, key: string): Promise<EndedJob[]> {
    const found = [...this.#ended.values()].filter((one) => one.bucket === bucket && one.key === key);
    return structuredClone(found.sort(byDrop));
  }

  async forget({ jobId }: Pick<EndedJob, 'jobId'>): Promise<void> {
    this.#ended.delete(jobId);
  }

  async readMonth(month: string): Promise<MonthRow[]> {
    return structuredClone([...(this.#months.get(month)?.values() ?? [])]);
  }

  /** Every job that has ended. */
  get ended(): readonly EndedJob[] {
    return [...this.#ended.values()];
  }

  /** Months in which a job has ended. */
  get months(): readonly string[] {
    return [...this.#months.keys()];
  }
}
