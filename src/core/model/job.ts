/** The record of a job. Times are epoch milliseconds. */
import * as z from 'zod';
import { appliedOptionSchema } from '../../contract/options.ts';
import { receiptSchema } from '../../contract/receipt.ts';
import { routeSchema } from '../../contract/route.ts';
import { actSchema } from './act.ts';
import { leaseSchema } from './batch.ts';
import { dropTurnSchema } from './drop-turn.ts';
import { sourceSchema } from './objects.ts';

const count = z.int().min(0);
/** Epoch milliseconds. */
const time = z.number();

/**
 * How far a job is. `completed` and `rejected` are final; a `duplicate` is once it has a receipt, until then it waits
 * for its owner and may be `ingesting` again. All arrows: `JOB_TRANSITIONS`.
 */
export const JOB_STATES = ['ingesting', 'running', 'completed', 'rejected', 'duplicate'] as const;
export type JobState = (typeof JOB_STATES)[number];

const rejectionSchema = z.object({
  code: z.enum([
    'empty_file',
    'not_json_lines',
    'object_gone',
    'no_valid_lines',
    'invalid_lines',
    'gzip_corrupt',
    'gzip_too_large',
    'too_many_models',
    'ingest_failed',
    'invalid_options',
    'key_too_long',
    'input_unreadable',
  ]),
  message: z.string(),
});
/** Why nothing of a job was run. `code` is stable; `message` is for a person. */
export type Rejection = z.infer<typeof rejectionSchema>;

const unreadableSchema = z.object({
  /** Of the first try. */
  since: time,
  tries: count,
  /** S3's error code. */
  code: z.string(),
  /** For a person: what S3 said, and what to do. */
  reason: z.string(),
  /** When it is tried again. */
  nextAt: time,
});
/** A file that S3 does not give, as it was tried last. */
export type Unreadable = z.infer<typeof unreadableSchema>;

const failingSchema = z.object({
  /** Of the first failure. */
  since: time,
  tries: count,
  /** What failed last: our own message, or the name of another error. */
  reason: z.string(),
  /** When it is tried again. */
  nextAt: time,
});
/**
 * Failures in a row of a step of a job, ingest or finalize. Deliveries that are throttled and workers that die are
 * none.
 */
export type Failing = z.infer<typeof failingSchema>;

const ingestSchema = z.object({
  /** Runs that have begun since the last checkpoint and not come back. */
  starts: count,
  /** How often everything had to be read again, because a checkpoint was unusable. */
  restarts: z.exactOptional(count),
  /** Absent while the file can be read, as far as anybody knows. */
  unreadable: z.exactOptional(unreadableSchema),
  /** Where the next run continues; absent while there was one run at most. */
  checkpoint: z.exactOptional(
    z.object({
      /** Counts the checkpoints of the job, from 1. */
      generation: count,
      key: z.string(),
      /** How far the source, unpacked, was read. */
      offset: count,
    }),
  ),
});
/** How ingest of a file is going. */
export type IngestProgress = z.infer<typeof ingestSchema>;

const mergeSchema = z.object({
  /** Counts the checkpoints of the job's merge, from 1. */
  generation: count,
  /** See checkpoint.ts. */
  checkpointKey: z.string(),
});
/** A merge that another invocation continues. */
export type MergeProgress = z.infer<typeof mergeSchema>;

/** One option that a dropped object said and that is followed. */
export type AppliedOption = z.infer<typeof appliedOptionSchema>;

/** The most files that a record names. Ours: a record has 400 KB at most. */
export const MAX_FILES_LEFT = 100;

