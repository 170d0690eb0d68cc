/** The index of jobs that have ended, and what months add up to. */
import type { EndedJob, JobEnd, MonthRow } from '../model/job-end.ts';

/** Jobs that have ended, by day and by input, and sums by month. Nothing here decides what happens to a job. */
export interface JobIndex {
  /**
   * Lists a job as ended and adds its share to its month, both or neither, once: however often it is called for a job,
   * the first call counts.
   * @returns whether it was this call.
   */
  recordEnd(end: JobEnd): Promise<boolean>;
  /** Jobs that ended on a UTC day (`2026-11-30`), the last one first. */
  listEndedOn(day: string): AsyncIterable<EndedJob>;
  /** Ended jobs of an input key, all its versions, the one that was dropped last first. */
  listEndedOf(bucket: string, key: string): Promise<EndedJob[]>;
  /** Lists a job no more; months keep what it added to them. One that is not listed is fine. */
  forget(job: Pick<EndedJob, 'bucket' | 'key' | 'jobId'>): Promise<void>;
  /** What a UTC month (`2026-11`) adds up to; empty: no job ended in it. In no order. */
  readMonth(month: string): Promise<MonthRow[]>;
}
