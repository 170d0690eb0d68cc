import { describe, expect, it } from 'vitest';
import {
  batchMessageSchema,
  ingestMessageSchema,
  jobCompletedSchema,
  jobMessageSchema,
} from '../../../src/contract/messages.ts';

/** As EventBridge delivers it. Source: S3 user guide, "EventBridge event message structure". */
const OBJECT_CREATED = {
  version: '0',
  id: '17793124-05d4-b198-2fde-7ededc63b103',
  'detail-type': 'Object Created',
  source: 'aws.s3',
  account: '111122223333',
  time: '2026-11-12T00:00:00Z',
  region: 'ca-central-1',
  resources: ['arn:aws:s3:::amzn-s3-demo-bucket1'],
  detail: {
    version: '0',
    bucket: { name: 'amzn-s3-demo-bucket1' },
    object: {
      key: 'input/nightly/a b+ü.jsonl',
      size: 5,
      etag: 'b1946ac92492d2347c6235b4d2611184',
      'version-id': 'IYV3p45BT0ac8hjHg1houSdS1a.Mro8e',
      sequencer: '00617F08299329D189',
    },
    'request-id': 'N4N7GDK58NMKJ12R',
    requester: '123456789012',
    'source-ip-address': '1.2.3.4',
    reason: 'PutObject',
  },
};
const eventOf = (object: Record<string, unknown>) => ({
  ...OBJECT_CREATED,
  detail: { ...OBJECT_CREATED.detail, object },
});

describe('ingest message', () => {
  it("is read from S3's event, the key as it is there: it is not URL-encoded", () => {
    expect(ingestMessageSchema.parse(OBJECT_CREATED)).toEqual({
      bucket: 'amzn-s3-demo-bucket1',
      key: 'input/nightly/a b+ü.jsonl',
      versionId: 'IYV3p45BT0ac8hjHg1houSdS1a.Mro8e',
    });
  });

  it('has no version where the bucket keeps none', () => {
    const message = ingestMessageSchema.parse(eventOf({ key: 'input/a.jsonl', size: 5 }));
    expect(message).toEqual({ bucket: 'amzn-s3-demo-bucket1', key: 'input/a.jsonl' });
  });

  it('leaves a key with percent signs alone', () => {
    expect(ingestMessageSchema.parse(eventOf({ key: 'input/100%25.jsonl' }))).toMatchObject({
      key: 'input/100%25.jsonl',
    });
  });

  it('is a job to take up again, as the sweep writes it', () => {
    expect(ingestMessageSchema.parse({ v: 1, jobId: 'j' })).toEqual({ v: 1, jobId: 'j' });
  });

  it('takes nothing of an event but where the object is: the job is named by the object', () => {
    const one = ingestMessageSchema.parse(OBJECT_CREATED);
    const other = ingestMessageSchema.parse({ ...OBJECT_CREATED, id: 'other', time: '2027-01-01T00:00:00Z' });
    expect(other).toEqual(one);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['an empty object', {}],
    ['a text', 'hello'],
    ['a message of the next version', { v: 2, jobId: 'j' }],
    ['a message without a version', { jobId: 'j' }],
    ['a version that is a text', { v: '1', jobId: 'j' }],
    ['a job without id', { v: 1, jobId: '' }],
    ['an event of another kind', { ...OBJECT_CREATED, 'detail-type': 'Object Deleted' }],
    ['an event of another source', { ...OBJECT_CREATED, source: 'mine' }],
    ['an event without a key', eventOf({ size: 5 })],
    ['an event with an empty key', eventOf({ key: '' })],
    ['an event with an empty version', eventOf({ key: 'input/a', 'version-id': '' })],
    ["S3's own notification", { Records: [{ eventSource: 'aws:s3', s3: { object: { key: 'input/a' } } }] }],
    ["S3's test notification", { Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'b' }],
  ])('is refused: %s', (_what, message) => {
    expect(ingestMessageSchema.safeParse(message).success).toBe(false);
  });
});

describe('job and batch messages', () => {
  it('are read, and what a later release adds is left out', () => {
    expect(jobMessageSchema.parse({ v: 1, jobId: 'j', more: 5 })).toEqual({ v: 1, jobId: 'j' });
    expect(batchMessageSchema.parse({ v: 1, jobId: 'j', batchId: '0-00000', more: 5 })).toEqual({
      v: 1,
      jobId: 'j',
      batchId: '0-00000',
    });
  });

  it.each<[string, unknown]>([
    ['of another version', { v: 2, jobId: 'j', batchId: 'b' }],
    ['without a version', { jobId: 'j', batchId: 'b' }],
    ['without a batch', { v: 1, jobId: 'j' }],
    ['with an empty batch', { v: 1, jobId: 'j', batchId: '' }],
    ['with an empty job', { v: 1, jobId: '', batchId: 'b' }],
    ['with a job that is a number', { v: 1, jobId: 5, batchId: 'b' }],
  ])('fail %s', (_what, message) => {
    expect(batchMessageSchema.safeParse(message).success).toBe(false);
  });
});

describe('JobCompleted', () => {
  const completed = {
    v: 1,
    stackId: 's',
    jobId: 'j',
    bucket: 'b',
    key: 'input/a.jsonl',
    result: 'partial',
    counts: { requests: 3, succeeded: 1, failed: 1, invalid: 1 },
    files: {
      output: 'output/a.jsonl',
      errors: 'errors/a.jsonl',
      retry: 'retry/a.jsonl',
      receipt: 'receipts/a.json',
    },
  };

  it('says what became of the job, and where its files are', () => {
    expect(jobCompletedSchema.parse(completed)).toEqual(completed);
    expect(jobCompletedSchema.parse({ ...completed, route: 'nightly' })).toEqual({
      ...completed,
      route: 'nightly',
    });
    expect(
      jobCompletedSchema.parse({ ...completed, versionId: 'v1', files: { receipt: 'r' } }),
    ).toMatchObject({
      versionId: 'v1',
      files: { receipt: 'r' },
    });
  });

  it('needs no receipt of a file that another stack runs', () => {
    const refused = { result: 'rejected', rejection: { code: 'prefix_owned', message: 'm' }, files: {} };
    expect(jobCompletedSchema.parse({ ...completed, ...refused })).toMatchObject(refused);
  });

  it.each<[string, Record<string, unknown>]>([
    ['another version', { v: 2 }],
    ['a result that is not known', { result: 'done' }],
    ['a count below zero', { counts: { ...completed.counts, failed: -1 } }],
    ['half a request', { counts: { ...completed.counts, failed: 0.5 } }],
    ['no receipt', { files: {} }],
    [
      'no receipt of a file that was rejected',
      { files: {}, rejection: { code: 'empty_file', message: 'm' } },
    ],
  ])('fails for %s', (_what, change) => {
    expect(jobCompletedSchema.safeParse({ ...completed, ...change }).success).toBe(false);
  });
});
