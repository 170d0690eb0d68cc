/**
 * Names of the one DynamoDB table.
 *
 * | pk | sk | item |
 * |---|---|---|
 * | `JOB#<jobId>` | `JOB` | a job |
 * | `JOB#<jobId>` | `BATCH#<batchId>` | one batch of the job |
 * | `LEASE#<name>` | `LEASE` | who may do a thing that one at a time may do, with a fencing token |
 * | `CONTENT#<hash>` | `CONTENT` | which job stands for a key, its content and its options |
 * | `PUBLICATION#<bucket>/<key>` | `PUBLICATION` | which job owns the plain names of an input key |
 *
 * The index `live` is sparse: only items that still need something carry `live` (`openai`: waiting at OpenAI; `moving`:
 * ours to move) and `due` (epoch milliseconds at which the sweep looks at it). It is a hint: the base item decides.
 */
export const TABLE_PARTITION_KEY = 'pk';
export const TABLE_SORT_KEY = 'sk';
/** Global secondary index over `live` (string) and `due` (number), all attributes projected. */
export const LIVE_INDEX = 'live';
export const LIVE_INDEX_PARTITION_KEY = 'live';
export const LIVE_INDEX_SORT_KEY = 'due';
