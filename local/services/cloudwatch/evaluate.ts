/**
 * Says which state an alarm has. Pure.
 *
 * Source: CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data", whose
 * tables are the tests of this file.
 */
import type { AlarmRule, AlarmState, Comparison } from './alarm-rule.ts';

/** One period's value; `undefined`: nothing was measured in it. */
export interface Datapoint {
  /** Epoch ms of the beginning of the period. */
  at: number;
  value: number | undefined;
}

/** A state, and CloudWatch's sentence for it. */
export interface Evaluation {
  state: AlarmState;
  reason: string;
}

/**
 * How many periods more than `evaluationPeriods` are looked at. AWS says only that there are more; five for three is
 * its example.
 */
export const EXTRA_PERIODS = 2;

/**
 * @param range the periods of the evaluation range, the latest last
 * @param current is kept where the rule says so
 */
export function evaluateAlarm(rule: AlarmRule, range: readonly Datapoint[], current: AlarmState): Evaluation {
  const measured = range.flatMap(({ at, value }) => (value === undefined ? [] : [{ at, value }]));
  const { evaluationPeriods } = rule;
  const isEnough = measured.length >= evaluationPeriods;
  const considered = isEnough ? measured.slice(-evaluationPeriods) : measured;
  const breaching = considered.filter(({ value }) => breaches(rule, value));
  const state = isEnough
    ? stateOf(breaching.length, rule)
    : stateWithMissing(rule, range, { existing: measured.length, breaching: breaching.length }, current);
  return { state, reason: reasonFor({ rule, considered, breaching: breaching.length, state, current }) };
}

/** Whether a value is beyond the threshold. */
function breaches(rule: Pick<AlarmRule, 'comparison' | 'threshold'>, value: number): boolean {
  switch (rule.comparison) {
    case 'GreaterThanThreshold':
      return value > rule.threshold;
    case 'GreaterThanOrEqualToThreshold':
      return value >= rule.threshold;
    case 'LessThanThreshold':
      return value < rule.threshold;
    case 'LessThanOrEqualToThreshold':
      return value <= rule.threshold;
  }
}

function stateOf(breaching: number, { datapointsToAlarm }: AlarmRule): AlarmState {
  return breaching >= datapointsToAlarm ? 'ALARM' : 'OK';
}

/** The state when fewer periods have data than are to be evaluated. */
function stateWithMissing(
  rule: AlarmRule,
  range: readonly Datapoint[],
  { existing, breaching }: { existing: number; breaching: number },
  current: AlarmState,
): AlarmState {
  const filled = rule.evaluationPeriods - existing;
  if (rule.missingData === 'breaching') return stateOf(breaching + filled, rule);
  if (rule.missingData === 'notBreaching' || breaching >= rule.datapointsToAlarm)
    return stateOf(breaching, rule);
  if (existing === 0) return rule.missingData === 'ignore' ? current : 'INSUFFICIENT_DATA';
  if (breaching < existing) return 'OK';
  if (rule.missingData === 'ignore') return current;
  // All that was measured breaches: it counts once it is as old as the periods that would have to breach, so that
  // the next value has had its time to come.
  const age = range.length - range.findIndex(({ value }) => value !== undefined);
  return age >= rule.datapointsToAlarm ? 'ALARM' : 'OK';
}

const WORDS: Readonly<Record<Comparison, string>> = {
  GreaterThanThreshold: 'greater than',
  GreaterThanOrEqualToThreshold: 'greater than or equal to',
  LessThanThreshold: 'less than',
  LessThanOrEqualToThreshold: 'less than or equal to',
};

/** What a reason is made of. */
interface ReasonInput {
  rule: AlarmRule;
  considered: readonly { at: number; value: number }[];
  breaching: number;
  state: AlarmState;
  current: AlarmState;
}

function reasonFor({ rule, considered, breaching, state, current }: ReasonInput): string {
  const missing = rule.evaluationPeriods - considered.length;
  if (state === 'INSUFFICIENT_DATA')
    return `Insufficient Data: ${counted(rule.evaluationPeriods)} ${verb(rule.evaluationPeriods)} unknown.`;
  const treated =
    missing <= 0 || !['breaching', 'notBreaching'].includes(rule.missingData)
      ? ''
      : ` and ${missing} missing datapoint${missing === 1 ? ' was' : 's were'} treated as [${rule.missingData === 'breaching' ? 'Breaching' : 'NonBreaching'}]`;
  if (considered.length === 0)
    return `Threshold Crossed: no datapoints were received for ${missing} period${missing === 1 ? '' : 's'}${treated}.`;
  const isAlarm = state === 'ALARM';
  const shown = isAlarm ? breaching : considered.length - breaching;
  const values = considered.map(({ at, value }) => `${decimal(value)} (${dayAndTime(at)})`).join(', ');
  const needed = isAlarm ? rule.datapointsToAlarm : rule.evaluationPeriods - rule.datapointsToAlarm + 1;
  return (
    `Threshold Crossed: ${shown} out of the last ${counted(rule.evaluationPeriods)} [${values}] ${verb(shown)} ` +
    `${isAlarm ? '' : 'not '}${WORDS[rule.comparison]} the threshold (${decimal(rule.threshold)})${treated} ` +
    `(minimum ${counted(needed)} for ${isAlarm ? 'OK -> ALARM' : `${current === 'ALARM' ? 'ALARM' : 'INSUFFICIENT_DATA'} -> OK`} transition).`
  );
}

const counted = (count: number): string => `${count} datapoint${count === 1 ? '' : 's'}`;
const verb = (count: number): string => (count === 1 ? 'was' : 'were');
const decimal = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

/** `30/11/26 16:20:00`, in UTC. */
function dayAndTime(at: number): string {
  const [, year, month, day, time] = /^\d\d(\d\d)-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)/.exec(
    new Date(at).toISOString(),
  )!;
  return `${day}/${month}/${year} ${time}`;
}
