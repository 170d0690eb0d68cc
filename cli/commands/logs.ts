/** `batchdrop logs KEY|JOB`: what the functions logged of a job, across all of them, in the order of time. */
import { findJob } from '../options/find-job.ts';
import { readLogLines } from '../options/read-logs.ts';
import type { StackOptions } from '../options/stack.ts';
import { withStores } from '../options/stores.ts';
import { EXIT_SUCCEEDED } from '../view/exit.ts';
import { type LogLine, logTexts, readLogLine, sortedByTime } from '../view/log-view.ts';
import { count } from '../view/text.ts';

/** Options of `batchdrop logs`. */
export interface LogsOptions extends StackOptions {
  /** How far back, ms. Default: since the job was recorded. */
  since?: number;
  /** Lines at most: the latest. */
  limit: number;
  json?: boolean;
}

/** Clocks of the functions and of S3 differ by so much at most (ms). */
const CLOCK_MARGIN_MS = 60_000;

/** @returns the exit status. */
export async function logs(named: string, options: LogsOptions): Promise<number> {
  return withStores(options, async (stores) => {
    const { jobId, job, key } = await findJob(stores, named);
    const now = Date.now();
    const from = options.since === undefined ? (job?.createdAt ?? 0) - CLOCK_MARGIN_MS : now - options.since;
    const query = { jobId, from: Math.max(0, from), to: now + CLOCK_MARGIN_MS };
    const found: LogLine[] = [];
    for await (const text of readLogLines(stores.stack, options.state, query)) {
      const line = readLogLine(text);
      if (line !== undefined && line.fields.jobId === jobId && line.at >= query.from) found.push(line);
    }
    const shown = sortedByTime(found).slice(-options.limit);
    if (options.json) console.log(JSON.stringify(shown));
    else for (const text of logTexts(shown)) console.log(text);
    if (found.length === 0)
      console.error(
        `batchdrop: nothing was logged of ${key} (job ${jobId}) since ${new Date(query.from).toISOString()}`,
      );
    if (found.length > shown.length)
      console.error(
        `batchdrop: the latest ${count(shown.length, 'line')} of ${found.length}; --limit shows more`,
      );
    return EXIT_SUCCEEDED;
  });
}
