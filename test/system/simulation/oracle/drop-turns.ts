/** Of routes that let only so many files start: that no more did, and none without its turn. */
import type { Job } from '../../../../src/core/model/job.ts';
import type { Report } from './expectations.ts';

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

/** What a route lets start. */
interface Limits {
  name: string;
  drops?: { perHour?: number | undefined; perDay?: number | undefined } | undefined;
}

export function checkDropTurns(jobs: readonly Job[], routes: readonly Limits[], report: Report): void {
  for (const { name, drops } of routes) {
    if (drops === undefined) continue;
    const { perHour = Number.POSITIVE_INFINITY, perDay = Number.POSITIVE_INFINITY } = drops;
    const ofRoute = new Map(jobs.filter(({ route }) => route.name === name).map((job) => [job.jobId, job]));
    const starts: number[] = [];
    for (const { jobId, turn, cancelledAt } of ofRoute.values()) {
      if (turn?.takenAt !== undefined) starts.push(turn.takenAt);
      else if (cancelledAt === undefined) report(`job ${jobId} of route ${name} had no turn`);
    }
    starts.sort((one, other) => one - other);
    for (const [index, at] of starts.entries()) {
      const inHour = starts.filter((other) => other >= at && other < at + HOUR_MS).length;
      if (inHour > perHour)
        report(`${inHour} files of route ${name} started within an hour, from drop ${index} on`);
      const inDay = starts.filter((other) => Math.floor(other / DAY_MS) === Math.floor(at / DAY_MS)).length;
      if (inDay > perDay) report(`${inDay} files of route ${name} started in one day`);
    }
  }
}
