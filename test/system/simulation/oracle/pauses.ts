/** While something is paused, nothing new is sent of it. */
import type { Execution, ServiceBatch } from '../openai-model.ts';
import type { PausedTime } from '../stack.ts';
import { type Report, WORKER_MS } from './expectations.ts';

/**
 * @param of.times in which something was paused.
 * @param of.route of the job.
 * @param of.sent its batches at OpenAI.
 * @param of.executions of its requests.
 */
export function checkPauses(
  of: {
    times: readonly PausedTime[];
    route: string;
    sent: readonly Pick<ServiceBatch, 'id' | 'createdAt' | 'isLate'>[];
    executions: readonly Pick<Execution, 'at' | 'batch'>[];
  },
  say: Report,
): void {
  for (const { route, from, until } of of.times) {
    if (route !== undefined && route !== of.route) continue;
    // One that was about to send has ended by then.
    const isWithin = (at: number): boolean => at > from + WORKER_MS && at < until;
    const made = of.sent.find(({ isLate, createdAt }) => !isLate && isWithin(createdAt));
    if (made !== undefined) say(`${made.id} was made while ${route ?? 'the stack'} was paused`);
    const called = of.executions.find(({ at, batch }) => !batch.id.startsWith('batch_') && isWithin(at));
    if (called !== undefined) say(`${called.batch.id} was called while ${route ?? 'the stack'} was paused`);
  }
}