/** The record of a job in the table. */
export const jobSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  /** The dropped object: what HeadObject says of it, without its metadata. */
  input: sourceSchema.extend({ etag: z.string(), lastModified: time, size: count }),
  /** What is read in its place: the same version, or a pinned copy below `work/`. */
  source: sourceSchema,
  /**
   * Frozen when the job was created, with what the dropped object said otherwise. Not the strict schema of the
   * settings: a route that was frozen by another deployment may have more keys, and was checked then.
   */
  route: z.object({ ...routeSchema.shape, match: z.array(z.string()), ignore: z.array(z.string()) }),
  /** What the dropped object says that it may cost at the most, in USD as decimal text. */
  budgetUsd: z.exactOptional(z.string()),
  /** What of the route the dropped object said otherwise. Absent if it said nothing. */
  options: z.exactOptional(z.array(appliedOptionSchema)),
  /**
   * The job of the version that S3 had stored right before this one, whether there is such a job or not; it may own
   * this one if its content is the same. Absent if there was none.
   */
  predecessor: z.exactOptional(
    z.object({ jobId: z.string(), versionId: z.exactOptional(z.string()), lastModified: time }),
  ),
  /** How many versions of its key with the same second are older. Absent: none. */
  rank: z.exactOptional(count),
  state: z.enum(JOB_STATES),
  createdAt: time,
  updatedAt: time,
  /** The worker that has it. Absent while none has. */
  lease: z.exactOptional(leaseSchema),
  /** Its turn among the files of its route. Absent where the route had no limits when the file was recorded. */
  turn: z.exactOptional(dropTurnSchema),
  ingest: z.exactOptional(ingestSchema),
  /** Absent while the job's own steps do not fail. */
  failing: z.exactOptional(failingSchema),
  /** Key of the plan that ingest wrote; present from `running` on, and for a rejected file that could be read. */
  planKey: z.exactOptional(z.string()),
  rejection: z.exactOptional(rejectionSchema),
  /**
   * Of a duplicate: its owner, the job of the same content that it waits for and whose results answer it. May be a
   * duplicate itself.
   */
  duplicateOf: z.exactOptional(z.string()),
  /** Of a cancelled job: its duplicates run, in place of being cancelled with it. */
  duplicatesRun: z.exactOptional(z.boolean()),
  /** When it was cancelled: unfinished requests end as they are, and nothing more is sent. */
  cancelledAt: z.exactOptional(time),
  /** A batch that was not collected at the last look: while it is not, the job is surely not finished. */
  waitsFor: z.exactOptional(z.string()),
  /** How far the merging of results is, where it takes more than one invocation. */
  merge: z.exactOptional(mergeSchema),
  /** What the receipt says; present once it is written. */
  result: z.exactOptional(receiptSchema.shape.result),
  /** Key of the receipt; present once `completed` or `rejected` is final. */
  receiptKey: z.exactOptional(z.string()),
  /** What it cost, as its receipt says: USD as an exact decimal, and the most that it may have cost beyond that. */
  cost: z.exactOptional(z.object({ usd: z.string(), possibleUsd: z.string() })),
  /** What operators did to it, oldest first: the last 20. */
  acts: z.exactOptional(z.array(actSchema)),
  /** What did not succeed was dropped again as these inputs; each number once. */
  retries: z.exactOptional(
    z.array(
      z.object({
        number: count,
        key: z.string(),
        at: time,
        /** It is recorded before it is dropped: whether it was is not known yet. */
        isDropping: z.exactOptional(z.literal(true)),
      }),
    ),
  ),
  /** Files at the provider that could not be deleted when it ended, the first {@link MAX_FILES_LEFT}. */
  filesLeft: z.exactOptional(z.array(z.object({ id: z.string(), apiKey: z.string() }))),
  /** Since when everything of it is being removed. */
  forgettingAt: z.exactOptional(time),
  /** When its files below `work/` were removed. */
  workRemovedAt: z.exactOptional(time),
});

/** One version of one input object. */
export type Job = z.infer<typeof jobSchema>;

/** Whether nothing will be done for a job any more. */
export function hasEnded({ state, receiptKey }: Pick<Job, 'state' | 'receiptKey'>): boolean {
  return receiptKey !== undefined && state !== 'ingesting' && state !== 'running';
}
