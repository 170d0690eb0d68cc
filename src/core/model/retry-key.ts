/** Names of inputs that are retries: they say which job they are of, so that nothing else has to. */
import { JOB_ID_CHARS } from './job-id.ts';

/** What an input is a retry of. */
export interface RetryOf {
  /** The job whose requests did not all succeed. */
  jobId: string;
  /** Which retry of that job it is, from 1 on. */
  number: number;
}

const NAME = new RegExp(`retry-(\\d{1,2})-of-([0-9a-f]{${JOB_ID_CHARS}})\\.jsonl$`);

/** What the key of a retry ends in. */
export function retryName({ jobId, number }: RetryOf): string {
  return `retry-${number}-of-${jobId}.jsonl`;
}

/** Of a retry of a retry, the later one. @returns nothing for any other input. */
export function retryOfKey(key: string): RetryOf | undefined {
  const [, number, jobId] = NAME.exec(key) ?? [];
  return jobId === undefined ? undefined : { jobId, number: Number(number) };
}
