/** The only place that spells object keys. */
import type { Layout } from '../../contract/layout.ts';
import { JOB_ID_CHARS } from '../model/job-id.ts';

/** Source: S3 user guide, "Naming Amazon S3 objects". */
export const MAX_KEY_BYTES = 1_024;

/** Keys of one job below `work/`. `attempt` separates two runs of ingest over the same object. */
export function workKeys(layout: Layout, jobId: string) {
  const base = `${layout.work}${jobId}/`;
  return {
    /** What all of them begin with. */
    base,
    /** Copy of an input from a bucket without versioning. */
    pinned: `${base}input`,
    /** Written once; the job as it was created first. */
    job: `${base}job.json`,
    /** Written once, before the create that it describes. */
    attempt: (batchId: string, attempt: number): string => `${base}attempts/${batchId}/${attempt}.json`,
    /** Written once; the record of a batch that is done with. */
    settled: (batchId: string): string => `${base}collected/${batchId}/record.json`,
    /** Written once; says what the job is made of. */
    plan: `${base}plan.json`,
    manifest: (attempt: string, batchId: string): string => `${base}ingest/${attempt}/${batchId}.manifest`,
    /** Lines written out once, where ranges of the input cannot be sent as they are. */
    spool: (attempt: string): string => `${base}ingest/${attempt}/spool`,
    /** Lines as they were dropped, where those in the spool have defaults filled in. */
    originals: (attempt: string) => ({
      data: `${base}ingest/${attempt}/originals.jsonl`,
      index: `${base}ingest/${attempt}/originals.index`,
    }),
    invalid: (attempt: string) => ({
      data: `${base}ingest/${attempt}/invalid.jsonl`,
      index: `${base}ingest/${attempt}/invalid.index`,
    }),
    /** What finalize publishes, before it is published. `attempt` separates two merges. */
    merged: (attempt: string) => {
      const at = `${base}merged/${attempt}/`;
      return {
        output: `${at}output.jsonl`,
        errors: `${at}errors.jsonl`,
        retry: `${at}retry.jsonl`,
        checkpoint: (generation: number): string => `${at}${generation}.checkpoint`,
      };
    },
    /** A result file of OpenAI as it is. `attempt` separates two copies of it. */
    fetched: (batchId: string, attempt: string) => ({
      file: `${base}collected/${batchId}/fetched/${attempt}.jsonl`,
      /** How far the copy was after so many bytes. */
      checkpoint: (bytes: number): string =>
        `${base}collected/${batchId}/fetched/${attempt}.${bytes}.checkpoint`,
    }),
    /** Answers to the calls of a slice, in the form of OpenAI's output files; each segment is written once. */
    calls: (batchId: string) => callKeys(`${base}calls/${batchId}/`),
    /** Hashes of ids, sorted; written by one worker alone. */
    ids: (attempt: string, worker: string, index: number): string =>
      `${base}ingest/${attempt}/ids/${worker}-${index}`,
    /** What is made of a batch when duplicates are taken out of it; `name` makes each time unique. */
    unique: (attempt: string, batchId: string, name: string) => {
      const at = `${base}ingest/${attempt}/${batchId}.unique-${name}`;
      return { manifest: `${at}.manifest`, run: { data: `${at}.jsonl`, index: `${at}.index` } };
    },
    /** How far a worker got with ingest. */
    checkpoint: (worker: string, generation: number): string =>
      `${base}ingest/checkpoints/${String(generation).padStart(5, '0')}-${worker}`,
    /** What one run of collect makes of a batch; the batch's record says which run counts. */
    collected: (batchId: string, attempt: string) => {
      const at = `${base}collected/${batchId}/${attempt}/`;
      return {
        output: { data: `${at}output.jsonl`, index: `${at}output.index` },
        errors: { data: `${at}errors.jsonl`, index: `${at}errors.index` },
        /** Of each batch that takes up what is left, from 0 on. */
        nextManifest: (index: number): string => `${at}next.${index}.manifest`,
      };
    },
  };
}

/** Keys of one slice. @param base what all of them begin with. */
function callKeys(base: string) {
  return {
    /** The requests of the slice, as they were when the first of them was called. */
    requests: `${base}requests.jsonl`,
    segment: (index: number): string => `${base}${String(index).padStart(5, '0')}.jsonl`,
    /** Ids of responses that were created in the background; each segment is written once. */
    created: (index: number): string => `${base}created/${String(index).padStart(5, '0')}.jsonl`,
    /** Responses in the background that could not be read at the last look. */
    unread: `${base}unread.json`,
    /** What all arrivals begin with. */
    arrivals: `${base}arrived/`,
    /** Written once; the response to a request, as a webhook reported it. @param request its place in the slice. */
    arrived: (request: number): string => `${base}arrived/${request}.json`,
    /** All segments together, as one worker made it. */
    file: (attempt: string): string => `${base}${attempt}.jsonl`,
  };
}

/** What the poll keeps from run to run, beside the jobs. */
export function pollKey(layout: Layout): string {
  return `${layout.work}poll.json`;
}

/** The keys that a person looks for, the same as the input's under other prefixes. */
export interface PublishedKeys {
  output: string;
  errors: string;
  retry: string;
  receipt: string;
}

/**
 * Where the results of an input key go.
 * @param layout that of the job, see `layoutOf`.
 * @param distinguish a job id to add to the names, for a job that a newer version of the same key has overtaken. If the
 * names would be longer than S3 allows, they begin with as much of the key as there is room for.
 */
export function publishedKeys(layout: Layout, inputKey: string, distinguish?: string): PublishedKeys {
  const name = publicationName(layout, inputKey);
  if (distinguish === undefined) return namesWith(layout, name);
  const excess = longestOf(namesWith(layout, `${name}.${distinguish}`)) - MAX_KEY_BYTES;
  const room = excess > 0 ? beginningOf(name, Buffer.byteLength(name) - excess) : name;
  return namesWith(layout, `${room}.${distinguish}`);
}

/** Whether S3 allows all names that the results of an input key may get. */
export function hasRoomForResults(layout: Layout, inputKey: string): boolean {
  const name = `${publicationName(layout, inputKey)}.${'0'.repeat(JOB_ID_CHARS)}`;
  return longestOf(namesWith(layout, name)) <= MAX_KEY_BYTES;
}

function namesWith(layout: Layout, stem: string): PublishedKeys {
  return {
    output: `${layout.output}${stem}.jsonl`,
    errors: `${layout.errors}${stem}.jsonl`,
    retry: `${layout.retry}${stem}.jsonl`,
    receipt: `${layout.receipts}${stem}.json`,
  };
}

function longestOf(keys: PublishedKeys): number {
  return Math.max(...Object.values(keys).map((key: string) => Buffer.byteLength(key)));
}

/** As many whole characters of a text as fit into so many bytes of UTF-8. */
function beginningOf(text: string, bytes: number): string {
  const cut = Buffer.from(text).subarray(0, Math.max(0, bytes));
  return new TextDecoder().decode(cut, { stream: true });
}

/**
 * `input/nightly/a.jsonl` is `nightly/a`, whatever its route: two inputs with the same name share their plain result
 * names where their results go to the same prefixes, and no others do, since prefixes of an area are the same or
 * apart.
 */
export function publicationName(layout: Layout, inputKey: string): string {
  const below = inputKey.startsWith(layout.input) ? inputKey.slice(layout.input.length) : inputKey;
  return below.endsWith('.jsonl') ? below.slice(0, -'.jsonl'.length) : below;
}
