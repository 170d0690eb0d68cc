/**
 * Conditions of policies. Source: IAM user guide, "IAM JSON policy elements: Condition operators" and "Set operators for
 * multivalued context keys". An operator or a key that is not known here is an error, never a condition that is met.
 */
import { arnMatcherOf, matcherOf } from './wildcards.ts';

/** What is known of a request, by condition key; a key that a request lacks is left out. */
export type RequestContext = Readonly<Record<string, string | readonly string[]>>;

/** `Condition` of a statement: values by operator and key. */
export type Condition = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

/** Whether a request meets a condition. */
export type IsMet = (context: RequestContext) => boolean;

/**
 * The keys that the local services supply with each call of their service, and whether one has several values. Source:
 * Service Authorization Reference.
 */
const KNOWN_KEYS: Readonly<Record<string, 'one' | 'several'>> = {
  'aws:PrincipalAccount': 'one',
  'aws:PrincipalArn': 'one',
  'aws:PrincipalIsAWSService': 'one',
  'aws:ResourceAccount': 'one',
  'aws:SecureTransport': 'one',
  'aws:SourceAccount': 'one',
  'aws:SourceArn': 'one',
  'cloudwatch:namespace': 'one',
  'dynamodb:EnclosingOperation': 'one',
  'dynamodb:LeadingKeys': 'several',
  'events:detail-type': 'one',
  'events:source': 'one',
  'kms:CallerAccount': 'one',
  'kms:ViaService': 'one',
  'lambda:FunctionUrlAuthType': 'one',
  'lambda:InvokedViaFunctionUrl': 'one',
  's3:delimiter': 'one',
  's3:max-keys': 'one',
  's3:prefix': 'one',
};
/** Keys that end in a name of the caller's: one key each. */
const KNOWN_BEGINNING = 'kms:EncryptionContext:';
const CANONICAL = new Map(Object.keys(KNOWN_KEYS).map((key) => [key.toLowerCase(), key]));

/** Makes what compares one value of a request with one of the policy. */
type Comparison = (policyValue: string) => (value: string) => boolean;

interface Operator {
  compare: Comparison;
  isNegated?: boolean;
}

const equals: Comparison = (policyValue) => (value) => value === policyValue;
const equalsIgnoringCase: Comparison = (policyValue) => (value) =>
  value.toLowerCase() === policyValue.toLowerCase();
const isLike: Comparison = (policyValue) => matcherOf(policyValue);
const arnIsLike: Comparison = (policyValue) => arnMatcherOf(policyValue);
const byNumber =
  (holds: (value: number, policyValue: number) => boolean): Comparison =>
  (policyValue) =>
  (value) =>
    holds(Number(value), Number(policyValue));

const OPERATORS: Readonly<Record<string, Operator>> = {
  StringEquals: { compare: equals },
  StringNotEquals: { compare: equals, isNegated: true },
  StringEqualsIgnoreCase: { compare: equalsIgnoringCase },
  StringNotEqualsIgnoreCase: { compare: equalsIgnoringCase, isNegated: true },
  StringLike: { compare: isLike },
  StringNotLike: { compare: isLike, isNegated: true },
  // IAM: ArnEquals and ArnLike behave alike.
  ArnEquals: { compare: arnIsLike },
  ArnNotEquals: { compare: arnIsLike, isNegated: true },
  ArnLike: { compare: arnIsLike },
  ArnNotLike: { compare: arnIsLike, isNegated: true },
  Bool: { compare: equalsIgnoringCase },
  NumericEquals: { compare: byNumber((value, limit) => value === limit) },
  NumericNotEquals: { compare: byNumber((value, limit) => value === limit), isNegated: true },
  NumericLessThan: { compare: byNumber((value, limit) => value < limit) },
  NumericLessThanEquals: { compare: byNumber((value, limit) => value <= limit) },
  NumericGreaterThan: { compare: byNumber((value, limit) => value > limit) },
  NumericGreaterThanEquals: { compare: byNumber((value, limit) => value >= limit) },
};

/**
 * Reads a condition once, so that it is held against many requests.
 *
 * @param where names the policy, for errors
 * @throws for an operator or a key that is not known here, and for a key with several values without a set operator
 */
export function compileCondition(condition: Condition | undefined, where: string): IsMet {
  const tests = Object.entries(condition ?? {}).flatMap(([operator, byKey]) =>
    Object.entries(byKey).map(([key, values]) => compileTest(operator, key, [values].flat(), where)),
  );
  return (context) => tests.every((isMet) => isMet(context));
}

function compileTest(written: string, writtenKey: string, values: readonly string[], where: string): IsMet {
  const key = canonicalKey(writtenKey, where);
  const texts = values.map(String);
  if (written === 'Null') return (context) => texts.includes(String(context[key] === undefined));
  const [, set, name = '', ifExists] =
    /^(?:(ForAllValues|ForAnyValue):)?(.+?)(IfExists)?$/.exec(written) ?? [];
  const operator = OPERATORS[name];
  if (operator === undefined) {
    throw new Error(
      `${where} has the condition operator "${written}", which the local stack does not evaluate: add it in local/services/iam/conditions.ts.`,
    );
  }
  if (set === undefined && KNOWN_KEYS[key] === 'several') {
    throw new Error(
      `${where} compares ${key}, which has several values, with ${written}: say ForAllValues:${written} or ForAnyValue:${written}.`,
    );
  }
  const comparisons = texts.map(operator.compare);
  const isNegated = operator.isNegated === true;
  const fits = (value: string) => comparisons.some((holds) => holds(value)) !== isNegated;
  const whenAbsent = ifExists !== undefined || (set === undefined ? isNegated : set === 'ForAllValues');
  return (context) => {
    const given = context[key];
    if (given === undefined) return whenAbsent;
    const all = [given].flat();
    return set === 'ForAnyValue' ? all.some(fits) : all.every(fits);
  };
}

/** The key as the services spell it; IAM ignores the case of keys. */
function canonicalKey(key: string, where: string): string {
  const canonical = CANONICAL.get(key.toLowerCase());
  if (canonical !== undefined) return canonical;
  if (key.toLowerCase().startsWith(KNOWN_BEGINNING.toLowerCase()))
    return KNOWN_BEGINNING + key.slice(KNOWN_BEGINNING.length);
  throw new Error(
    `${where} has a condition on "${key}", which no local service supplies: supply it, and add it in local/services/iam/conditions.ts.`,
  );
}
