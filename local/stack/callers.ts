/** Knows who calls the local services, by access key, and what each may do. */
import { createHash, randomBytes } from 'node:crypto';
import { type ApiCall, isAllowed, refusal } from '../services/iam.ts';
import type { StackPlan } from './plan.ts';

/** What signs calls. */
export interface AccessKey {
  accessKeyId: string;
  secretAccessKey: string;
}

/** A call of a function. */
export interface FunctionCall extends ApiCall {
  /** Physical name. */
  functionName: string;
}

export interface Callers {
  /** Gives the reason why a call is refused, or nothing, and remembers the call. */
  authorize(accessKeyId: string, call: ApiCall): string | undefined;
  /** Key of a function: its id is the same in every run, its secret is not. */
  keyOf(functionName: string): AccessKey;
  /** Key of a person whose only rights are these managed policies, by their ARNs: the same each time. */
  keyWith(policyArns: readonly string[]): AccessKey;
  /** ARN of a caller, as Lambda tells a function of it. */
  arnOf(accessKeyId: string): string;
  /** What belongs to an access key id. */
  secretOf(accessKeyId: string): string | undefined;
  /** Calls that were allowed, each once. */
  allowed: readonly FunctionCall[];
  /** Calls that were refused, each once. */
  denied: readonly FunctionCall[];
}

/** The person at the machine: may do everything. The services listen on 127.0.0.1 only. */
export const OPERATOR: AccessKey = { accessKeyId: 'BATCHDROPLOCAL', secretAccessKey: 'BATCHDROPLOCAL' };

/** ARN of the person at the machine. */
const OPERATOR_ARN = 'arn:aws:iam::000000000000:user/local-operator';

function sessionArn({ name, roleArn }: { name: string; roleArn: string }): string {
  return `arn:aws:sts::000000000000:assumed-role/${roleArn.split('/').at(-1)}/${name}`;
}

/** A person whose only rights are managed policies. */
interface Person {
  key: AccessKey;
  arn: string;
  policyArns: readonly string[];
}

/**
 * Gives each function of the plan an access key and holds its calls against its role.
 *
 * @param onDenied gets AWS's wording of a refusal, once for each call
 */
export function createCallers(plan: StackPlan, onDenied: (reason: string) => void): Callers {
  const functions = new Map(
    plan.functions.map((each) => {
      const key = newKey(each.name);
      return [key.accessKeyId, { ...each, key }] as const;
    }),
  );
  const allowed = new Map<string, FunctionCall>();
  const denied = new Map<string, FunctionCall>();
  const people = new Map<string, Person>();

  return {
    get allowed() {
      return [...allowed.values()];
    },
    get denied() {
      return [...denied.values()];
    },
    secretOf(accessKeyId) {
      if (accessKeyId === OPERATOR.accessKeyId) return OPERATOR.secretAccessKey;
      return (functions.get(accessKeyId) ?? people.get(accessKeyId))?.key.secretAccessKey;
    },
    arnOf(accessKeyId) {
      const caller = functions.get(accessKeyId);
      return caller === undefined ? (people.get(accessKeyId)?.arn ?? OPERATOR_ARN) : sessionArn(caller);
    },
    keyWith(policyArns) {
      const names = policyArns.map((arn) => arn.split('/').at(-1));
      const key = newKey(`people ${names.join(' ')}`);
      const known = people.get(key.accessKeyId);
      if (known !== undefined) return known.key;
      const arn = `arn:aws:iam::000000000000:user/${names.join('+')}`;
      people.set(key.accessKeyId, { key, arn, policyArns });
      return key;
    },
    keyOf: (functionName) => functions.get(accessKeyIdFor(functionName))!.key,
    authorize(accessKeyId, call) {
      if (accessKeyId === OPERATOR.accessKeyId) return undefined;
      const person = people.get(accessKeyId);
      if (person !== undefined) {
        const may = isAllowed(person.policyArns.flatMap(plan.statementsOf), call);
        return may ? undefined : refusal(person.arn, call);
      }
      const caller = functions.get(accessKeyId);
      if (caller === undefined) {
        return `The access key "${accessKeyId}" is not known to the local stack (yours is ${OPERATOR.accessKeyId}).`;
      }
      const { action, resource } = call;
      // Objects of one prefix count as one: what matters is the grant, and keys are many.
      const identity = `${caller.name} ${action} ${resource.split('/').slice(0, 2).join('/')}`;
      const record = { functionName: caller.name, action, resource };
      if (isAllowed(plan.statementsOf(caller.roleArn), call)) {
        if (!allowed.has(identity)) allowed.set(identity, record);
        return undefined;
      }
      const reason = refusal(sessionArn(caller), call);
      if (!denied.has(identity)) onDenied(reason);
      denied.set(identity, record);
      return reason;
    },
  };
}

function newKey(name: string): AccessKey {
  return { accessKeyId: accessKeyIdFor(name), secretAccessKey: randomBytes(20).toString('hex') };
}

/** Looks like AWS's: 20 capital letters and digits. */
function accessKeyIdFor(functionName: string): string {
  return `AKIA${createHash('sha256').update(functionName).digest('hex').slice(0, 16).toUpperCase()}`;
}
