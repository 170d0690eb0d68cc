/**
 * Names of the one DynamoDB table.
 *
 * | pk | sk | item |
 * |---|---|---|
 * | `JOB#<jobId>` | `JOB` | a job |
 * | `JOB#<jobId>` | `BATCH#<batchId>` | one batch of the job |
 * | `LEASE#<name>` | `LEASE` | the worker that may do what only one may do at a time, with a fencing token |
 * | `JOB#<jobId>` | `DUPLICATE#<jobId>` | a job of the same content that waits, or waited, for this one |
 * | `LATEST#<bucket>/<key>` | `LATEST` | which job is the latest at a key of a bucket without versioning |
 * | `PUBLICATION#<bucket>/<key>` | `PUBLICATION` | which job owns the plain names of an input key |
 * | `LEDGER#<name>` | `LEDGER` | what is reserved and used of something limited (tokens, budgets, the month), and what its limit is known to be |
 * | `RESERVATION#<id>` | `RESERVATION` | what one batch holds on which ledgers |
 * | `TURNS#<name>` | `TURNS` | how often something was done in each of the last minutes |
 * | `LISTING` | `LISTING` | how far the listing is that finds inputs without a job |
 * | `BACKLOG` | `BACKLOG` | the scopes that batches waited for when all that waits was last looked at |
 * | `WEBHOOK#<webhook id>` | `WEBHOOK` | that an event of ours was dealt with; for 72 hours |
 * | `WEBHOOKS#<API key>` | `WEBHOOKS` | whether the webhooks of a key's project arrive |
 * | `SUSPENSION#<API key>` | `SUSPENSION#<scope>` | why batches of a key or model wait for a person |
 * | `JOBS#<UTC day>` | `<end, ISO 8601>#<jobId>` | a job that ended on that day: its line in the index, for 400 days |
 * | `INPUT#<bucket>/<key>` | `<jobId>` | the same line, by input; its being there says that the job was counted |
 * | `IGNORED#<UTC day>` | `<key>` | a drop on that day that is not run and that no receipt answers; one a key and day, for 14 days |
 * | `MONTH#<UTC month>` | `TOTAL`, `ROUTE#<name>`, `MODEL#<name>`, `TIER#<name>`, `KEY#<API key>` | what the jobs that ended in that month add up to; money in picodollars |
 * | `DROPS` | `ROUTE#<name>` | how many files of a route with limits have started in the last hour and day, and whether some wait |
 * | `PAUSES` | `PAUSE` or `PAUSE#<route>` | whether the stack, or a route, is paused, and by whom |
 * | `TOMBSTONE#<jobId>` | `TOMBSTONE` | that a job was forgotten, and by whom |
 * | `SHUTDOWNS#<API key>` | `SHUTDOWNS` | the shutdown dates that the provider's list of models shows |
 *
 * The index `live` is sparse: only items that still need something carry `live` (`waiting`: planned batches;
 * `openai`: waiting at OpenAI; `moving`: ours to move; `reserved`: reservations not settled; `ended`: jobs that have
 * files below `work/`; `forgetting`: jobs that are being removed; `drops/<route>`: files that wait for the limits of their route) and `due` (epoch milliseconds: when the sweep looks at it; of a waiting batch the age of its
 * job; of an ended job when it ended; of one that is being removed, since when; of a file that waits when it was dropped). It is a hint: the base item decides.
 *
 * `expiresAt` (epoch seconds) is set on items that are no longer needed; DynamoDB deletes them after that.
 */
export const TABLE_PARTITION_KEY = 'pk';
/**
 * Partition keys by kind of item, whole or as what they begin with: policies tell kinds apart by them, and cannot see
 * sort keys.
 */
export const PARTITIONS = {
  job: 'JOB#',
  lease: 'LEASE#',
  latest: 'LATEST#',
  publication: 'PUBLICATION#',
  ledger: 'LEDGER#',
  reservation: 'RESERVATION#',
  turns: 'TURNS#',
  listing: 'LISTING',
  backlog: 'BACKLOG',
  webhook: 'WEBHOOK#',
  webhooks: 'WEBHOOKS#',
  suspension: 'SUSPENSION#',
  jobs: 'JOBS#',
  input: 'INPUT#',
  ignored: 'IGNORED#',
  month: 'MONTH#',
  drops: 'DROPS',
  pauses: 'PAUSES',
  tombstone: 'TOMBSTONE#',
  shutdowns: 'SHUTDOWNS#',
} as const;
/** A kind of items that has partitions of its own. */
export type ItemKind = keyof typeof PARTITIONS;
export const TABLE_SORT_KEY = 'sk';
/** Global secondary index over `live` (string) and `due` (number), all attributes projected. */
export const LIVE_INDEX = 'live';
export const LIVE_INDEX_PARTITION_KEY = 'live';
export const LIVE_INDEX_SORT_KEY = 'due';
/** Time to live; source: DynamoDB developer guide, "Using time to live (TTL)". */
export const TTL_ATTRIBUTE = 'expiresAt';
