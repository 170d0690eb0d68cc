/** One write to a record: what it must be, and what it becomes. */
import type { Tier } from '../../contract/route.ts';
import { type Act, withAct } from './act.ts';
import type { BatchGroup, BatchRecord, BatchState } from './batch.ts';
import type { Job, JobState } from './job.ts';

/** See lifecycle/batch-transitions.ts and job-transitions.ts, which make them. */
export interface Transition<State extends string, Part extends string, Changes> {
  readonly name: string;
  /** The state that the record is in, or nothing is written. */
  readonly from: State;
  readonly to: State;
  /** What it sets; a member that is `undefined` is removed. It comes after {@link clear}. */
  readonly set: Changes;
  /** What it removes from the record. */
  readonly clear: readonly Part[];
}

type Members<Group extends BatchGroup> = NonNullable<BatchRecord[Group]>;

/** What a transition of a batch sets, by group. */
export type BatchPatch = {
  [Group in BatchGroup]?: { [Member in keyof Members<Group>]?: Members<Group>[Member] | undefined };
} & { tier?: Tier };

/** One write to a batch. */
export interface BatchTransition extends Transition<BatchState, BatchGroup, BatchPatch> {
  /** The batch at OpenAI that the record must name, or nothing is written. */
  readonly ofOpenAI?: string;
}

type JobMember =
  | 'turn'
  | 'ingest'
  | 'failing'
  | 'planKey'
  | 'rejection'
  | 'duplicateOf'
  | 'duplicatesRun'
  | 'cancelledAt'
  | 'waitsFor'
  | 'merge'
  | 'result'
  | 'receiptKey'
  | 'cost'
  | 'retries'
  | 'filesLeft'
  | 'forgettingAt'
  | 'workRemovedAt';

/** What a transition of a job sets. */
export type JobPatch = { [Member in JobMember]?: Job[Member] | undefined };

/** What of a job a transition may forget. */
export type JobPart = 'lease' | 'failing' | 'merge' | 'duplicateOf';

/** One write to a job. */
export interface JobTransition extends Transition<JobState, JobPart, JobPatch> {
  /** What an operator did by it; added to those of before. */
  readonly act?: Act;
}

/**
 * The attributes of a record that a transition changes; `undefined` removes one. A group is merged member by member,
 * so that what the transition does not name stays, also members that a later deployment added.
 * @param current the record, or the item that it was read from.
 */
export function changesOf(
  current: Readonly<Record<string, unknown>>,
  { from, to, set, clear, act }: Transition<string, string, object> & Pick<JobTransition, 'act'>,
): Record<string, unknown> {
  const changes: Record<string, unknown> = Object.fromEntries(clear.map((part) => [part, undefined]));
  if (act !== undefined) changes.acts = withAct(current.acts as Act[] | undefined, act);
  if (to !== from) changes.state = to;
  for (const [attribute, value] of Object.entries(set)) {
    if (!isGroup(value)) changes[attribute] = value;
    else {
      const before = attribute in changes ? undefined : current[attribute];
      changes[attribute] = merged(isGroup(before) ? before : {}, value);
    }
  }
  return changes;
}

type Group = Readonly<Record<string, unknown>>;

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `undefined` if nothing is left. */
function merged(before: Group, set: Group): Group | undefined {
  const members = Object.entries({ ...before, ...set }).filter(([, value]) => value !== undefined);
  return members.length === 0 ? undefined : Object.fromEntries(members);
}
