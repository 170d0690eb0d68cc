/**
 * Who may call what: the identity policies of the synthesized roles, evaluated for each call that a function makes to
 * the local services, so that a missing grant in `lib/` fails here and not after the deployment.
 *
 * Evaluated: Allow and Deny, `Action` and `NotAction`, `Resource` and `NotResource`, with `*` and `?`. Conditions are
 * taken as met in an Allow and as not met in a Deny; AWS managed policies (logging, tracing) are taken as empty. So
 * this can let through what AWS refuses, and never refuses what AWS allows.
 */

/** One call to a service, as IAM sees it. */
export interface ApiCall {
  /** Such as `dynamodb:PutItem`. */
  action: string;
  /** ARN of what is acted on. */
  resource: string;
}

/** Gives the reason why a call is refused, or nothing. Called with the access key id that signed the call. */
export type Authorize = (accessKeyId: string, call: ApiCall) => string | undefined;

/** One statement of a policy whose intrinsics are resolved. */
export interface PolicyStatement {
  Effect: 'Allow' | 'Deny';
  Action?: string | string[];
  NotAction?: string | string[];
  Resource?: string | string[];
  NotResource?: string | string[];
  Condition?: object;
}

/** True when the statements allow the call and none denies it. */
export function isAllowed(statements: readonly PolicyStatement[], call: ApiCall): boolean {
  const matching = statements.filter((statement) => covers(statement, call));
  const isDenied = matching.some(({ Effect, Condition }) => Effect === 'Deny' && Condition === undefined);
  return !isDenied && matching.some(({ Effect }) => Effect === 'Allow');
}

/** AWS's own wording of a refusal. */
export function refusal(principal: string, { action, resource }: ApiCall): string {
  return (
    `User: ${principal} is not authorized to perform: ${action} on resource: ${resource} ` +
    `because no identity-based policy allows the ${action} action`
  );
}

/** IAM's wildcards: `*` is any run of characters, `?` one; the rest is literal. */
function matchesWildcard(pattern: string, text: string, flags = ''): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, `s${flags}`).test(text);
}

function covers(statement: PolicyStatement, { action, resource }: ApiCall): boolean {
  const matchesAction = (pattern: string) => matchesWildcard(pattern, action, 'i');
  const matchesResource = (pattern: string) => matchesWildcard(pattern, resource);
  const isActionCovered =
    statement.NotAction === undefined
      ? toList(statement.Action).some(matchesAction)
      : !toList(statement.NotAction).some(matchesAction);
  const isResourceCovered =
    statement.NotResource === undefined
      ? toList(statement.Resource).some(matchesResource)
      : !toList(statement.NotResource).some(matchesResource);
  return isActionCovered && isResourceCovered;
}

function toList(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
