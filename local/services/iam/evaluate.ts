/**
 * Whether a call is allowed, as IAM decides: an explicit deny of any policy wins; then, within one account, one policy that
 * allows is enough, the caller's or the resource's own. A caller of another account needs both. A service of AWS's and anybody
 * have no policies of their own. The policy of a KMS key must allow by itself, or leave it to the account's policies. Source:
 * IAM user guide, "Policy evaluation logic" and "Cross-account policy evaluation logic"; KMS developer guide, "Key policies".
 *
 * Not evaluated: policies of organizations and of VPC endpoints, permissions boundaries, session policies. AWS managed
 * policies (logging, tracing) are taken as empty.
 */
import type { RequestContext } from './conditions.ts';
import type { ApiCall, CompiledStatement, Grant, Principal } from './policy.ts';

/** Policies that have to do with a call. */
export interface Policies {
  /** Of the caller. */
  identity: readonly CompiledStatement[];
  /** Of what is acted on. @default it has none */
  resource?: readonly CompiledStatement[] | undefined;
}

/** Allowed, by which grants; or refused, in the words of AWS. */
export type Decision = { grants: Grant[] } | { refusal: string };

/** Decides about one call. `call.context` is all that is known of the request. */
export function decide(principal: Principal, call: ApiCall, { identity, resource }: Policies): Decision {
  const context = call.context ?? {};
  const applies = (statement: CompiledStatement) => statement.covers(call) && statement.isMet(context);
  const ofIdentity = identity.filter(applies);
  const ofResource = (resource ?? [])
    .filter(applies)
    .map((statement) => ({ statement, named: statement.names(principal) }))
    .filter(({ named }) => named !== undefined);
  if (ofIdentity.some(({ effect }) => effect === 'Deny'))
    return { refusal: refusal(principal, call, 'with an explicit deny in an identity-based policy') };
  if (ofResource.some(({ statement }) => statement.effect === 'Deny'))
    return { refusal: refusal(principal, call, 'with an explicit deny in a resource-based policy') };
  if (isOfAnotherAccount(principal, context)) {
    const allowing = [ofResource.map(({ statement }) => statement), ofIdentity];
    const lacking = ['resource-based', 'identity-based'][allowing.findIndex(({ length }) => length === 0)];
    return lacking === undefined
      ? { grants: allowing.flat().flatMap((statement) => statement.grantsFor(call)) }
      : { refusal: refusalByDefault(principal, call, lacking) };
  }
  const byResource = ofResource.filter(({ named }) => named === 'itself').map(({ statement }) => statement);
  const isKey = call.action.startsWith('kms:');
  const mayIdentity = !isKey || ofResource.some(({ named }) => named === 'account');
  const allowing = [...byResource, ...(mayIdentity ? ofIdentity : [])];
  if (allowing.length > 0) return { grants: allowing.flatMap((statement) => statement.grantsFor(call)) };
  const lacking = principal.service === undefined && mayIdentity ? 'identity-based' : 'resource-based';
  return { refusal: refusalByDefault(principal, call, lacking) };
}

function isOfAnotherAccount({ accountId }: Principal, context: RequestContext): boolean {
  const owner = context['aws:ResourceAccount'];
  return accountId !== undefined && owner !== undefined && owner !== accountId;
}

function refusalByDefault(principal: Principal, call: ApiCall, lacking: string): string {
  return refusal(principal, call, `because no ${lacking} policy allows the ${call.action} action`);
}

/** AWS's own wording. */
function refusal({ name }: Principal, { action, resource }: ApiCall, why: string): string {
  return `User: ${name} is not authorized to perform: ${action} on resource: ${resource} ${why}`;
}
