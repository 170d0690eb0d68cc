/** Knows who calls the local services, by access key, and what each may do. */
import { createHash, randomBytes } from 'node:crypto';
import { type Decision, decide } from '../services/iam/evaluate.ts';
import { keyCallsOf } from '../services/iam/keys.ts';
import {
  type ApiCall,
  type Authorize,
  type AuthorizeService,
  type CompiledStatement,
  compilePolicy,
  type PolicyStatement,
  type Principal,
} from '../services/iam/policy.ts';
import { ACCOUNT_ID } from './account.ts';
import type { CallRecords } from './call-records.ts';
import type { StackPlan } from './plan.ts';
import { decideForAnybody, decideForService } from './policies.ts';

/** What signs calls. */
export interface AccessKey {
  accessKeyId: string;
  secretAccessKey: string;
}

/** A call of a function. */
export interface FunctionCall extends Pick<ApiCall, 'action' | 'resource'> {
  /** Physical name. */
  functionName: string;
}

export interface Callers {
  /** Gives the reason why a call is refused, or nothing, and remembers the call. */
  authorize: Authorize;
  /** The same for a call that a service of AWS's makes for a resource of the account. */
  authorizeService: AuthorizeService;
  /** The same for a call that nobody has signed. */
  authorizeAnybody(call: ApiCall): string | undefined;
  /** Key of a function: its id is the same in every run, its secret is not. */
  keyOf(functionName: string): AccessKey;
  /** Key of a person whose only rights are these managed policies, by their ARNs: the same each time. */
  keyWith(policyArns: readonly string[]): AccessKey;
  /** Key of a role or user of another account: the same each time. */
  keyOfOther(other: OtherPrincipal): AccessKey;
  /** ARN of a caller, as Lambda tells a function of it. */
  arnOf(accessKeyId: string): string;
  /** What belongs to an access key id. */
  secretOf(accessKeyId: string): string | undefined;
  /** Calls of functions that were allowed, each once. */
  allowed: readonly FunctionCall[];
  /** Calls of functions that were refused, each once. */
  denied: readonly FunctionCall[];
}

/** A role or a user of another account. */
export interface OtherPrincipal {
  /** Such as `arn:aws:iam::444455556666:role/exporter`. */
  arn: string;
  /** What that account allows it. */
  policy: readonly PolicyStatement[];
}

/** The person at the machine: may do everything. The services listen on 127.0.0.1 only. */
export const OPERATOR: AccessKey = { accessKeyId: 'BATCHDROPLOCAL', secretAccessKey: 'BATCHDROPLOCAL' };

/** Somebody with an access key. */
interface Caller {
  key: AccessKey;
  principal: Principal;
  identity: readonly CompiledStatement[];
  /** Of a function, its physical name. */
  functionName?: string | undefined;
}

/** What {@link createCallers} takes. */
export interface CallersOptions {
  plan: Pick<StackPlan, 'functions' | 'policies'>;
  records: CallRecords;
  /** Gets AWS's wording of a refusal of a call of the stack itself, once for each call. */
  onDenied: (reason: string) => void;
}

