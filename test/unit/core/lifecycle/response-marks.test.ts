import { describe, expect, it } from 'vitest';
import { markOf, withMarks } from '../../../../src/core/lifecycle/response-marks.ts';

const MARK = { jobId: 'job', batchId: '1-0.2', request: 17, nonce: 'ab' };

const metadataIn = (body: string | undefined): unknown => JSON.parse(body!).metadata;
const pairs = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']));

describe('the marks of a response', () => {
  it('say its stack, slice, request and visit, and are read back', () => {
    const body = withMarks('{"model":"m","seed":9007199254740993}', 's', MARK);
    expect(body).toBe(
      '{"model":"m","seed":9007199254740993,"metadata":{"batchdrop_stack":"s","batchdrop_request":"job/1-0.2/17/ab"}}',
    );
    expect(markOf('s', metadataIn(body))).toEqual(MARK);
  });

  it('say of a line that has its response stored that it is', () => {
    const body = withMarks('{"store":true}', 's', MARK);
    expect(metadataIn(body)).toMatchObject({ batchdrop_request: 'job/1-0.2/17/ab/stored' });
    expect(markOf('s', metadataIn(body))).toEqual({ ...MARK, isStored: true });
    expect(markOf('s', metadataIn(withMarks('{"store":false}', 's', MARK)))).toEqual(MARK);
  });

  it('leave the metadata of the request where it is', () => {
    const own = { b: 'x', a: 'y' };
    const body = withMarks(JSON.stringify({ metadata: own, model: 'm' }), 's', MARK);
    expect(metadataIn(body)).toMatchObject(own);
    expect(markOf('s', metadataIn(body))).toEqual(MARK);
    expect(metadataIn(withMarks('{"metadata":null}', 's', MARK))).toEqual({
      batchdrop_stack: 's',
      batchdrop_request: 'job/1-0.2/17/ab',
    });
  });

  it('take the two places that 14 pairs leave of 16, and are left out where there are more', () => {
    expect(markOf('s', metadataIn(withMarks(JSON.stringify({ metadata: pairs(14) }), 's', MARK)))).toEqual(
      MARK,
    );
    expect(withMarks(JSON.stringify({ metadata: pairs(15) }), 's', MARK)).toBeUndefined();
    expect(withMarks(JSON.stringify({ metadata: pairs(16) }), 's', MARK)).toBeUndefined();
  });

  it('are left out of a body whose metadata is no object, which OpenAI refuses as it is', () => {
    expect(withMarks('{"metadata":"text"}', 's', MARK)).toBeUndefined();
    expect(withMarks('{"metadata":["a"]}', 's', MARK)).toBeUndefined();
  });

  it.each([
    ['of another stack', { batchdrop_stack: 'other', batchdrop_request: 'job/0-0/1/ab' }],
    ['without a request', { batchdrop_stack: 's' }],
    ['of another form', { batchdrop_stack: 's', batchdrop_request: 'job/0-0/x/ab' }],
    ['that is missing', null],
  ])('say nothing in metadata %s', (_, metadata) => {
    expect(markOf('s', metadata)).toBeUndefined();
  });
});
