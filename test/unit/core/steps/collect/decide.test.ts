import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { routeSchema } from '../../../../../src/contract/route.ts';
import type { BatchLevelError, BatchRecord } from '../../../../../src/core/model/batch.ts';
import type { StatedError } from '../../../../../src/core/model/outcome-codes.ts';
import { type Cause, triesOf, withTry } from '../../../../../src/core/model/tries.ts';
import type { Verdict } from '../../../../../src/core/model/verdict.ts';
import { type Decision, decide, decideRefusal } from '../../../../../src/core/steps/collect/decide.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { endingOf, remoteOf } from '../../../../support/records.ts';
import { BATCH_ONLY } from '../../../../support/routes.ts';

const route = routeSchema.parse({ ...BATCH_ONLY, name: 'default', prefix: 'input/' });
const OK: Verdict = { kind: 'succeeded' };
const retry = (code: string, cause: Cause): Verdict => ({ kind: 'retry', code, cause });
const operator = (code: string, scope: 'key' | 'model'): Verdict => ({ kind: 'operator', code, scope });
const tries = (...causes: Cause[]): number => causes.reduce(withTry, 0);

function decideAll(
  verdicts: (Verdict | undefined)[],
  options: {
    tried?: number;
    cancelledAt?: number;
    isUnreadable?: boolean;
    batch?: Partial<BatchRecord>;
    retired?: StatedError;
  } = {},
) {
  const { tried = 0, cancelledAt, isUnreadable = false, batch, retired } = options;
  return decide(
    { route, ...(cancelledAt === undefined ? {} : { cancelledAt }) },
    { ending: endingOf(), remote: remoteOf({ outputFileId: 'file-1' }), ...batch },
    { count: verdicts.length, tried: () => tried },
    { isUnreadable, verdict: (index) => verdicts[index] },
    { rules: OPENAI_RULES, retired },
  );
}
const decideOne = (verdict: Verdict | undefined, options = {}): Decision =>
  decideAll([verdict], options).of[0]!;

