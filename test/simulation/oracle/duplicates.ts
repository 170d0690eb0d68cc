/** The same content again costs nothing while a job owns it, and is run when none does. */
import { isDeepStrictEqual } from 'node:util';
import type { Job } from '../../../src/core/model.ts';
import type { ExpectedJob, Report } from './expectations.ts';

const DAY_MS = 24 * 60 * 60_000;

export interface RecordedJob {
  expected: ExpectedJob;
  job: Job;
}

/** The same content again costs nothing while a job stands for it, and is run when none does. */
export function checkDuplicates(recorded: readonly RecordedJob[], report: Report): void {
  const byContent = Map.groupBy(recorded, ({ expected: { drop } }) => drop.sameAs ?? drop.index);
  for (const same of byContent.values()) {
    for (const { expected, job } of same) {
      const name = `drop ${expected.drop.index} (${expected.drop.key})`;
      if (job.state === 'duplicate') {
        const original = same.find((other) => other.job.jobId === job.duplicateOf)?.job;
        if (original === undefined || original.state === 'duplicate' || job.route.sameContent === 'run')
          report(`${name} is recorded as a duplicate of ${job.duplicateOf}, which does not stand for it`);
        continue;
      }
      const standing = same.find(
        ({ job: other }) =>
          other.jobId !== job.jobId &&
          other.result === 'succeeded' &&
          // Options that differ (budgets are raised in between) make it another content.
          isDeepStrictEqual(other.route, job.route) &&
          other.cancelledAt === undefined &&
          other.createdAt <= job.createdAt &&
          other.createdAt >= job.createdAt - DAY_MS,
      );
      if (standing !== undefined && job.route.sameContent === 'skip')
        report(`${name} was run although drop ${standing.expected.drop.index} stands for its content`);
    }
  }
}
