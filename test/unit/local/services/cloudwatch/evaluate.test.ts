import { describe, expect, it } from 'vitest';
import type {
  AlarmRule,
  AlarmState,
  MissingDataRule,
} from '../../../../../local/services/cloudwatch/alarm-rule.ts';
import { evaluateAlarm } from '../../../../../local/services/cloudwatch/evaluate.ts';

const RULE: AlarmRule = {
  evaluationPeriods: 3,
  datapointsToAlarm: 3,
  comparison: 'GreaterThanThreshold',
  threshold: 10,
  missingData: 'missing',
};
const MINUTE = 60_000;

/** As in AWS's tables: `0` is within the threshold, `X` beyond it, `-` missing; the latest last. */
function rangeOf(text: string) {
  const values: Record<string, number | undefined> = { '0': 1, X: 11, '-': undefined };
  return text.split(' ').map((mark, index) => ({ at: index * MINUTE, value: values[mark] }));
}

function stateOf(
  text: string,
  rule: Partial<AlarmRule>,
  current: AlarmState = 'INSUFFICIENT_DATA',
): AlarmState {
  return evaluateAlarm({ ...RULE, ...rule }, rangeOf(text), current).state;
}

/** Rows of the tables in the CloudWatch User Guide: datapoints, then the states for each rule. */
type Row = [string, Record<Exclude<MissingDataRule, 'ignore'>, AlarmState>, AlarmState | 'kept'];
const all = (state: AlarmState) => ({ missing: state, breaching: state, notBreaching: state });

const THREE_OF_THREE: Row[] = [
  ['0 - X - X', all('OK'), 'OK'],
  ['- - - - 0', all('OK'), 'OK'],
  ['- - - - -', { missing: 'INSUFFICIENT_DATA', breaching: 'ALARM', notBreaching: 'OK' }, 'kept'],
  ['0 X X - X', all('ALARM'), 'ALARM'],
  ['- - X - -', { missing: 'ALARM', breaching: 'ALARM', notBreaching: 'OK' }, 'kept'],
];
const TWO_OF_THREE: Row[] = [
  ['0 - X - X', all('ALARM'), 'ALARM'],
  ['0 0 X 0 X', all('ALARM'), 'ALARM'],
  ['0 - X - -', { missing: 'OK', breaching: 'ALARM', notBreaching: 'OK' }, 'OK'],
  ['- - - - 0', { missing: 'OK', breaching: 'ALARM', notBreaching: 'OK' }, 'OK'],
  ['- - - X -', { missing: 'ALARM', breaching: 'ALARM', notBreaching: 'OK' }, 'kept'],
];

describe("AWS's table of states when data is missing", () => {
  const rows = [
    ...THREE_OF_THREE.map((row) => [3, ...row] as const),
    ...TWO_OF_THREE.map((row) => [2, ...row] as const),
  ];
  it.each(rows)('%i of 3 periods must breach: %s', (datapointsToAlarm, range, states, ignored) => {
    for (const [missingData, state] of Object.entries(states))
      expect([
        missingData,
        stateOf(range, { datapointsToAlarm, missingData: missingData as MissingDataRule }),
      ]).toEqual([missingData, state]);
    for (const current of ['OK', 'ALARM', 'INSUFFICIENT_DATA'] as const)
      expect(stateOf(range, { datapointsToAlarm, missingData: 'ignore' }, current)).toBe(
        ignored === 'kept' ? current : ignored,
      );
  });
});

describe('an alarm without missing data', () => {
  it.each([
    ['GreaterThanThreshold', 10, 'OK'],
    ['GreaterThanThreshold', 10.5, 'ALARM'],
    ['GreaterThanOrEqualToThreshold', 10, 'ALARM'],
    ['LessThanThreshold', 10, 'OK'],
    ['LessThanThreshold', 9, 'ALARM'],
    ['LessThanOrEqualToThreshold', 10, 'ALARM'],
  ] as const)('%s holds %d against 10: %s', (comparison, value, state) => {
    const rule = { ...RULE, comparison, evaluationPeriods: 1, datapointsToAlarm: 1 };
    expect(evaluateAlarm(rule, [{ at: 0, value }], 'OK').state).toBe(state);
  });

  it('does not fire on a single breaching period that is newer than the periods that must breach', () => {
    expect(stateOf('- - - - X', {})).toBe('OK');
    expect(stateOf('- - - X -', {})).toBe('OK');
  });

  it('keeps to the last value that it has while later periods are missing', () => {
    const rule = { evaluationPeriods: 1, datapointsToAlarm: 1, missingData: 'notBreaching' } as const;
    expect(stateOf('- X -', rule)).toBe('ALARM');
    expect(stateOf('- - -', rule)).toBe('OK');
  });
});

describe('the reason of a state', () => {
  const rule = { ...RULE, evaluationPeriods: 1, datapointsToAlarm: 1 };
  it.each([
    [
      [{ at: Date.UTC(2026, 10, 30, 16, 20), value: 11 }],
      'missing',
      'Threshold Crossed: 1 out of the last 1 datapoint [11.0 (30/11/26 16:20:00)] was greater than the threshold (10.0) (minimum 1 datapoint for OK -> ALARM transition).',
    ],
    [
      [{ at: Date.UTC(2026, 10, 30, 16, 20), value: 9.5 }],
      'missing',
      'Threshold Crossed: 1 out of the last 1 datapoint [9.5 (30/11/26 16:20:00)] was not greater than the threshold (10.0) (minimum 1 datapoint for ALARM -> OK transition).',
    ],
    [[{ at: 0, value: undefined }], 'missing', 'Insufficient Data: 1 datapoint was unknown.'],
    [
      [{ at: 0, value: undefined }],
      'notBreaching',
      'Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching].',
    ],
  ] as const)('says what was measured, when, and what it was held against', (range, missingData, reason) => {
    expect(evaluateAlarm({ ...rule, missingData }, [...range], 'ALARM').reason).toBe(reason);
  });
});