describe('decide', () => {
  it('fails what a model that is gone was asked for, whatever it answered before, and suspends nothing', () => {
    const retired = { code: 'model_retired', message: 'Gone.' };
    const gone = operator('model_not_found', 'model');
    const { of, suspend } = decideAll([OK, gone, retry('http_500', 'transient')], { retired });
    expect(of.map(({ kind }) => kind)).toEqual(['succeeded', 'failed', 'retry']);
    expect(of[1]).toEqual({ kind: 'failed', code: 'model_retired', tried: 0, stated: retired });
    expect(suspend).toBeUndefined();
  });

  it('runs again what was not begun as far as anybody knows, without a try used up, and counts it', () => {
    const left: Verdict = { kind: 'unsent', code: 'background_left', isLost: true };
    expect(decideOne(left)).toEqual({ kind: 'retry', tried: 0, lost: 'background_left' });
    expect(decideOne(left, { cancelledAt: 5 })).toMatchObject({ code: 'cancelled', lost: 'background_left' });
    const unsent: Verdict = { kind: 'unsent', code: 'not_sent' };
    expect(decideOne(unsent)).toEqual({ kind: 'retry', tried: 0 });
  });

  it.each<[string, Verdict | undefined, number, Decision]>([
    ['an answer', OK, 0, OK],
    [
      'a final error',
      { kind: 'failed', code: 'x' },
      tries('unexecuted'),
      { kind: 'failed', code: 'x', tried: tries('unexecuted', 'transient') },
    ],
    ['a fault', retry('http_500', 'transient'), 0, { kind: 'retry', tried: tries('transient') }],
    [
      'a fault for the third time',
      retry('http_500', 'transient'),
      tries('transient', 'unexecuted'),
      { kind: 'failed', code: 'http_500', tried: tries('transient', 'transient', 'unexecuted') },
    ],
    ['a lost try', retry('status_0', 'lost'), 0, { kind: 'retry', tried: tries('lost'), lost: 'status_0' }],
    [
      'a try that is lost for the second time, though one more is left in all',
      retry('status_0', 'lost'),
      tries('lost'),
      { kind: 'failed', code: 'status_0', tried: tries('lost', 'lost'), lost: 'status_0' },
    ],
    [
      'no line at all',
      undefined,
      tries('transient'),
      { kind: 'retry', tried: tries('transient', 'lost'), lost: 'missing_from_results' },
    ],
    [
      'no line for the second time',
      undefined,
      tries('lost'),
      {
        kind: 'failed',
        code: 'missing_from_results',
        tried: tries('lost', 'lost'),
        stated: { code: 'missing_from_results', message: expect.any(String) },
        lost: 'missing_from_results',
      },
    ],
  ])('%s', (_what, verdict, tried, expected) => {
    expect(decideOne(verdict, { tried })).toEqual(expected);
  });

  it("uses up no attempt for an operator's error, however often it comes, and says what is to be suspended", () => {
    const tried = tries('transient', 'unexecuted');
    const { of, suspend } = decideAll(
      [operator('model_not_found', 'model'), operator('insufficient_quota', 'key')],
      {
        tried,
      },
    );
    expect(of).toEqual([
      { kind: 'retry', tried },
      { kind: 'retry', tried },
    ]);
    expect(suspend).toEqual({ scope: 'key', code: 'insufficient_quota' });
    expect(
      decideAll([operator('insufficient_quota', 'key'), operator('model_not_found', 'model')]).suspend,
    ).toEqual({
      scope: 'key',
      code: 'insufficient_quota',
    });
  });

  it('does not suspend a model that answered another request of the batch, and counts the attempt', () => {
    const { of, suspend } = decideAll([OK, operator('model_not_found', 'model')]);
    expect(of[1]).toEqual({ kind: 'retry', tried: tries('transient') });
    expect(suspend).toBeUndefined();
    expect(decideAll([OK, operator('insufficient_quota', 'key')]).suspend?.scope).toBe('key');
  });

  it('tries nothing again once the job is cancelled, and keeps what was answered', () => {
    const verdicts = [
      OK,
      retry('batch_cancelled', 'unexecuted'),
      operator('insufficient_quota', 'key'),
      retry('status_0', 'lost'),
      undefined,
    ];
    const { of, suspend } = decideAll(verdicts, { cancelledAt: 1 });
    expect(of.map((decision) => (decision.kind === 'failed' ? decision.code : decision.kind))).toEqual([
      'succeeded',
      'batch_cancelled',
      'insufficient_quota',
      'status_0',
      'missing_from_results',
    ]);
    expect(suspend).toBeUndefined();
  });

  it('never runs a request again whose result may be in a file that cannot be read: its batch was one try', () => {
    const { of } = decideAll([undefined, OK, retry('batch_expired', 'unexecuted')], { isUnreadable: true });
    expect(of[0]).toMatchObject({ kind: 'failed', code: 'result_unreadable', tried: withTry(0, 'lost') });
    expect(of[1]).toEqual(OK);
    expect(of[2]!.kind).toBe('retry');
  });

  it.each(['expired', 'cancelled'] as const)(
    'takes a batch that %s before it began for unexecuted, and for lost if it had begun',
    (status) => {
      const ending = endingOf({ status });
      const begun = { ending, remote: remoteOf({ progress: { total: 1, completed: 1, failed: 0 } }) };
      const notBegun = { ending, remote: remoteOf() };
      expect(decideOne(undefined, { batch: notBegun })).toEqual({
        kind: 'retry',
        tried: tries('unexecuted'),
      });
      expect(decideOne(undefined, { batch: begun })).toMatchObject({ lost: 'missing_from_results' });
      expect(
        decideOne(undefined, { batch: { ending, remote: remoteOf({ errorFileId: 'f' }) } }),
      ).toMatchObject({
        lost: 'missing_from_results',
      });
      const last = { tried: tries('unexecuted', 'unexecuted'), batch: notBegun };
      expect(decideOne(undefined, last)).toMatchObject({ kind: 'failed', code: `batch_${status}` });
    },
  );

  it('suspends the key for what is left of a batch that failed while it ran, where its error takes a person', () => {
    const batch = { ending: endingOf({ status: 'failed', errors: [error('billing_hard_limit_reached')] }) };
    expect(decideAll([OK, undefined], { batch }).suspend).toEqual({
      scope: 'key',
      code: 'billing_hard_limit_reached',
    });
    expect(decideAll([OK, OK], { batch }).suspend).toBeUndefined();
    expect(
      decideAll([OK, undefined], { batch: { ending: endingOf({ status: 'failed' }) } }).suspend,
    ).toBeUndefined();
  });

  it('calls the requests of a batch that OpenAI no longer knows lost', () => {
    expect(
      decideOne(undefined, { batch: { ending: endingOf({ lostAt: 1, status: 'in_progress' }) } }),
    ).toEqual({
      kind: 'retry',
      tried: tries('lost'),
      lost: 'lost_batch',
    });
    expect(
      decideOne(undefined, { cancelledAt: 1, batch: { ending: endingOf({ lostAt: 1 }) } }),
    ).toMatchObject({
      kind: 'failed',
      code: 'lost_batch',
    });
  });

  it('ends every request within its attempts, and counts as lost only what was', () => {
    const verdict = fc.oneof(
      fc.constant(undefined),
      fc.constant(OK),
      fc.constantFrom<Verdict>(
        retry('http_500', 'transient'),
        retry('batch_expired', 'unexecuted'),
        retry('status_0', 'lost'),
        { kind: 'failed', code: 'x' },
      ),
    );
    fc.assert(
      fc.property(fc.array(verdict, { minLength: 10, maxLength: 10 }), (verdicts) => {
        let tried = 0;
        let rounds = 0;
        let lost = 0;
        for (const one of verdicts) {
          rounds++;
          const decision = decideOne(one, { tried });
          if (decision.kind !== 'retry') {
            if (decision.kind === 'failed') expect(triesOf(decision.tried)).toBe(rounds);
            break;
          }
          tried = decision.tried;
          if (decision.lost !== undefined) lost++;
        }
        expect(rounds).toBeLessThanOrEqual(route.maxTries);
        expect(lost).toBeLessThanOrEqual(1);
      }),
    );
  });
});

