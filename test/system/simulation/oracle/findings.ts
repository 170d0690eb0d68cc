import type { Receipt } from '../../../../src/contract/receipt.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import type { Job } from '../../../../src/core/model/job.ts';
import type { Execution, ServiceBatch } from '../openai-model.ts';
import type { Published } from '../stack.ts';
import type { ExpectedJob, Report } from './expectations.ts';

/** What was found of one job that is no duplicate. */
export interface JobFindings {
  /** Whether some tries are counted that the ledger does not have: of calls that may have been made, and were not. */
  isInterrupted: boolean;
  /** Whether some workers had less time than others. */
  isHurried: boolean;
  /** Whether ingest may have given up on a file that can be read. */
  mayHaveFailed: boolean;
  /** Whether its content was dropped again right after it. */
  isDroppedAgain: boolean;
  expected: ExpectedJob;
  job: Job;
  batches: BatchRecord[];
  receipt: Receipt;
  published: Published;
  executions: Map<string, Execution[]>;
  /** Its batches at OpenAI, oldest first. */
  sent: readonly ServiceBatch[];
  say: Report;
}
