/** What becomes of an object that is another stack's to run. */
import { type JobCompleted, PREFIX_OWNED } from '../../contract/messages.ts';
import type { Job } from '../model/job.ts';
import type { OtherOwner } from './owners.ts';

/** The event of an object that is not run. There is no receipt: the owner may write one under the same name. */
export function refusalOf(
  stackId: string,
  { jobId, input, route }: Pick<Job, 'jobId' | 'input' | 'route'>,
  message: string,
): JobCompleted {
  const { bucket, key, versionId } = input;
  return {
    v: 1,
    stackId,
    route: route.name,
    jobId,
    bucket,
    key,
    versionId,
    result: 'rejected',
    rejection: { code: PREFIX_OWNED, message },
    counts: { requests: 0, succeeded: 0, failed: 0, invalid: 0 },
    files: {},
  };
}

/** Says for a person why a stack does not run an object, and what to do. */
export function describeOtherOwner(
  { prefix, owner, entry }: OtherOwner,
  stackId: string,
  stackName: string,
): string {
  const whose = `stack "${owner.stackName}" (${owner.stackId})`;
  if (entry.stackId === stackId) {
    const at = new Date(entry.since).toISOString();
    return (
      `The file was put before "${entry.prefix}" went from ${whose} to this stack, "${stackName}", at ${at}, so it is the former owner's ` +
      'to run. If that stack has been removed, drop the file again after that time.'
    );
  }
  const wasOurs = entry.before?.some((past) => past.stackId === stackId) ?? false;
  const remedy = wasOurs
    ? 'It took the prefix over from this stack. To take it back, remove its entry from .batchdrop/owners.json once it uses the prefix no more (docs/settings.md, "Several stacks on one bucket").'
    : `Give this stack another prefix in its settings, or set "takeOver": ${JSON.stringify(owner.stackName)} to take the prefix over.`;
  return (
    `"${prefix}" overlaps with "${entry.prefix}", which belongs to ${whose}: this stack, "${stackName}", does not run the file, so ` +
    `that nothing is bought twice. ${remedy}`
  );
}