const error = (code: string, more: Partial<BatchLevelError> = {}): BatchLevelError => ({
  code,
  message: `message of ${code}`,
  ...more,
});
const refusalOf = (
  errors: BatchLevelError[] | undefined,
  more: { requests?: number; repairs?: number; cancelledAt?: number } = {},
) => {
  const { requests = 4, repairs, cancelledAt } = more;
  const batch = {
    requests,
    ...(errors === undefined ? {} : { ending: endingOf({ errors }) }),
    ...(repairs === undefined ? {} : { repairs }),
  };
  return decideRefusal(cancelledAt === undefined ? {} : { cancelledAt }, batch, OPENAI_RULES.errors);
};
const repairOf = (refusal: ReturnType<typeof refusalOf>, requests = 4) =>
  refusal.kind === 'repair'
    ? {
        codes: Array.from({ length: requests }, (_, index) => refusal.errorOf(index)?.code),
        inHalves: refusal.inHalves,
      }
    : refusal.kind;

describe('decideRefusal', () => {
  it('says of a batch that was too large as a whole, once its job is cancelled, that its requests were cancelled', () => {
    const errors = [error('exceeds_enqueued_limit')];
    expect(repairOf(refusalOf(errors, { requests: 2, cancelledAt: 1 }), 2)).toEqual({
      codes: ['cancelled', 'cancelled'],
      inHalves: false,
    });
    expect(repairOf(refusalOf(errors, { requests: 1, cancelledAt: 1 }), 1)).toEqual({
      codes: ['exceeds_enqueued_limit'],
      inHalves: false,
    });
  });

  it('takes out the lines that OpenAI names, up to three times, then halves what is left as well', () => {
    const errors = [
      error('invalid_url', { line: 2 }),
      error('odd', { line: 4 }),
      error('second', { line: 2 }),
    ];
    const codes = [undefined, 'invalid_url', undefined, 'odd'];
    for (const repairs of [undefined, 0, 1, 2]) {
      expect(repairOf(refusalOf(errors, repairs === undefined ? {} : { repairs }))).toEqual({
        codes,
        inHalves: false,
      });
    }
    expect(repairOf(refusalOf(errors, { repairs: 3 }))).toEqual({ codes, inHalves: true });
  });

  it.each<[string, BatchLevelError[] | undefined, unknown]>([
    ['no room', [error('token_limit_exceeded')], 'no_room'],
    ['no room beside a line', [error('invalid_url', { line: 1 }), error('token_limit_exceeded')], 'no_room'],
    ['no quota', [error('insufficient_quota')], 'operator'],
    ['a model that is not found', [error('model_not_found', { param: 'body.model' })], 'operator'],
    ['a file that is not found', [error('invalid_request', { param: 'file_id' })], 'again'],
    ['a file that was touched', [error('input_modified')], 'again'],
    ['an unknown code', [error('odd')], 'again'],
    ['an unknown code on a line that is not there', [error('odd', { line: 5 })], 'again'],
    ['an unknown code on line 0', [error('odd', { line: 0 })], 'again'],
    ['no errors', undefined, 'again'],
    ['an empty list of errors', [], 'again'],
    ['a code about a line without its number', [error('invalid_json_line')], { inHalves: true }],
    ['a code about a line that is not there', [error('invalid_url', { line: 9 })], { inHalves: true }],
    [
      'a request without a field, unnumbered',
      [error('invalid_request', { param: 'body.model' })],
      { inHalves: true },
    ],
    ['too many requests', [error('too_many_tasks')], { inHalves: true }],
  ])('%s', (_what, errors, expected) => {
    const result = repairOf(refusalOf(errors));
    if (typeof expected === 'string') expect(result).toBe(expected);
    else
      expect(result).toEqual({
        codes: [undefined, undefined, undefined, undefined],
        ...(expected as object),
      });
  });

  it('fails a request that is alone with the error about it, and sends it again where the error is unknown', () => {
    expect(repairOf(refusalOf([error('invalid_json_line')], { requests: 1 }), 1)).toEqual({
      codes: ['invalid_json_line'],
      inHalves: false,
    });
    expect(repairOf(refusalOf([error('odd')], { requests: 1 }))).toBe('again');
    expect(repairOf(refusalOf([error('too_many_tasks')], { requests: 1 }))).toBe('again');
  });

  it('sends nothing of a cancelled job again: each request ends with its own error, or as cancelled', () => {
    for (const errors of [
      [error('token_limit_exceeded')],
      [error('odd')],
      undefined,
      [error('invalid_url', { line: 2 })],
    ]) {
      const result = repairOf(refusalOf(errors, { cancelledAt: 1 }));
      const second = errors?.[0]?.line === 2 ? 'invalid_url' : 'cancelled';
      expect(result).toEqual({ codes: ['cancelled', second, 'cancelled', 'cancelled'], inHalves: false });
    }
  });
});
