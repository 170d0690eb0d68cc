/** What was made in the background is deleted at OpenAI once its answer is kept, unless its line says otherwise. */
import type { SimulatedOpenAI } from '../openai-service.ts';
import type { Stack } from '../stack.ts';
import type { Expectations, Report } from './expectations.ts';
import { jobIdOf } from './names.ts';

/** Reports responses of a stack that are left at OpenAI, beside those that its events say could not be deleted. */
export function checkDeleted(
  { jobs, interrupted }: Pick<Expectations, 'jobs' | 'interrupted'>,
  { id: stackId, retained, objects }: Pick<Stack, 'id' | 'retained' | 'objects'>,
  { background }: Pick<SimulatedOpenAI, 'background'>,
  report: Report,
): void {
  const cutShort = new Set(
    jobs
      .filter(({ head }) => interrupted.has(jobIdOf(head)))
      .flatMap(({ drop }) => drop.lines.map(({ marker }) => marker)),
  );
  const left = background.responses.filter(
    ({ stackId: owner, id, marker, store, isReported, isRemoved }) =>
      owner === stackId &&
      store !== true &&
      !isRemoved &&
      // The worker that was told of it may have died before it could write that down.
      (objects.recordedResponses.has(id) || (isReported && !cutShort.has(marker))),
  );
  for (const [batchId, responses] of Map.groupBy(left, ({ batchId: of = '' }) => of)) {
    const most =
      batchId === ''
        ? [...retained.values()].reduce((sum, count) => sum + count, 0)
        : (retained.get(batchId) ?? 0);
    if (responses.length > most)
      report(
        `${responses.length} responses of batch ${batchId} are left at OpenAI (${responses[0]!.id}, ${responses[0]!.status}); its events say ${most}`,
      );
  }
}
