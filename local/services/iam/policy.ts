/** Policies as IAM reads them, compiled once, so that each call is held against them in microseconds. */
import { type Condition, compileCondition, type IsMet, type RequestContext } from './conditions.ts';
import { arnMatcherOf, type Matches, matcherOf } from './wildcards.ts';

/** One call to a service, as IAM sees it. */
export interface ApiCall {
  /** Such as `dynamodb:PutItem`. */
  action: string;
  /** ARN of what is acted on. */
  resource: string;
  /** What the API calls it, where several of its operations need the same right. @default as the action */
  operation?: string | undefined;
  /** What the service knows of the request, by condition key. @default nothing */
  context?: RequestContext | undefined;
  /** The right is no condition of the call: without it, the service only answers less. A lack is no mistake. */
  isOptional?: boolean | undefined;
}

/** Gives the reason why a call is refused, or nothing. Called with the access key id that signed the call. */
export type Authorize = (accessKeyId: string, call: ApiCall) => string | undefined;

/** Gives the reason why a service of AWS's own may not make a call for something of the account, or nothing. */
export type AuthorizeService = (service: string, sourceArn: string, call: ApiCall) => string | undefined;

/** `Principal` of a statement of a resource's own policy. */
export type StatementPrincipal = '*' | Readonly<Record<string, string | readonly string[]>>;

/** One statement of a policy whose intrinsics are resolved. */
export interface PolicyStatement {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  /** In policies of resources only. */
  Principal?: StatementPrincipal;
  Action?: string | string[];
  NotAction?: string | string[];
  Resource?: string | string[];
  NotResource?: string | string[];
  Condition?: Condition;
}

/** Who calls. */
export interface Principal {
  /** As refusals name it: an ARN, or the name of a service. */
  name: string;
  /** ARNs by which policies may name it: a user's; a session's and its role's. Empty for a service and for anybody. */
  arns: readonly string[];
  /** Absent for a service and for anybody. */
  accountId?: string | undefined;
  /** Such as `events.amazonaws.com`. */
  service?: string | undefined;
}

/** What a statement allows, pattern by pattern. */
export interface Grant {
  /** Whose policy it is in: a path of a construct. */
  holder: string;
  action: string;
  resource: string;
  /** As JSON; empty without one. */
  condition: string;
}

/** A statement that calls are held against. */
export interface CompiledStatement {
  effect: 'Allow' | 'Deny';
  covers(call: ApiCall): boolean;
  isMet: IsMet;
  /** `account`: the account is named, whose own policies then decide. */
  names(principal: Principal): 'itself' | 'account' | undefined;
  /** What it allows; empty of a Deny. */
  grants: readonly Grant[];
  /** Those of its grants by which it allows a call. */
  grantsFor(call: ApiCall): Grant[];
}

/**
 * Compiles a policy.
 *
 * @param holder whose policy it is, for errors and grants: a path of a construct
 * @throws for what is not evaluated here, naming it
 */
export function compilePolicy(statements: readonly PolicyStatement[], holder: string): CompiledStatement[] {
  return statements.map((statement) => compileStatement(statement, holder));
}

const HANDLED = new Set([
  ...['Sid', 'Effect', 'Principal', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'],
]);

function compileStatement(statement: PolicyStatement, holder: string): CompiledStatement {
  const unknown = Object.keys(statement).filter((name) => !HANDLED.has(name));
  if (unknown.length > 0)
    throw new Error(
      `The policy of ${holder} has ${unknown.join(', ')}, which the local stack does not evaluate.`,
    );
  const { Effect: effect, Condition: written } = statement;
  const covers = coverage(statement);
  const grants = effect === 'Deny' ? [] : grantsOf(statement, holder);
  const patterns = grants.map((grant) => ({
    grant,
    isAction: matcherOf(grant.action, { ignoreCase: true }),
    isResource: arnMatcherOf(grant.resource),
  }));
  return {
    effect,
    covers,
    isMet: compileCondition(written, `The policy of ${holder}`),
    names: namedBy(statement.Principal, holder),
    grants,
    grantsFor: ({ action, resource }) =>
      patterns.flatMap(({ grant, isAction, isResource }) =>
        isAction(action) && isResource(resource) ? [grant] : [],
      ),
  };
}

function coverage({ Action, NotAction, Resource, NotResource }: PolicyStatement): (call: ApiCall) => boolean {
  const isAction = anyOf(NotAction ?? Action, (pattern) => matcherOf(pattern, { ignoreCase: true }));
  const isResource = anyOf(NotResource ?? Resource, arnMatcherOf);
  return ({ action, resource }) =>
    isAction(action) !== (NotAction !== undefined) && isResource(resource) !== (NotResource !== undefined);
}

function anyOf(patterns: string | string[] | undefined, compile: (pattern: string) => Matches): Matches {
  const matchers = [patterns ?? []].flat().map(compile);
  return (text) => matchers.some((matches) => matches(text));
}

/** Each action on each resource; of a statement that leaves some out, all the others. */
function grantsOf(
  { Action = '*', Resource = '*', Condition: condition }: PolicyStatement,
  holder: string,
): Grant[] {
  const text = condition === undefined ? '' : JSON.stringify(condition);
  return [Action]
    .flat()
    .flatMap((action) =>
      [Resource].flat().map((resource) => ({ holder, action, resource, condition: text })),
    );
}

/** Of a policy of an identity, which has no principal, everybody whose policy it is. */
function namedBy(written: StatementPrincipal | undefined, holder: string): CompiledStatement['names'] {
  if (written === undefined || written === '*') return () => 'itself';
  const { AWS = [], Service = [], ...others } = written;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new Error(
      `The policy of ${holder} names the principal "${unknown}", which the local stack does not know.`,
    );
  const named = [AWS].flat();
  const services = [Service].flat();
  const accounts = named.flatMap((arn) => /^(?:arn:[^:]*:iam::)?(\d{12})(?::root)?$/.exec(arn)?.[1] ?? []);
  return (principal) => {
    if (principal.service !== undefined)
      return services.includes(principal.service) || named.includes('*') ? 'itself' : undefined;
    if (named.includes('*') || principal.arns.some((arn) => named.includes(arn))) return 'itself';
    return principal.accountId !== undefined && accounts.includes(principal.accountId)
      ? 'account'
      : undefined;
  };
}