/** Gives each function of the plan an access key and holds each call against the policies that have to do with it. */
export function createCallers({ plan, records, onDenied }: CallersOptions): Callers {
  const { policies } = plan;
  const callers = new Map<string, Caller>();
  const add = (caller: Caller): Caller => {
    callers.set(caller.key.accessKeyId, caller);
    return caller;
  };
  const operator = add(newOperator());
  for (const each of plan.functions) add(newFunction(each, policies.ofIdentity(each.roleArn)));
  const allowed = new Map<string, FunctionCall>();
  const denied = new Map<string, FunctionCall>();
  const refusals = new Set<string>();
  /** Of a call that the stack makes by itself: a refusal is a mistake in it. */
  const refuse = (reason: string, identity: string): string => {
    if (!refusals.has(identity)) onDenied(reason);
    refusals.add(identity);
    records.refused(reason);
    return reason;
  };
  const settle = (decision: Decision, { action, resource }: ApiCall): string | undefined => {
    if ('refusal' in decision) return refuse(decision.refusal, `${action} ${resource}`);
    records.used(decision.grants);
    return undefined;
  };
  const authorizeOne = (caller: Caller, call: ApiCall): string | undefined => {
    const decision = decide(caller.principal, withCaller(call, caller), {
      identity: caller.identity,
      resource: policies.ofResource(call.resource),
    });
    if ('grants' in decision) records.used(decision.grants);
    const { functionName } = caller;
    if (functionName === undefined || call.isOptional)
      return 'refusal' in decision ? decision.refusal : undefined;
    const { action, resource } = call;
    // Objects of one prefix count as one: what matters is the grant, and keys are many.
    const identity = `${functionName} ${action} ${resource.split('/').slice(0, 2).join('/')}`;
    const seen = 'grants' in decision ? allowed : denied;
    if (!seen.has(identity)) seen.set(identity, { functionName, action, resource });
    return 'refusal' in decision ? refuse(decision.refusal, identity) : undefined;
  };

  return {
    get allowed() {
      return [...allowed.values()];
    },
    get denied() {
      return [...denied.values()];
    },
    secretOf: (accessKeyId) => callers.get(accessKeyId)?.key.secretAccessKey,
    arnOf: (accessKeyId) => (callers.get(accessKeyId) ?? operator).principal.name,
    keyOf: (functionName) => callers.get(accessKeyIdFor(functionName))!.key,
    keyWith(policyArns) {
      const person = newPerson(policyArns, policyArns.flatMap(policies.ofIdentity));
      return (callers.get(person.key.accessKeyId) ?? add(person)).key;
    },
    keyOfOther(other) {
      const caller = newOther(other);
      return (callers.get(caller.key.accessKeyId) ?? add(caller)).key;
    },
    authorizeService: (service, sourceArn, call) =>
      settle(decideForService(policies, service, sourceArn, call), call),
    authorizeAnybody: (call) => settle(decideForAnybody(policies, call), call),
    authorize(accessKeyId, call) {
      const caller = callers.get(accessKeyId);
      if (caller === undefined)
        return `The access key "${accessKeyId}" is not known to the local stack (yours is ${OPERATOR.accessKeyId}).`;
      for (const each of [call, ...keyCallsOf(call, policies.keyOf(call.resource))]) {
        const reason = authorizeOne(caller, each);
        if (reason !== undefined) return reason;
      }
      return undefined;
    },
  };
}

/** The call, with what AWS knows of every caller. */
function withCaller(call: ApiCall, { principal }: Caller): ApiCall {
  const { accountId = ACCOUNT_ID } = principal;
  const context = {
    'aws:PrincipalArn': principal.arns.at(-1)!,
    'aws:PrincipalAccount': accountId,
    'aws:PrincipalIsAWSService': 'false',
    'aws:ResourceAccount': ACCOUNT_ID,
    ...(call.action.startsWith('kms:') ? { 'kms:CallerAccount': accountId } : {}),
    ...call.context,
  };
  return { ...call, context };
}

function newOperator(): Caller {
  const arn = `arn:aws:iam::${ACCOUNT_ID}:user/local-operator`;
  const everything = { Effect: 'Allow', Action: '*', Resource: '*' } as const;
  return {
    key: OPERATOR,
    principal: { name: arn, arns: [arn], accountId: ACCOUNT_ID },
    identity: compilePolicy([everything], 'the person at the machine'),
  };
}

function newFunction(
  { name, roleArn }: { name: string; roleArn: string },
  identity: readonly CompiledStatement[],
): Caller {
  const session = `arn:aws:sts::${ACCOUNT_ID}:assumed-role/${roleArn.split('/').at(-1)}/${name}`;
  return {
    key: newKey(name),
    principal: { name: session, arns: [session, roleArn], accountId: ACCOUNT_ID },
    identity,
    functionName: name,
  };
}

/** Somebody whose only rights are managed policies. */
function newPerson(policyArns: readonly string[], identity: readonly CompiledStatement[]): Caller {
  const names = policyArns.map((arn) => arn.split('/').at(-1));
  const arn = `arn:aws:iam::${ACCOUNT_ID}:user/${names.join('+')}`;
  return {
    key: newKey(`people ${names.join(' ')}`),
    principal: { name: arn, arns: [arn], accountId: ACCOUNT_ID },
    identity,
  };
}

/** @throws for what is no ARN of a role or user of another account */
function newOther({ arn, policy }: OtherPrincipal): Caller {
  const [, accountId] = /^arn:aws:iam::(\d{12}):(?:role|user)\/.+$/.exec(arn) ?? [];
  if (accountId === undefined || accountId === ACCOUNT_ID)
    throw new Error(`"${arn}" is no ARN of a role or a user of an account other than ${ACCOUNT_ID}.`);
  return {
    key: newKey(`others ${arn} ${JSON.stringify(policy)}`),
    principal: { name: arn, arns: [arn], accountId },
    identity: compilePolicy(policy, arn),
  };
}

function newKey(name: string): AccessKey {
  return { accessKeyId: accessKeyIdFor(name), secretAccessKey: randomBytes(20).toString('hex') };
}

/** Looks like AWS's: 20 capital letters and digits. */
function accessKeyIdFor(functionName: string): string {
  return `AKIA${createHash('sha256').update(functionName).digest('hex').slice(0, 16).toUpperCase()}`;
}
